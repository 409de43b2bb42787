// Elementwise ops and the moving of rows.
#pragma once

#include "op/pass.h"

namespace sputnik {

// y = a + b, both [rows, columns].
Tensor Add(Pass& pass, const Tensor& a, const Tensor& b);

// y += bias in every row of y [rows, columns] (a view), bias [columns]. The op that made y must not need its old value
// in its backward.
void AddBiasInPlace(Pass& pass, const Tensor& y, const Tensor& bias);

// SwiGLU (Shazeer 2020): y = silu(gate) · up for gate_up [rows, 2·width] = [gate | up].
Tensor Swiglu(Pass& pass, const Tensor& gate_up);

// y[i] = x[index[i]]: an embedding, or a selection of rows. Backward adds rows of dy into dx in ascending i. `index`
// must outlive the tape, and its values must be rows of x.
Tensor Gather(Pass& pass, const Tensor& x, const int32_t* index, int64_t rows);

// Keys of latent attention: k[n, h] = [ k_nope[n, h] | k_rope[n] ], the rotary part shared by all heads.
// k_nope [N, H, a] (a view), k_rope [N, b] → [N, H, a + b].
Tensor JoinKeys(Pass& pass, const Tensor& k_nope, const Tensor& k_rope);

// to = from, both [N, H, width] views; records nothing.
void CopyHeads(Pass& pass, const Tensor& from, const Tensor& to);

// x[index[i]] = y[i] for rows of a cache; records nothing.
void StoreRows(Pass& pass, const Tensor& y, const int32_t* index, const Tensor& x);

}  // namespace sputnik
