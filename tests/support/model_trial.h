// Model folders that tests spoil, convert and compare.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "kernel/backend.h"
#include "model/checkpoint.h"
#include "op/logprob.h"
#include "tensor/widen.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {

namespace fs = std::filesystem;

// Tensors that a test may change, lose or add to before it writes them.
struct LooseTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> data;
};
using LooseTensors = std::map<std::string, LooseTensor>;

inline LooseTensors ReadTensors(const fs::path& path) {
  LooseTensors loose;
  const SafetensorsFile file(path);
  for (const auto& [name, tensor] : file.tensors()) {
    loose[name] = {tensor.dtype, tensor.shape, {tensor.data.begin(), tensor.data.end()}};
  }
  return loose;
}

inline void WriteTensors(const fs::path& path, const LooseTensors& loose) {
  std::vector<TensorToStore> tensors;
  for (const auto& [name, tensor] : loose) tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data});
  WriteSafetensors(path, tensors);
}

inline LooseTensor Zeros(DType dtype, std::vector<int64_t> shape) {
  int64_t bytes = SizeOf(dtype);
  for (const int64_t size : shape) bytes *= size;
  return {dtype, std::move(shape), std::vector<std::byte>(static_cast<size_t>(bytes))};
}

// Random weights, router biases included.
inline void FillRandomly(Decoder& decoder, uint64_t seed) {
  decoder.params().Initialise(decoder.config(), seed);
  Random random(seed, kStreamTest);
  for (const auto& [layer, bias] : decoder.RouterBiases()) {
    for (float& value : bias.span<float>()) value = static_cast<float>(random.Normal());
  }
}

inline std::span<const std::byte> BytesOf(const Param& param) {
  const auto bytes = static_cast<size_t>(param.spec.elements() * SizeOf(param.tensor.dtype()));
  return {static_cast<const std::byte*>(param.tensor.data()), bytes};
}

// Whatever type a parameter has.
inline std::vector<float> ValuesOf(const Param& param) {
  std::vector<float> values(static_cast<size_t>(param.spec.elements()));
  Widen({param.tensor.dtype(), param.spec.shape, BytesOf(param)}, nullptr, 0, values);
  return values;
}

inline bool SameBits(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(std::as_bytes(a), std::as_bytes(b));
}

inline void ExpectSameWeights(const Decoder& a, const Decoder& b) {
  ASSERT_EQ(a.params().list().size(), b.params().list().size());
  for (size_t i = 0; i < a.params().list().size(); ++i) {
    const Param &x = a.params().list()[i], &y = b.params().list()[i];
    EXPECT_EQ(x.spec.name, y.spec.name);
    EXPECT_TRUE(SameBits(ValuesOf(x), ValuesOf(y))) << x.spec.name;
  }
}

// The values of a parameter against those of the file.
inline void ExpectStored(const Param& param, const StoredTensor& stored) {
  std::vector<float> expected(static_cast<size_t>(stored.elements()));
  Widen(stored, nullptr, 0, expected);
  EXPECT_TRUE(SameBits(ValuesOf(param), expected)) << param.spec.name;
}

// Logits of a few tokens, which depend on every weight but the MTP modules'.
inline std::vector<float> LogitsOf(const Decoder& decoder) {
  ThreadPool pool(1);
  Arena arena(int64_t{1} << 26);
  Pass pass({KernelsFor("cpu"), pool}, arena);
  const ForwardResult result = decoder.Forward(pass, RandomBatch(decoder.config(), {5, 9}, 3));
  const std::span<float> logits = Logits(pass, result.hidden, decoder.head()).span<float>();
  return {logits.begin(), logits.end()};
}

class Checkpoint : public testing::Test {
 protected:
  // A copy of a golden folder that may be spoilt.
  void Take(const std::string& golden) {
    fs::copy(GoldenFolder() / "model" / golden, folder_.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }
  fs::path Weights() const { return folder_ / "model.safetensors"; }
  // The message with which the folder is refused: it names the folder and, if given, the tensor.
  std::string Refusal(const std::string& tensor = "") {
    const std::string message = ExpectError(ExitCode::kBadInput, [&] { LoadModel(folder_.path(), false); });
    EXPECT_MENTIONS(message, folder_.path().string());
    if (!tensor.empty()) {
      EXPECT_MENTIONS(message, fmt::format("`{}`", tensor));
    }
    return message;
  }
  std::string RefusalOf(const LooseTensors& tensors, const std::string& tensor) {
    WriteTensors(Weights(), tensors);
    return Refusal(tensor);
  }
  void WriteIndex(const Json& weight_map) {
    WriteFileAtomically(folder_ / "model.safetensors.index.json", Json({{"weight_map", weight_map}}).dump());
  }

  TemporaryFolder folder_;
  const std::string embedding_ = "model.embed_tokens.weight";
};

}  // namespace sputnik
