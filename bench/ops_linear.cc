// Speed of the matrix products at the shapes that training and decoding use, as GFLOP/s and share of the measured
// fused multiply-add peak of the threads in use, beside oneDNN's dnnl_sgemm. Best of repeated runs.
//   ops_linear [THREADS] [FILTER]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(SPUTNIK_HAS_ONEDNN)
#include <dnnl.h>
#include <omp.h>
#endif

#include "base/thread_pool.h"
#include "kernel/cpu/linear.h"

namespace sputnik {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Shortest of the runs of `work` that fit into about `budget` seconds, at least three.
template <class Work>
double Best(const Work& work, double budget = 0.15) {
  work();
  double best = 1e9;
  const double start = Seconds();
  for (int run = 0; run < 3 || Seconds() - start < budget; ++run) {
    const double begin = Seconds();
    work();
    best = std::min(best, Seconds() - begin);
  }
  return best;
}

// ---- the machine's peak ----------------------------------------------------------------------------------------------

constexpr int kSteps = 20000, kChains = 12;

#if defined(__x86_64__)
[[gnu::target("avx512f")]] void Fma512() {
  __m512 sum[kChains];
#pragma GCC unroll 12
  for (__m512& s : sum) s = _mm512_set1_ps(1);
  const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (__m512& s : sum) {
      s = _mm512_fmadd_ps(s, a, b);
      asm volatile("" : "+v"(s));
    }
  }
}
[[gnu::target("avx2,fma")]] void Fma256() {
  __m256 sum[kChains];
#pragma GCC unroll 12
  for (__m256& s : sum) s = _mm256_set1_ps(1);
  const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (__m256& s : sum) {
      s = _mm256_fmadd_ps(s, a, b);
      asm volatile("" : "+x"(s));
    }
  }
}
#endif

// GFLOP/s of all threads of the pool together; 0 where it cannot be measured.
double FmaPeak(ThreadPool& pool) {
#if defined(__x86_64__)
  const bool wide = __builtin_cpu_supports("avx512f");
  if (!wide && !__builtin_cpu_supports("fma")) return 0;
  const double seconds = Best([&] { pool.ParallelFor(pool.size(), [&](int64_t, int) { wide ? Fma512() : Fma256(); }); }, 0.3);
  return pool.size() * 2.0 * kSteps * kChains * (wide ? 16 : 8) / seconds / 1e9;
#else
  (void)pool;
  return 0;
#endif
}

double ReadBandwidth(ThreadPool& pool) {
  const std::vector<uint64_t> memory(32 << 20, 1);
  const int64_t part = static_cast<int64_t>(memory.size()) / pool.size();
  std::vector<uint64_t> sums(static_cast<size_t>(pool.size()) * 8);
  const double seconds = Best([&] {
    pool.ParallelFor(pool.size(), [&](int64_t t, int) {
      uint64_t sum = 0;
      for (int64_t i = 0; i < part; ++i) sum += memory[static_cast<size_t>(t * part + i)];
      sums[static_cast<size_t>(t) * 8] = sum;
    });
  }, 0.3);
  return static_cast<double>(part * pool.size()) * 8 / seconds / 1e9;
}

// ---- cases -----------------------------------------------------------------------------------------------------------

enum class What { kForward, kInput, kWeight };

struct Case {
  const char* name;
  int64_t rows, outputs, inputs, groups;  // rows per group
  bool bf16 = false;
};

constexpr Case kTraining[] = {
    {"large", 2048, 768, 256, 1},      {"mini", 2048, 384, 384, 1},      {"micro", 2048, 256, 256, 1},
    {"nano", 2048, 128, 128, 1},       {"tiny", 2048, 64, 64, 1},        {"tiny ffn", 1000, 192, 64, 1},
    {"tiny small", 100, 192, 64, 1},   {"tiny qkv", 100, 64, 64, 1},     {"head", 1024, 4096, 256, 1},
    {"head small", 1024, 512, 128, 1}, {"narrow", 2048, 96, 256, 1},     {"down", 2048, 256, 96, 1},
    {"experts 16x128", 128, 96, 256, 16}, {"experts 16x512", 512, 64, 128, 16}, {"experts 64x100", 100, 128, 384, 64},
    {"square", 1024, 1024, 1024, 1},
};
constexpr Case kDecoding[] = {
    {"decode 1 f32", 1, 1024, 1024, 1},        {"decode 4 f32", 4, 1024, 1024, 1},
    {"decode 16 f32", 16, 1024, 1024, 1},      {"decode 1 bf16", 1, 1024, 1024, 1, true},
    {"decode 8 bf16", 8, 1024, 1024, 1, true}, {"decode 1 big f32", 1, 4096, 4096, 1},
    {"decode 8 big f32", 8, 4096, 4096, 1},    {"decode 14 big f32", 14, 4096, 4096, 1},
    {"decode 1 big bf16", 1, 4096, 4096, 1, true}, {"decode 8 big bf16", 8, 4096, 4096, 1, true},
    {"decode 1 head", 1, 8192, 256, 1},        {"decode 4 head", 4, 8192, 256, 1},
    {"decode 1 micro", 1, 256, 256, 1},        {"decode 8 micro", 8, 256, 256, 1},
};

struct Operands {
  std::vector<float> x, w, y;
  std::vector<uint16_t> w16;
  std::vector<void*> weights;
  std::vector<int32_t> starts;

  explicit Operands(const Case& c) {
    const auto size = [](int64_t n) { return static_cast<size_t>(n); };
    x.resize(size(c.groups * c.rows * c.inputs));
    y.resize(size(c.groups * c.rows * c.outputs));
    w.resize(size(c.groups * c.outputs * c.inputs));
    uint32_t state = 1;
    for (auto* v : {&x, &w, &y}) {
      for (float& f : *v) f = static_cast<float>((state = state * 1664525 + 1013904223) >> 8) / 16777216.f - 0.5f;
    }
    for (float f : w) w16.push_back(BF16FromFloat(f));
    for (int64_t g = 0; g <= c.groups; ++g) starts.push_back(static_cast<int32_t>(g * c.rows));
    for (int64_t g = 0; g < c.groups; ++g) {
      weights.push_back(c.bf16 ? static_cast<void*>(&w16[size(g * c.outputs * c.inputs)])
                               : static_cast<void*>(&w[size(g * c.outputs * c.inputs)]));
    }
  }
};

double OursSeconds(const Case& c, What what, Operands& o, ThreadPool& pool) {
  const DType weight_dtype = c.bf16 ? DType::kBF16 : DType::kF32;
  if (c.groups == 1) {
    const LinearArgs args{.weight_dtype = weight_dtype, .rows = c.rows, .outputs = c.outputs, .inputs = c.inputs,
                          .x = o.x.data(), .x_stride = c.inputs, .w = o.weights[0], .w_stride = c.inputs,
                          .y = o.y.data(), .y_stride = c.outputs};
    return Best([&] {
      what == What::kForward ? cpu::Linear(args, pool)
      : what == What::kInput ? cpu::LinearBackwardInput(args, pool)
                             : cpu::LinearBackwardWeight(args, pool);
    });
  }
  const GroupedLinearArgs args{.weight_dtype = weight_dtype, .groups = c.groups, .group_start = o.starts.data(),
                               .outputs = c.outputs, .inputs = c.inputs, .x = o.x.data(), .x_stride = c.inputs,
                               .w = o.weights.data(), .w_stride = c.inputs, .y = o.y.data(), .y_stride = c.outputs};
  return Best([&] {
    what == What::kForward ? cpu::GroupedLinear(args, pool)
    : what == What::kInput ? cpu::GroupedLinearBackwardInput(args, pool)
                           : cpu::GroupedLinearBackwardWeight(args, pool);
  });
}

// The same products by dnnl_sgemm, group after group; 0 without oneDNN.
double PeerSeconds(const Case& c, What what, Operands& o, int threads) {
#if defined(SPUTNIK_HAS_ONEDNN)
  omp_set_num_threads(threads);
  return Best([&] {
    for (int64_t g = 0; g < c.groups; ++g) {
      float* x = o.x.data() + g * c.rows * c.inputs;
      float* w = o.w.data() + g * c.outputs * c.inputs;
      float* y = o.y.data() + g * c.rows * c.outputs;
      if (what == What::kForward) {
        dnnl_sgemm('N', 'T', c.rows, c.outputs, c.inputs, 1, x, c.inputs, w, c.inputs, 0, y, c.outputs);
      } else if (what == What::kInput) {
        dnnl_sgemm('N', 'N', c.rows, c.inputs, c.outputs, 1, y, c.outputs, w, c.inputs, 0, x, c.inputs);
      } else {
        dnnl_sgemm('T', 'N', c.outputs, c.inputs, c.rows, 1, y, c.outputs, x, c.inputs, 0, w, c.inputs);
      }
    }
  });
#else
  (void)c, (void)what, (void)o, (void)threads;
  return 0;
#endif
}

void Report(const Case& c, What what, const char* suffix, ThreadPool& pool, double peak, bool bandwidth) {
  Operands operands(c);
  const double flops = 2.0 * static_cast<double>(c.groups * c.rows * c.outputs) * static_cast<double>(c.inputs);
  const double ours = OursSeconds(c, what, operands, pool);
  const double peer = c.bf16 ? 0 : PeerSeconds(c, what, operands, pool.size());
  std::printf("%-18s %-7s %5ldx%-5ldx%-5ld %8.1f us %7.1f GFLOP/s %5.1f%% of peak", c.name, suffix,
              static_cast<long>(c.rows), static_cast<long>(c.outputs), static_cast<long>(c.inputs), ours * 1e6,
              flops / ours / 1e9, peak > 0 ? 100 * flops / ours / 1e9 / peak : 0.0);
  if (bandwidth) {
    std::printf("  %6.1f GB/s", static_cast<double>(c.outputs * c.inputs) * (c.bf16 ? 2 : 4) / ours / 1e9);
  }
  if (peer > 0) std::printf("   oneDNN %7.1f GFLOP/s", flops / peer / 1e9);
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace
}  // namespace sputnik

int main(int argc, char** argv) {
  using namespace sputnik;
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const std::string filter = argc > 2 ? argv[2] : "";
  ThreadPool pool(threads);
  const double peak = FmaPeak(pool);
  std::printf("threads %d, peak %.1f GFLOP/s, read %.1f GB/s\n", pool.size(), peak, ReadBandwidth(pool));
  for (const Case& c : kTraining) {
    if (std::string(c.name).find(filter) == std::string::npos) continue;
    Report(c, What::kForward, "y=xW", pool, peak, false);
    Report(c, What::kInput, "dx", pool, peak, false);
    Report(c, What::kWeight, "dw", pool, peak, false);
  }
  for (const Case& c : kDecoding) {
    if (std::string(c.name).find(filter) == std::string::npos) continue;
    Report(c, What::kForward, "y=xW", pool, peak, true);
  }
  return 0;
}
