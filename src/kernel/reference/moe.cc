#include "kernel/reference/moe.h"

#include <cmath>
#include <vector>

#include "kernel/reference/elementary.h"

namespace sputnik::reference {
namespace {

template <class T>
constexpr T kLowest = -std::numeric_limits<T>::infinity();

template <class T>
void Scores(const RouterArgs& a, const T* logits, T* scores) {
  if (a.score == RouterScore::kSigmoid) {
    for (int64_t e = 0; e < a.experts; ++e) scores[e] = Sigmoid(logits[e]);
    return;
  }
  T max = kLowest<T>;
  for (int64_t e = 0; e < a.experts; ++e) {
    if (logits[e] > max) max = logits[e];
  }
  LaneSum<T> total;
  for (int64_t e = 0; e < a.experts; ++e) {
    scores[e] = Exp(logits[e] - max);
    total.Add(scores[e]);
  }
  const T inverse = T(1) / total.Total();
  for (int64_t e = 0; e < a.experts; ++e) scores[e] *= inverse;
}

// The best `count` of values[0..n), best first, the lower index first among equals; a NaN counts as -infinity.
template <class T>
void Top(const std::vector<T>& values, int64_t count, int32_t* chosen) {
  std::vector<bool> taken(values.size());
  for (int64_t k = 0; k < count; ++k) {
    int64_t best = -1;
    for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
      if (!taken[i] && (best < 0 || values[i] > values[best])) best = i;
    }
    taken[best] = true;
    chosen[k] = static_cast<int32_t>(best);
  }
}

// Sets the values of all but the best groups to -infinity. A group's score is its largest value, or (kNoAuxTc) the sum
// of its two largest.
template <class T>
void LimitGroups(const RouterArgs& a, std::vector<T>& values) {
  const int64_t size = a.experts / a.groups;
  std::vector<T> score(static_cast<size_t>(a.groups));
  for (int64_t g = 0; g < a.groups; ++g) {
    T first = kLowest<T>, second = kLowest<T>;
    for (int64_t i = g * size; i < (g + 1) * size; ++i) {
      if (values[i] > first) {
        second = first;
        first = values[i];
      } else if (values[i] > second) {
        second = values[i];
      }
    }
    score[g] = a.method == RouterMethod::kNoAuxTc && size > 1 ? first + second : first;
    if (score[g] != score[g]) score[g] = kLowest<T>;  // infinite biases of both signs
  }
  std::vector<int32_t> kept(static_cast<size_t>(a.top_groups));
  Top(score, a.top_groups, kept.data());
  std::vector<bool> keep(score.size());
  for (int32_t g : kept) keep[g] = true;
  for (int64_t i = 0; i < a.experts; ++i) {
    if (!keep[i / size]) values[i] = kLowest<T>;
  }
}

template <class T>
T NormaliserOf(const RouterArgs& a, const T* scores, const int32_t* chosen) {
  T sum = 0;
  for (int64_t k = 0; k < a.top_k; ++k) sum += scores[chosen[k]];
  return sum + static_cast<T>(1e-20);
}

template <class T>
void Route(const RouterArgs& a) {
  const bool grouped = a.method != RouterMethod::kGreedy && a.groups > 1;
  std::vector<T> values(static_cast<size_t>(a.experts));
  for (int64_t t = 0; t < a.tokens; ++t) {
    T* scores = static_cast<T*>(a.scores) + t * a.experts;
    int32_t* chosen = a.chosen + t * a.top_k;
    T* weights = static_cast<T*>(a.weights) + t * a.top_k;
    Scores(a, static_cast<const T*>(a.logits) + t * a.experts, scores);
    for (int64_t e = 0; e < a.experts; ++e) {
      T value = scores[e];
      if (a.method == RouterMethod::kNoAuxTc && a.bias != nullptr) value += static_cast<T>(a.bias[e]);
      values[e] = value == value ? value : kLowest<T>;
    }
    if (grouped) LimitGroups(a, values);
    Top(values, a.top_k, chosen);
    const T scaling = static_cast<T>(a.scaling);
    const T normaliser = a.normalise ? NormaliserOf(a, scores, chosen) : T(1);
    for (int64_t k = 0; k < a.top_k; ++k) {
      weights[k] = a.normalise ? (scores[chosen[k]] / normaliser) * scaling : scores[chosen[k]] * scaling;
    }
  }
}

template <class T>
void RouteBackward(const RouterBackwardArgs& b) {
  const RouterArgs& a = b.forward;
  const T scaling = static_cast<T>(a.scaling);
  std::vector<T> ds(static_cast<size_t>(a.experts));
  for (int64_t t = 0; t < a.tokens; ++t) {
    const T* scores = static_cast<const T*>(a.scores) + t * a.experts;
    const int32_t* chosen = a.chosen + t * a.top_k;
    T* dlogits = static_cast<T*>(b.dlogits) + t * a.experts;
    for (int64_t e = 0; e < a.experts; ++e) {
      ds[e] = b.dscores == nullptr ? T(0) : static_cast<const T*>(b.dscores)[t * a.experts + e];
    }
    if (b.dweights != nullptr) {
      const T* dw = static_cast<const T*>(b.dweights) + t * a.top_k;
      T factor = scaling, mean = 0;
      if (a.normalise) {
        const T normaliser = NormaliserOf(a, scores, chosen);
        for (int64_t k = 0; k < a.top_k; ++k) mean = std::fma(dw[k], scores[chosen[k]], mean);
        mean /= normaliser;
        factor = scaling / normaliser;
      }
      for (int64_t k = 0; k < a.top_k; ++k) ds[chosen[k]] = std::fma(factor, dw[k] - mean, ds[chosen[k]]);
    }
    if (a.score == RouterScore::kSigmoid) {
      for (int64_t e = 0; e < a.experts; ++e) {
        dlogits[e] = std::fma(ds[e], scores[e] * (T(1) - scores[e]), dlogits[e]);
      }
    } else {
      LaneSum<T> dot;
      for (int64_t e = 0; e < a.experts; ++e) dot.AddProduct(ds[e], scores[e]);
      const T mean = dot.Total();
      for (int64_t e = 0; e < a.experts; ++e) dlogits[e] = std::fma(scores[e], ds[e] - mean, dlogits[e]);
    }
  }
}

template <class T>
void WeightedSum(const CombineArgs& a) {
  for (int64_t t = 0; t < a.tokens; ++t) {
    for (int64_t c = 0; c < a.columns; ++c) {
      T sum = a.base == nullptr ? T(0) : static_cast<const T*>(a.base)[t * a.columns + c];
      for (int64_t k = 0; k < a.top_k; ++k) {
        const int64_t row = a.slot_row[t * a.top_k + k];
        sum = std::fma(static_cast<const T*>(a.weights)[t * a.top_k + k],
                       static_cast<const T*>(a.x)[row * a.columns + c], sum);
      }
      static_cast<T*>(a.y)[t * a.columns + c] = sum;
    }
  }
}

template <class T>
void WeightedSumBackward(const CombineBackwardArgs& b) {
  const CombineArgs& a = b.forward;
  for (int64_t slot = 0; slot < a.tokens * a.top_k; ++slot) {
    const int64_t row = a.slot_row[slot];
    const T weight = static_cast<const T*>(a.weights)[slot];
    const T* dy = static_cast<const T*>(b.dy) + slot / a.top_k * a.columns;
    const T* x = static_cast<const T*>(a.x) + row * a.columns;
    T* dx = static_cast<T*>(b.dx) + row * a.columns;
    LaneSum<T> dot;
    for (int64_t c = 0; c < a.columns; ++c) {
      dot.AddProduct(dy[c], x[c]);
      dx[c] = std::fma(weight, dy[c], dx[c]);
    }
    static_cast<T*>(b.dweights)[slot] += dot.Total();
  }
}

}  // namespace

void Router(const RouterArgs& args, ThreadPool&) {
  CHECK_LE(args.top_k, args.experts);
  CHECK_EQ(args.experts % args.groups, 0);
  CHECK_LE(args.top_groups, args.groups);
  WithNumber(args.dtype, [&](auto t) { Route<decltype(t)>(args); });
}

void RouterBackward(const RouterBackwardArgs& args, ThreadPool&) {
  WithNumber(args.forward.dtype, [&](auto t) { RouteBackward<decltype(t)>(args); });
}

void Dispatch(const DispatchArgs& args, ThreadPool&) {
  const int64_t slots = args.tokens * args.top_k;
  for (int64_t e = 0; e <= args.experts; ++e) args.group_start[e] = 0;
  for (int64_t i = 0; i < slots; ++i) ++args.group_start[args.chosen[i] + 1];
  for (int64_t e = 0; e < args.experts; ++e) args.group_start[e + 1] += args.group_start[e];
  std::vector<int32_t> next(args.group_start, args.group_start + args.experts);
  for (int64_t i = 0; i < slots; ++i) {
    const int32_t row = next[args.chosen[i]]++;
    args.row_token[row] = static_cast<int32_t>(i / args.top_k);
    args.slot_row[i] = row;
  }
}

void Combine(const CombineArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) { WeightedSum<decltype(t)>(args); });
}

void CombineBackward(const CombineBackwardArgs& args, ThreadPool&) {
  WithNumber(args.forward.dtype, [&](auto t) { WeightedSumBackward<decltype(t)>(args); });
}

}  // namespace sputnik::reference
