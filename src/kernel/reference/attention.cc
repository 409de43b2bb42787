#include "kernel/reference/attention.h"

#include <cmath>
#include <vector>

#include "kernel/reference/elementary.h"

namespace sputnik::reference {
namespace {

int64_t KeyRow(const AttentionArgs& a, int64_t s, int64_t j) {
  if (a.block_table == nullptr) return a.key_start[s] + j;
  return a.block_table[a.block_start[s] + j / a.key_block] * a.key_block + j % a.key_block;
}

template <class T>
T Score(const AttentionArgs& a, const T* q, const T* k) {
  T sum = 0;
  for (int64_t d = 0; d < a.key_dim; ++d) sum = std::fma(q[d], k[d], sum);
  return sum * static_cast<T>(a.scale);
}

// Calls f(sequence, query row, number of keys it sees) for every query.
template <class F>
void ForEachQuery(const AttentionArgs& a, F&& f) {
  for (int64_t s = 0; s < a.sequences; ++s) {
    const int64_t begin = a.query_start[s], end = a.query_start[s + 1];
    for (int64_t r = begin; r < end; ++r) f(s, r, a.key_count[s] - (end - begin) + (r - begin) + 1);
  }
}

template <class T>
void Forward(const AttentionArgs& a) {
  const int64_t heads_per_key = a.heads / a.key_heads;
  std::vector<T> p, o(static_cast<size_t>(a.value_dim));
  ForEachQuery(a, [&](int64_t s, int64_t r, int64_t keys) {
    CHECK_GE(keys, 1);
    for (int64_t h = 0; h < a.heads; ++h) {
      const int64_t kh = h / heads_per_key;
      const T* q = static_cast<const T*>(a.q) + r * a.q_stride + h * a.q_head_stride;
      p.assign(static_cast<size_t>(keys), T(0));
      T max = -std::numeric_limits<T>::infinity();
      for (int64_t j = 0; j < keys; ++j) {
        const T* k = static_cast<const T*>(a.k) + KeyRow(a, s, j) * a.k_stride + kh * a.k_head_stride;
        p[j] = Score(a, q, k);
        if (p[j] > max) max = p[j];
      }
      LaneSum<T> total;
      for (T& score : p) {
        score = Exp(score - max);
        total.Add(score);
      }
      const T sum = total.Total();
      o.assign(o.size(), T(0));
      for (int64_t j = 0; j < keys; ++j) {
        const T* v = static_cast<const T*>(a.v) + KeyRow(a, s, j) * a.v_stride + kh * a.v_head_stride;
        for (int64_t c = 0; c < a.value_dim; ++c) o[c] = std::fma(p[j], v[c], o[c]);
      }
      const T inverse = T(1) / sum;
      T* out = static_cast<T*>(a.o) + r * a.o_stride + h * a.o_head_stride;
      for (int64_t c = 0; c < a.value_dim; ++c) out[c] = o[c] * inverse;
      if (a.lse != nullptr) static_cast<T*>(a.lse)[r * a.heads + h] = max + Log(sum);
    }
  });
}

template <class T>
void Backward(const AttentionBackwardArgs& b) {
  const AttentionArgs& a = b.forward;
  const int64_t heads_per_key = a.heads / a.key_heads;
  const T scale = static_cast<T>(a.scale);
  // Heads outermost, then queries ascending: the order in which dk and dv receive their terms.
  for (int64_t h = 0; h < a.heads; ++h) {
    const int64_t kh = h / heads_per_key;
    ForEachQuery(a, [&](int64_t s, int64_t r, int64_t keys) {
      const T* q = static_cast<const T*>(a.q) + r * a.q_stride + h * a.q_head_stride;
      const T* o = static_cast<const T*>(a.o) + r * a.o_stride + h * a.o_head_stride;
      const T* d_o = static_cast<const T*>(b.d_o) + r * b.d_o_stride + h * b.d_o_head_stride;
      T* dq = static_cast<T*>(b.dq) + r * b.dq_stride + h * b.dq_head_stride;
      const T lse = static_cast<const T*>(a.lse)[r * a.heads + h];
      LaneSum<T> dot;
      for (int64_t c = 0; c < a.value_dim; ++c) dot.AddProduct(d_o[c], o[c]);
      const T delta = dot.Total();
      for (int64_t j = 0; j < keys; ++j) {
        const int64_t row = KeyRow(a, s, j);
        const T* k = static_cast<const T*>(a.k) + row * a.k_stride + kh * a.k_head_stride;
        const T* v = static_cast<const T*>(a.v) + row * a.v_stride + kh * a.v_head_stride;
        T* dk = static_cast<T*>(b.dk) + row * b.dk_stride + kh * b.dk_head_stride;
        T* dv = static_cast<T*>(b.dv) + row * b.dv_stride + kh * b.dv_head_stride;
        const T p = Exp(Score(a, q, k) - lse);
        T dp = 0;
        for (int64_t c = 0; c < a.value_dim; ++c) dp = std::fma(d_o[c], v[c], dp);
        const T ds = (p * (dp - delta)) * scale;
        for (int64_t c = 0; c < a.value_dim; ++c) dv[c] = std::fma(p, d_o[c], dv[c]);
        for (int64_t d = 0; d < a.key_dim; ++d) dq[d] = std::fma(ds, k[d], dq[d]);
        for (int64_t d = 0; d < a.key_dim; ++d) dk[d] = std::fma(ds, q[d], dk[d]);
      }
    });
  }
}

}  // namespace

void Attention(const AttentionArgs& args, ThreadPool&) {
  CHECK_EQ(args.heads % args.key_heads, 0);
  WithNumber(args.dtype, [&](auto t) { Forward<decltype(t)>(args); });
}

void AttentionBackward(const AttentionBackwardArgs& args, ThreadPool&) {
  CHECK(args.forward.block_table == nullptr);
  CHECK(args.forward.lse != nullptr);
  CHECK_EQ(args.forward.heads % args.forward.key_heads, 0);
  WithNumber(args.forward.dtype, [&](auto t) { Backward<decltype(t)>(args); });
}

}  // namespace sputnik::reference
