#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "tests/support/machines.h"
#include "tests/support/op_cases.h"

namespace sputnik {
namespace {

constexpr int64_t kPadding = 3;

uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0;
  for (const char c : text) hash = HashCombine(hash, static_cast<unsigned char>(c));
  return hash;
}

double ReadElement(const void* data, DType dtype, int64_t i) {
  return dtype == DType::kF64 ? static_cast<const double*>(data)[i]
                              : static_cast<double>(static_cast<const float*>(data)[i]);
}

void WriteElement(void* data, DType dtype, int64_t i, double value) {
  if (dtype == DType::kF64) {
    static_cast<double*>(data)[i] = value;
  } else {
    static_cast<float*>(data)[i] = static_cast<float>(value);
  }
}

// Calls f(offset in elements) for every element of a view, in order.
template <class F>
void ForEach(const Tensor& view, F&& f, int axis = 0, int64_t offset = 0) {
  if (axis == view.rank()) return f(offset);
  for (int64_t i = 0; i < view.size(axis); ++i) ForEach(view, f, axis + 1, offset + i * view.stride(axis));
}

double Norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

// Outputs and gradients in one list, for comparisons.
std::vector<std::pair<std::string, std::vector<double>>> Everything(const OpResult& result) {
  std::vector<std::pair<std::string, std::vector<double>>> all;
  for (size_t i = 0; i < result.outputs.size(); ++i) all.emplace_back("output " + std::to_string(i), result.outputs[i]);
  for (const auto& [name, gradient] : result.values) all.emplace_back("gradient of " + name, gradient);
  return all;
}

void ExpectSameBits(const OpResult& a, const OpResult& b, const std::string& what) {
  const auto left = Everything(a), right = Everything(b);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) EXPECT_EQ(left[i].second, right[i].second) << what << ", " << left[i].first;
}

}  // namespace

Tensor OpInputs::Get(const std::string& name, std::initializer_list<int64_t> shape, double scale, double shift,
                     bool learnt, bool padded, DType dtype) {
  const auto found = operands_.find(name);
  if (found != operands_.end()) return found->second.view;
  Operand& operand = operands_[name];
  const std::vector<int64_t> sizes(shape);
  std::vector<int64_t> outer = sizes;
  if (padded) {
    outer[0] += 2;
    outer.back() += kPadding;
  }
  int64_t elements = 1;
  for (const int64_t size : outer) elements *= size;
  operand.memory = std::make_unique<double[]>(static_cast<size_t>(elements));
  if (learnt) {
    operand.gradient = std::make_unique<double[]>(static_cast<size_t>(elements));
    operand.slot = std::make_unique<GradientSlot>(
        GradientSlot{.data = operand.gradient.get(), .elements = elements, .dtype = dtype});
  }
  const auto make = [&](const std::vector<int64_t>& s) {
    if (s.size() == 1) return Tensor(operand.memory.get(), dtype, {s[0]}, operand.slot.get());
    if (s.size() == 2) return Tensor(operand.memory.get(), dtype, {s[0], s[1]}, operand.slot.get());
    return Tensor(operand.memory.get(), dtype, {s[0], s[1], s[2]}, operand.slot.get());
  };
  operand.root = operand.view = make(outer);
  if (padded) {
    operand.view = operand.view.Slice(0, 1, sizes[0]);
    operand.view = operand.view.Slice(-1, 2, sizes.back());
    std::fill_n(static_cast<std::byte*>(operand.root.data()), elements * SizeOf(dtype), std::byte{0x7f});
  }
  Random random(HashOf(name), kStreamTest);
  ForEach(operand.view,
          [&](int64_t i) { WriteElement(operand.view.data(), dtype, i, shift + scale * random.Normal()); });
  // Rounded once, so that every number type starts from the same values.
  ForEach(operand.view, [&](int64_t i) {
    const double value = ReadElement(operand.view.data(), dtype, i);
    WriteElement(operand.view.data(), dtype, i, static_cast<double>(static_cast<float>(value)));
  });
  return operand.view;
}

Tensor OpInputs::Matrix(const std::string& name, int64_t rows, int64_t columns, double scale, double shift) {
  return Get(name, {rows, columns}, scale, shift, true, padded_, dtype_);
}
Tensor OpInputs::Vector(const std::string& name, int64_t size, double scale, double shift) {
  return Get(name, {size}, scale, shift, true, false, dtype_);
}
Tensor OpInputs::Contiguous(const std::string& name, int64_t rows, int64_t columns, double scale) {
  return Get(name, {rows, columns}, scale, 0, true, false, dtype_);
}
Tensor OpInputs::Constant(const std::string& name, std::initializer_list<int64_t> shape, double scale, bool f32) {
  return Get(name, shape, scale, 0, false, false, f32 ? DType::kF32 : dtype_);
}
const int32_t* OpInputs::Integers(std::vector<int32_t> values) {
  integers_.push_back(std::move(values));
  return integers_.back().data();
}

OpTrial::OpTrial(OpCase op_case, DType dtype, const std::string& machine, int threads, bool padded)
    : case_(std::move(op_case)),
      pool_(threads),
      machine_{KernelsFor(machine), pool_},
      inputs_(dtype, padded),
      arena_(int64_t{1} << 30) {}

OpResult OpTrial::Forward() { return Run(false); }
OpResult OpTrial::Backward() { return Run(true); }

OpResult OpTrial::Run(bool backward) {
  const ArenaScope scope(arena_);
  for (auto& [name, operand] : inputs_.operands()) {
    if (operand.gradient) std::fill_n(operand.gradient.get(), operand.slot->elements, 0.0);
  }
  Tape tape(arena_);
  Pass pass(machine_, arena_, backward ? &tape : nullptr);
  const OpOutputs out = case_.run(pass, inputs_);
  OpResult result;
  result.loss = out.loss;
  Random random(7, kStreamTest);
  for (const Tensor& tensor : out.tensors) {
    const Tensor gradient = backward ? tensor.Gradient(arena_) : Tensor();
    std::vector<double> values;
    ForEach(tensor, [&](int64_t i) {
      // Exact in float32, so that both number types differentiate the same loss.
      const double coefficient = static_cast<double>(static_cast<float>(random.Normal()));
      values.push_back(ReadElement(tensor.data(), tensor.dtype(), i));
      result.loss += coefficient * values.back();
      if (backward) WriteElement(gradient.data(), gradient.dtype(), i, coefficient);
    });
    result.outputs.push_back(std::move(values));
  }
  if (!backward) return result;
  tape.Backward();
  for (auto& [name, operand] : inputs_.operands()) {
    if (!operand.gradient) continue;
    std::vector<double>& values = result.values[name];
    const Tensor gradient = operand.view.Gradient(arena_);
    ForEach(gradient, [&](int64_t i) { values.push_back(ReadElement(gradient.data(), gradient.dtype(), i)); });
    // What lies around a view is nobody's.
    double around = 0, inside = 0;
    const Tensor root = operand.root.Gradient(arena_);
    ForEach(root, [&](int64_t i) { around += std::abs(ReadElement(root.data(), root.dtype(), i)); });
    for (const double value : values) inside += std::abs(value);
    EXPECT_NEAR(around, inside, 1e-9 * inside) << "gradient outside the view " << name;
  }
  return result;
}

TEST_P(OpCaseTest, GradientsEqualDifferences) {
  OpTrial trial(GetParam(), DType::kF64, "reference", 1);
  const OpResult result = trial.Backward();
  ASSERT_FALSE(result.values.empty());
  EXPECT_EQ(trial.Forward().loss, result.loss) << "a tape changes the forward";
  Random random(11, kStreamTest);
  for (const auto& [name, gradient] : result.values) {
    OpInputs::Operand& operand = trial.inputs().operands().at(name);
    const auto probes = std::min<size_t>(gradient.size(), 60);
    double difference = 0, size = 0;
    for (size_t probe = 0; probe < probes; ++probe) {
      const auto i = probes == gradient.size() ? probe : random.Below(gradient.size());
      double& value = operand.view.as<double>()[i];  // unpadded, so contiguous
      const double old = value, step = 1e-5;
      value = old + step;
      const double above = trial.Forward().loss;
      value = old - step;
      const double below = trial.Forward().loss;
      value = old;
      difference = std::max(difference, std::abs((above - below) / (2 * step) - gradient[i]));
      size = std::max(size, std::abs(gradient[i]));
    }
    EXPECT_GT(size, 1e-4) << name << " has no gradient to speak of";
    EXPECT_LE(difference, 1e-6 * size) << name;
  }
}

TEST_P(OpCaseTest, ThreadCountChangesNoBit) {
  for (const std::string& machine : AvailableMachines()) {
    const OpResult alone = OpTrial(GetParam(), DType::kF32, machine, 1).Backward();
    for (const int threads : {2, 3, 5}) {
      ExpectSameBits(alone, OpTrial(GetParam(), DType::kF32, machine, threads).Backward(),
                     machine + " with " + std::to_string(threads) + " threads");
    }
  }
}

TEST_P(OpCaseTest, StridesChangeNoBit) {
  for (const std::string& machine : AvailableMachines()) {
    ExpectSameBits(OpTrial(GetParam(), DType::kF32, machine, 2).Backward(),
                   OpTrial(GetParam(), DType::kF32, machine, 2, true).Backward(), machine + " with strided views");
  }
}

TEST_P(OpCaseTest, EveryMachineGivesTheSameBits) {
  const OpResult reference = OpTrial(GetParam(), DType::kF32, "reference", 1).Backward();
  for (const std::string& machine : AvailableMachines()) {
    if (machine == "reference") continue;
    for (const std::string& target : SimdTargets()) {
      if (target == "SSE4" || target == "SSSE3") continue;  // without fused multiply-add: may differ
      UseSimdTarget(target);
      ExpectSameBits(reference, OpTrial(GetParam(), DType::kF32, machine, 2).Backward(), machine + " on " + target);
    }
    UseSimdTarget("");
  }
}

// Float32 must not be further from double than rounding explains: every operation of the longest chain may move a
// result as much as a relative change of all inputs by epsilon does (which is measured, in double), or by epsilon of
// its norm.
TEST_P(OpCaseTest, Float32IsAsCloseAsRoundingAllows) {
  OpTrial exact(GetParam(), DType::kF64, "reference", 1);
  const auto truth = Everything(exact.Backward());
  std::vector<double> sensitivity(truth.size());
  Random random(13, kStreamTest);
  constexpr double kChange = 1e-7;
  for (int probe = 0; probe < 4; ++probe) {
    std::map<std::string, std::vector<double>> kept;
    for (auto& [name, operand] : exact.inputs().operands()) {
      if (operand.view.dtype() != DType::kF64) continue;
      for (double& value : operand.view.span<double>()) {
        kept[name].push_back(value);
        value *= 1 + (random.Below(2) == 0 ? kChange : -kChange);
      }
    }
    const auto moved = Everything(exact.Backward());
    for (size_t i = 0; i < truth.size(); ++i) {
      sensitivity[i] = std::max(sensitivity[i], Distance(moved[i].second, truth[i].second) / kChange);
    }
    for (auto& [name, values] : kept)
      std::copy(values.begin(), values.end(), exact.inputs().operands().at(name).view.as<double>());
  }
  for (const std::string& machine : AvailableMachines()) {
    const auto rounded = Everything(OpTrial(GetParam(), DType::kF32, machine, 2).Backward());
    ASSERT_EQ(rounded.size(), truth.size());
    for (size_t i = 0; i < truth.size(); ++i) {
      const double bound = 0x1p-24 * static_cast<double>(GetParam().terms) * (Norm(truth[i].second) + sensitivity[i]);
      EXPECT_LE(Distance(rounded[i].second, truth[i].second), bound) << machine << ", " << truth[i].first;
    }
  }
}

}  // namespace sputnik
