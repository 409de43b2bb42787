#include "kernel/cpu/moe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "kernel/cpu/split.h"
#include "kernel/reference/moe.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/cpu/moe.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernel/cpu/elementary-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
namespace moe {
using namespace simd;

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// ---- router
// ----------------------------------------------------------------------------------------------------------

HWY_INLINE void SoftmaxScores(const float* logits, int64_t n, float* scores) {
  const V lowest = hn::Set(D(), kLowest);
  V best = lowest;
  ForEachVector(n, [&](auto access, int64_t i)
                       HWY_ATTR { best = hn::Max(best, access.KeepElse(access.Load(logits + i), lowest)); });
  const V max = hn::MaxOfLanes(D(), best);
  RowLanes sum;
  sum.Fill(0);
  ForEachRowLane(n, sum, [&](auto access, int64_t i, V& lane) HWY_ATTR {
    const V e = access.Keep(Exp(hn::Sub(access.Load(logits + i), max)));
    access.Store(e, scores + i);
    lane = hn::Add(lane, e);
  });
  const V inverse = hn::Set(D(), 1.0f / sum.Total());
  ForEachVector(
      n, [&](auto access, int64_t i) HWY_ATTR { access.Store(hn::Mul(access.Load(scores + i), inverse), scores + i); });
}

// The best `count` of values[0..n), best first, the lower index first among equals. `values` is continued with
// -infinity to a multiple of kWidth; what is chosen becomes -infinity.
HWY_INLINE void Top(float* values, int64_t n, int64_t count, int32_t* chosen) {
  const D d;
  const int64_t padded = (n + kWidth - 1) / kWidth * kWidth;
  for (int64_t k = 0; k < count; ++k) {
    V best = hn::LoadU(d, values);
    for (int64_t i = kWidth; i < padded; i += kWidth) best = hn::Max(best, hn::LoadU(d, values + i));
    best = hn::MaxOfLanes(d, best);
    int64_t found = 0;
    if (hn::GetLane(best) == kLowest) {  // only excluded ones are left: the lowest index not yet chosen
      while (std::find(chosen, chosen + k, static_cast<int32_t>(found)) != chosen + k) ++found;
    } else {
      for (int64_t i = 0;; i += kWidth) {
        const intptr_t lane = hn::FindFirstTrue(d, hn::Eq(hn::LoadU(d, values + i), best));
        if (lane < 0) continue;
        found = i + lane;
        break;
      }
    }
    values[found] = kLowest;
    chosen[k] = static_cast<int32_t>(found);
  }
}

// As kernel/reference/moe.cc has it; `group_values` has room for the groups and a vector more.
HWY_INLINE void LimitGroups(const RouterArgs& a, float* values, float* group_values, int32_t* kept) {
  const int64_t size = a.experts / a.groups;
  for (int64_t g = 0; g < a.groups; ++g) {
    float first = kLowest, second = kLowest;
    for (int64_t i = g * size; i < (g + 1) * size; ++i) {
      second = std::max(second, std::min(first, values[i]));
      first = std::max(first, values[i]);
    }
    const float score = a.method == RouterMethod::kNoAuxTc && size > 1 ? first + second : first;
    group_values[g] = score == score ? score : kLowest;
  }
  std::fill(group_values + a.groups, group_values + a.groups + kWidth, kLowest);
  Top(group_values, a.groups, a.top_groups, kept);
  for (int64_t g = 0; g < a.groups; ++g) {
    if (std::find(kept, kept + a.top_groups, static_cast<int32_t>(g)) != kept + a.top_groups) continue;
    std::fill(values + g * size, values + (g + 1) * size, kLowest);
  }
}

HWY_INLINE float NormaliserOf(const RouterArgs& a, const float* scores, const int32_t* chosen) {
  float sum = 0;
  for (int64_t k = 0; k < a.top_k; ++k) sum += scores[chosen[k]];
  return sum + static_cast<float>(1e-20);
}

void RouterTokens(const RouterArgs& a, int64_t begin, int64_t end) {
  const bool grouped = a.method != RouterMethod::kGreedy && a.groups > 1;
  const bool biased = a.method == RouterMethod::kNoAuxTc && a.bias != nullptr;
  std::vector<float> values(static_cast<size_t>(a.experts + kWidth), kLowest);
  std::vector<float> group_values(static_cast<size_t>(a.groups + kWidth));
  std::vector<int32_t> kept(static_cast<size_t>(a.top_groups));
  const V lowest = hn::Set(D(), kLowest);
  const float scaling = static_cast<float>(a.scaling);
  for (int64_t t = begin; t < end; ++t) {
    const float* logits = static_cast<const float*>(a.logits) + t * a.experts;
    float* scores = static_cast<float*>(a.scores) + t * a.experts;
    int32_t* chosen = a.chosen + t * a.top_k;
    float* weights = static_cast<float*>(a.weights) + t * a.top_k;
    if (a.score == RouterScore::kSigmoid) {
      ForEachVector(a.experts, [&](auto access, int64_t i)
                                   HWY_ATTR { access.Store(Sigmoid(access.Load(logits + i)), scores + i); });
    } else {
      SoftmaxScores(logits, a.experts, scores);
    }
    ForEachVector(a.experts, [&](auto access, int64_t i) HWY_ATTR {
      V value = access.Load(scores + i);
      if (biased) value = hn::Add(value, access.Load(a.bias + i));
      access.Store(hn::IfThenElse(hn::Eq(value, value), value, lowest), values.data() + i);  // a NaN is not chosen
    });
    if (grouped) LimitGroups(a, values.data(), group_values.data(), kept.data());
    Top(values.data(), a.experts, a.top_k, chosen);
    const float normaliser = a.normalise ? NormaliserOf(a, scores, chosen) : 1.0f;
    for (int64_t k = 0; k < a.top_k; ++k) {
      weights[k] = a.normalise ? (scores[chosen[k]] / normaliser) * scaling : scores[chosen[k]] * scaling;
    }
  }
}

void RouterBackwardTokens(const RouterBackwardArgs& b, int64_t begin, int64_t end) {
  const RouterArgs& a = b.forward;
  const float scaling = static_cast<float>(a.scaling);
  const V one = hn::Set(D(), 1.0f);
  std::vector<float> slopes(static_cast<size_t>(a.experts));
  float* ds = slopes.data();
  for (int64_t t = begin; t < end; ++t) {
    const float* scores = static_cast<const float*>(a.scores) + t * a.experts;
    const int32_t* chosen = a.chosen + t * a.top_k;
    float* dlogits = static_cast<float*>(b.dlogits) + t * a.experts;
    if (b.dscores == nullptr) {
      std::fill(slopes.begin(), slopes.end(), 0.0f);
    } else {
      std::copy_n(static_cast<const float*>(b.dscores) + t * a.experts, a.experts, ds);
    }
    if (b.dweights != nullptr) {
      const float* dw = static_cast<const float*>(b.dweights) + t * a.top_k;
      float factor = scaling, mean = 0;
      if (a.normalise) {
        const float normaliser = NormaliserOf(a, scores, chosen);
        for (int64_t k = 0; k < a.top_k; ++k) mean = std::fma(dw[k], scores[chosen[k]], mean);
        mean /= normaliser;
        factor = scaling / normaliser;
      }
      for (int64_t k = 0; k < a.top_k; ++k) ds[chosen[k]] = std::fma(factor, dw[k] - mean, ds[chosen[k]]);
    }
    if (a.score == RouterScore::kSigmoid) {
      ForEachVector(a.experts, [&](auto access, int64_t i) HWY_ATTR {
        const V score = access.Load(scores + i);
        const V slope = hn::Mul(score, hn::Sub(one, score));
        access.Store(hn::MulAdd(access.Load(ds + i), slope, access.Load(dlogits + i)), dlogits + i);
      });
    } else {
      const V mean = hn::Set(D(), DotOfRows(ds, scores, a.experts));
      ForEachVector(a.experts, [&](auto access, int64_t i) HWY_ATTR {
        const V centred = hn::Sub(access.Load(ds + i), mean);
        access.Store(hn::MulAdd(access.Load(scores + i), centred, access.Load(dlogits + i)), dlogits + i);
      });
    }
  }
}

// ---- combine
// ---------------------------------------------------------------------------------------------------------

void CombineTokens(const CombineArgs& a, int64_t begin, int64_t end) {
  const float* base = static_cast<const float*>(a.base);
  for (int64_t t = begin; t < end; ++t) {
    const float* weights = static_cast<const float*>(a.weights) + t * a.top_k;
    const int32_t* rows = a.slot_row + t * a.top_k;
    float* y = static_cast<float*>(a.y) + t * a.columns;
    ForEachVector(a.columns, [&](auto access, int64_t i) HWY_ATTR {
      V sum = base == nullptr ? hn::Zero(D()) : access.Load(base + t * a.columns + i);
      for (int64_t k = 0; k < a.top_k; ++k) {
        const float* x = static_cast<const float*>(a.x) + rows[k] * a.columns;
        sum = hn::MulAdd(hn::Set(D(), weights[k]), access.Load(x + i), sum);
      }
      access.Store(sum, y + i);
    });
  }
}

// Sorted rows [begin, end): x and dx are read in order, and dy, which is smaller, out of order.
void CombineBackwardRows(const CombineBackwardArgs& b, const int32_t* row_slot, int64_t begin, int64_t end) {
  const CombineArgs& a = b.forward;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t slot = row_slot[row];
    const V weight = hn::Set(D(), static_cast<const float*>(a.weights)[slot]);
    const float* dy = static_cast<const float*>(b.dy) + slot / a.top_k * a.columns;
    const float* x = static_cast<const float*>(a.x) + row * a.columns;
    float* dx = static_cast<float*>(b.dx) + row * a.columns;
    RowLanes dot;
    dot.Fill(0);
    ForEachRowLane(a.columns, dot, [&](auto access, int64_t i, V& lane) HWY_ATTR {
      const V seed = access.Load(dy + i);
      lane = hn::MulAdd(seed, access.Load(x + i), lane);
      access.Store(hn::MulAdd(weight, seed, access.Load(dx + i)), dx + i);
    });
    static_cast<float*>(b.dweights)[slot] += dot.Total();
  }
}

}  // namespace moe

void RouterRange(const RouterArgs& a, int64_t begin, int64_t end) { moe::RouterTokens(a, begin, end); }
void RouterBackwardRange(const RouterBackwardArgs& a, int64_t begin, int64_t end) {
  moe::RouterBackwardTokens(a, begin, end);
}
void CombineRange(const CombineArgs& a, int64_t begin, int64_t end) { moe::CombineTokens(a, begin, end); }
void CombineBackwardRange(const CombineBackwardArgs& a, const int32_t* row_slot, int64_t begin, int64_t end) {
  moe::CombineBackwardRows(a, row_slot, begin, end);
}

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik::cpu {

HWY_EXPORT(RouterRange);
HWY_EXPORT(RouterBackwardRange);
HWY_EXPORT(CombineRange);
HWY_EXPORT(CombineBackwardRange);

void Router(const RouterArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  CHECK_LE(args.top_k, args.experts);
  CHECK_EQ(args.experts % args.groups, 0);
  CHECK_LE(args.top_groups, args.groups);
  const auto range = HWY_DYNAMIC_DISPATCH(RouterRange);
  SplitRange(pool, args.tokens, args.experts * (4 + args.top_k / 4), 1,
             [&](int64_t begin, int64_t end) { range(args, begin, end); });
}

void RouterBackward(const RouterBackwardArgs& args, ThreadPool& pool) {
  CHECK(args.forward.dtype == DType::kF32);
  const auto range = HWY_DYNAMIC_DISPATCH(RouterBackwardRange);
  SplitRange(pool, args.forward.tokens, 2 * args.forward.experts, 1,
             [&](int64_t begin, int64_t end) { range(args, begin, end); });
}

// A counting sort over integers: one thread is faster than memory needs, and there is nothing to vectorise.
void Dispatch(const DispatchArgs& args, ThreadPool& pool) { reference::Dispatch(args, pool); }

void Combine(const CombineArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const auto range = HWY_DYNAMIC_DISPATCH(CombineRange);
  SplitRange(pool, args.tokens, (args.top_k + 1) * args.columns, 1,
             [&](int64_t begin, int64_t end) { range(args, begin, end); });
}

void CombineBackward(const CombineBackwardArgs& args, ThreadPool& pool) {
  const CombineArgs& forward = args.forward;
  CHECK(forward.dtype == DType::kF32);
  std::vector<int32_t> row_slot(static_cast<size_t>(forward.tokens * forward.top_k));
  for (size_t slot = 0; slot < row_slot.size(); ++slot) row_slot[forward.slot_row[slot]] = static_cast<int32_t>(slot);
  const auto range = HWY_DYNAMIC_DISPATCH(CombineBackwardRange);
  SplitRange(pool, static_cast<int64_t>(row_slot.size()), 2 * forward.columns, 1,
             [&](int64_t begin, int64_t end) { range(args, row_slot.data(), begin, end); });
}

}  // namespace sputnik::cpu
#endif
