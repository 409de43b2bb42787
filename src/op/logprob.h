// The last op of every forward: log-probabilities of given tokens, with the head's product, the log-softmax and the
// selection fused in chunks of rows, so that [N, vocabulary] never exists.
#pragma once

#include "op/pass.h"

namespace sputnik {

struct LogProbs {
  Tensor logprob;  // [N] log softmax(hidden · headᵀ · inverse_temperature)[target], natural log; 0 where target is -1
  Tensor lse;      // [N]
  Tensor entropy;  // [N] nats, if asked for
};

// hidden [N, d], head [vocabulary, d], targets [N] (outliving the tape). Seeds go into logprob.Gradient().
LogProbs LogProb(Pass& pass, const Tensor& hidden, const Tensor& head, const int32_t* targets,
                 double inverse_temperature = 1, bool with_entropy = false);

// logits [N, vocabulary] for few rows (sampling); the same products as LogProb's, bit for bit.
Tensor Logits(Pass& pass, const Tensor& hidden, const Tensor& head);

// The row part alone, of given logits: what a sampler reports equals what LogProb computes.
LogProbs LogProbOfLogits(Pass& pass, const Tensor& logits, const int32_t* targets, double inverse_temperature = 1,
                         bool with_entropy = false);

}  // namespace sputnik
