#include "tensor/safetensors.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <new>

#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

std::span<const std::byte> BytesOf(const auto& values) { return std::as_bytes(std::span(values)); }

class Safetensors : public testing::Test {
 protected:
  // A file with this header and these data, as a stranger may have written it.
  void WriteRaw(std::string_view header, std::string_view data = {}) {
    const uint64_t length = header.size();
    std::string text(reinterpret_cast<const char*>(&length), sizeof length);
    Write(text.append(header).append(data));
  }
  void Write(std::string_view bytes) { std::ofstream(path_, std::ios::binary) << bytes; }
  // The message of a refusal, which must name the file.
  std::string Refusal() {
    const std::string message = ExpectError(ExitCode::kBadInput, [&] { SafetensorsFile file(path_); });
    EXPECT_MENTIONS(message, path_.string());
    return message;
  }
  std::string Refusal(std::string_view header, std::string_view data = {}) {
    WriteRaw(header, data);
    return Refusal();
  }
  // Of an entry that is the only one, for 8 bytes of data.
  std::string EntryRefusal(const std::string& entry) {
    const std::string message = Refusal("{\"weight\":" + entry + "}", "12345678");
    EXPECT_MENTIONS(message, "tensor `weight`") << entry;
    return message;
  }

  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "some.safetensors";
};

TEST_F(Safetensors, EveryByteComesBack) {
  const float nan = std::bit_cast<float>(0x7fc12345u);
  const std::vector<float> f32 = {1.5f, -0.f, std::numeric_limits<float>::denorm_min(), nan, 3e38f, -2};
  const std::vector<uint16_t> bf16 = {0x3f80, 0x8000, 0x7fc1};  // of odd length, so that what follows is not aligned
  const std::vector<double> f64 = {1e-300, -7};
  const std::vector<int32_t> i32 = {-1, 1 << 30};
  const TensorToStore tensors[] = {
      {"z.first", DType::kBF16, {3}, BytesOf(bf16)}, {"weight", DType::kF32, {2, 3}, BytesOf(f32)},
      {"none", DType::kF32, {4, 0, 2}, {}},          {"wide", DType::kF64, {1, 2, 1}, BytesOf(f64)},
      {"ids \"€\"", DType::kI32, {2}, BytesOf(i32)}, {"scalar", DType::kF32, {}, BytesOf(f32).first(4)}};
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"", "line\nbreak"}};
  WriteSafetensors(path_, tensors, metadata);
  const SafetensorsFile file(path_);
  EXPECT_EQ(file.path(), path_);
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), std::size(tensors));
  for (const TensorToStore& tensor : tensors) {
    const StoredTensor& stored = file.tensors().at(tensor.name);
    EXPECT_EQ(stored.dtype, tensor.dtype) << tensor.name;
    EXPECT_EQ(stored.shape, tensor.shape) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(stored.data, tensor.data)) << tensor.name;
    EXPECT_EQ(stored.elements() * SizeOf(tensor.dtype), static_cast<int64_t>(tensor.data.size())) << tensor.name;
  }
}

TEST_F(Safetensors, TheFileIsLaidOutAsTheFormatSays) {
  const std::vector<uint16_t> half = {0x4241};
  const std::vector<int32_t> ids = {0x46454443};
  const TensorToStore tensors[] = {{"b", DType::kBF16, {1}, BytesOf(half)}, {"a", DType::kI32, {1, 1}, BytesOf(ids)}};
  WriteSafetensors(path_, tensors, {{"k", "v"}});
  const std::string bytes = ReadFile(path_);
  std::string header = R"({"__metadata__":{"k":"v"},"b":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},)"
                       R"("a":{"dtype":"I32","shape":[1,1],"data_offsets":[2,6]}})";
  while (header.size() % 8 != 0) header += ' ';  // data start at a multiple of 8
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  EXPECT_EQ(length, header.size());
  EXPECT_EQ(bytes.substr(8), header + "ABCDEF");
}

TEST_F(Safetensors, DataMayStartAnywhereAndStandInAnyOrder) {
  WriteRaw(
      R"({"a":{"shape":[1],"data_offsets":[4,8],"dtype":"F32"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]} })",
      "efghabcd");
  const SafetensorsFile file(path_);
  EXPECT_EQ(std::memcmp(file.tensors().at("a").data.data(), "abcd", 4), 0);
  EXPECT_EQ(std::memcmp(file.tensors().at("b").data.data(), "efgh", 4), 0);
  EXPECT_TRUE(file.metadata().empty());
}

TEST_F(Safetensors, AFileWithoutTensorsIsWhole) {
  WriteRaw("{}");
  EXPECT_TRUE(SafetensorsFile(path_).tensors().empty());
  WriteSafetensors(path_, {});
  EXPECT_TRUE(SafetensorsFile(path_).tensors().empty());
}

TEST_F(Safetensors, FilesOfTheReferenceLibraryAreRead) {
  const SafetensorsFile file(GoldenFolder() / "model/v3_bf16/model.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  const StoredTensor& embedding = file.tensors().at("model.embed_tokens.weight");
  EXPECT_EQ(embedding.dtype, DType::kBF16);
  EXPECT_EQ(embedding.shape, (std::vector<int64_t>{40, 16}));
  EXPECT_EQ(embedding.elements(), 640);
}

TEST_F(Safetensors, LengthsThatTheFileDoesNotHave) {
  EXPECT_MENTIONS(Refusal(), "cannot open");
  for (const size_t bytes : {0u, 1u, 7u}) {
    Write(std::string(bytes, '\1'));
    EXPECT_MENTIONS(Refusal(), "too short");
  }
  WriteRaw("{}");
  std::filesystem::resize_file(path_, 9);
  EXPECT_MENTIONS(Refusal(), "claims 2 bytes of a file of 9");
  for (const uint64_t claim : {uint64_t{3}, uint64_t{1} << 40, std::numeric_limits<uint64_t>::max()}) {
    std::string text(reinterpret_cast<const char*>(&claim), sizeof claim);
    Write(text + "{}");
    EXPECT_MENTIONS(Refusal(), "claims " + std::to_string(claim) + " bytes");
  }
}

// The file is as long as it says, but a header of that size is nobody's: it must not be parsed.
TEST_F(Safetensors, HeadersAboveTheCap) {
  for (const uint64_t length : {uint64_t{100'000'000}, uint64_t{100'000'001}}) {
    Write({reinterpret_cast<const char*>(&length), sizeof length});
    std::filesystem::resize_file(path_, 8 + length);  // a hole: no disk is used
    EXPECT_MENTIONS(Refusal(), length == 100'000'000 ? "a NUL" : "claims 100000001 bytes");
  }
}

TEST_F(Safetensors, HeadersThatAreNotJson) {
  for (const char* header : {"", " ", "{", "{\"__metadata__\":{},}", "hello", "{} {}", "{\"a\xff\":1}", "{'a':1}"}) {
    EXPECT_MENTIONS(Refusal(header), "not valid JSON") << header;
  }
  EXPECT_MENTIONS(Refusal(std::string_view("{}\0", 3)), "a NUL");
  EXPECT_MENTIONS(Refusal("\xef\xbb\xbf{}"), "byte order mark");
  for (const char* header : {"[]", "1", "null", "\"text\"", "[1,2", "true", "-1", "0.5"})
    EXPECT_MENTIONS(Refusal(header), "not a JSON object");
  EXPECT_MENTIONS(Refusal("{\"a\":" + std::string(100'000, '[')), "exactly dtype, shape and data_offsets");
  EXPECT_MENTIONS(Refusal("{\"a\":{\"shape\":" + std::string(100'000, '[')), "a size is not a whole number");
  // However long the nonsense, the message stays short.
  EXPECT_LT(Refusal(std::string(1, '"').append(100'000, 'x')).size(), path_.string().size() + 400);
}

TEST_F(Safetensors, NamesThatStandTwice) {
  const std::string entry = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  EXPECT_MENTIONS(Refusal("{\"a\":" + entry + ",\"b\":" + entry + ",\"a\":" + entry + "}"), "names `a` twice");
  EXPECT_MENTIONS(Refusal("{\"a\":" + entry + ",\"\\u0061\":" + entry + "}"), "names `a` twice");
  EXPECT_MENTIONS(Refusal(R"({"a":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}})"), "`dtype` twice");
  EXPECT_MENTIONS(Refusal(R"({"__metadata__":{"k":"v","k":"v"}})"), "`k` twice");
  EXPECT_MENTIONS(Refusal(R"({"__metadata__":{},"__metadata__":{}})"), "`__metadata__` twice");
}

TEST_F(Safetensors, NamesThatCouldSteerATerminal) {
  const std::string entry = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  for (const std::string& name : {std::string(), std::string("a\\u001b[2J"), std::string(1025, 'n')}) {
    const std::string message = Refusal("{\"" + name + "\":" + entry + "}");
    EXPECT_MENTIONS(message, "holds control characters");
    EXPECT_EQ(message.find('\x1b'), message.npos);
    EXPECT_LT(message.size(), path_.string().size() + 500);
  }
  WriteRaw("{\"" + std::string(1024, 'n') + "\":" + entry + "}");
  EXPECT_EQ(SafetensorsFile(path_).tensors().size(), 1u);
}

TEST_F(Safetensors, EntriesWithOtherKeys) {
  for (const char* entry :
       {"1", "[]", "{}", R"({"dtype":"F32","shape":[2]})", R"({"dtype":"F32","data_offsets":[0,8]})",
        R"({"shape":[2],"data_offsets":[0,8]})", R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1})"}) {
    EXPECT_MENTIONS(EntryRefusal(entry), "exactly dtype, shape and data_offsets");
  }
}

TEST_F(Safetensors, TypesThatAreNotKnown) {
  for (const char* type : {"\"I64\"", "\"f32\"", "\"\"", "\"F8_E5M2\"", "\"F4\"", "\"BOOL\""}) {
    const std::string message =
        EntryRefusal(std::string("{\"dtype\":") + type + R"(,"shape":[2],"data_offsets":[0,8]})");
    EXPECT_MENTIONS(message, fmt::format("type {} is not supported", type));
  }
  // What other programs may store, and what nobody can, are told apart.
  EXPECT_MENTIONS(EntryRefusal(R"({"dtype":"I64","shape":[1],"data_offsets":[0,8]})"), "are)");
  EXPECT_MENTIONS(EntryRefusal(R"({"dtype":"I63","shape":[1],"data_offsets":[0,8]})"), "none of that name");
  EXPECT_MENTIONS(EntryRefusal(R"({"dtype":4,"shape":[2],"data_offsets":[0,8]})"), "dtype is not a string");
}

TEST_F(Safetensors, ShapesThatNoTensorHas) {
  const auto shaped = [&](const std::string& shape) {
    return EntryRefusal("{\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":[0,8]}");
  };
  for (const char* shape : {"2", "null", "{}", "\"2\"", "[1,1,1,1,1,1,1,1,2]"}) {
    EXPECT_MENTIONS(shaped(shape), "not a list of at most 8 sizes");
  }
  for (const char* shape : {"[-2]", "[-1,-2]", "[2.0]", "[\"2\"]", "[[2]]", "[null]", "[1e400]", "[0,-1]", "[-0]",
                            "[18446744073709551618]"}) {
    const std::string message = Refusal(
        "{\"weight\":{\"dtype\":\"F32\",\"shape\":" + std::string(shape) + ",\"data_offsets\":[0,8]}}", "12345678");
    if (std::string_view(shape) != "[1e400]") {
      EXPECT_MENTIONS(message, "tensor `weight`: a size is not a whole number");
    }
  }
  EXPECT_MENTIONS(shaped("[18446744073709551615]"), "larger than any file");
  EXPECT_MENTIONS(shaped("[0,4611686018427387905]"), "larger than any file");
  // 4 · 2^32 · 2^32 and 4 · 2^62 are 0 in 64 bits, 4 · (2^62 + 2) would be 8.
  for (const char* shape : {"[4294967296,4294967296]", "[4611686018427387904]", "[2147483648,2147483649,2]", "[3]"}) {
    EXPECT_MENTIONS(shaped(shape), "needs more bytes than the file has");
  }
}

TEST_F(Safetensors, OffsetsThatDoNotFit) {
  const auto placed = [&](const std::string& offsets, const char* shape = "[2]") {
    return EntryRefusal(std::string("{\"dtype\":\"F32\",\"shape\":") + shape + ",\"data_offsets\":" + offsets + "}");
  };
  for (const char* offsets : {"8", "[8]", "[0,8,8]", "[-8,0]", "[0,8.0]", "[\"0\",\"8\"]", "{}"}) {
    EXPECT_MENTIONS(placed(offsets), "not a pair of whole numbers");
  }
  for (const char* offsets :
       {"[0,9]", "[8,16]", "[8,0]", "[18446744073709551608,18446744073709551615]", "[0,18446744073709551615]"}) {
    EXPECT_MENTIONS(placed(offsets), "lie outside the file's 8 data bytes");
  }
  EXPECT_MENTIONS(placed("[0,4]"), "span 4 bytes but the shape needs 8");
  EXPECT_MENTIONS(placed("[0,8]", "[1]"), "span 8 bytes but the shape needs 4");
  EXPECT_MENTIONS(placed("[0,8]", "[0]"), "span 8 bytes but the shape needs 0");
  EXPECT_MENTIONS(placed("[0,8]", "[]"), "span 8 bytes but the shape needs 4");
}

TEST_F(Safetensors, DataThatOverlapOrAreNobodys) {
  const auto two = [&](const char* a, const char* b, const char* data) {
    const std::string start = R"({"dtype":"BF16","shape":[2],"data_offsets":)";
    return Refusal("{\"a\":" + start + a + "},\"b\":" + start + b + "}}", data);
  };
  EXPECT_MENTIONS(two("[0,4]", "[2,6]", "123456"), "overlap or leave a hole");
  EXPECT_MENTIONS(two("[0,4]", "[0,4]", "1234"), "overlap or leave a hole");
  EXPECT_MENTIONS(two("[0,4]", "[5,9]", "123456789"), "overlap or leave a hole");
  EXPECT_MENTIONS(two("[5,9]", "[1,5]", "123456789"), "overlap or leave a hole");
  EXPECT_MENTIONS(two("[0,4]", "[4,8]", "123456789"), "bytes behind the last tensor");
  EXPECT_MENTIONS(Refusal("{}", "1"), "bytes behind the last tensor");
}

// An empty tensor lies between two others, not within one.
TEST_F(Safetensors, EmptyTensorsHaveAPlace) {
  const auto with_empty = [&](const char* offsets) {
    return std::string(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"e":{"dtype":"F32","shape":[0],)") +
           R"("data_offsets":)" + offsets + R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  };
  for (const char* offsets : {"[0,0]", "[4,4]", "[8,8]"}) {
    WriteRaw(with_empty(offsets), "12345678");
    EXPECT_EQ(SafetensorsFile(path_).tensors().size(), 3u) << offsets;
  }
  EXPECT_MENTIONS(Refusal(with_empty("[2,2]"), "12345678"), "tensor `e`");
}

TEST_F(Safetensors, HolesAndOverlapsNameTheTensorBehindThem) {
  const std::string a = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],)";
  EXPECT_MENTIONS(Refusal(a + R"("data_offsets":[2,6]}})", "123456"), "tensor `b`: its data overlap with");
  EXPECT_MENTIONS(Refusal(a + R"("data_offsets":[5,9]}})", "123456789"), "tensor `b`: its data do not begin");
}

// Each would be tens or hundreds of megabytes if it were taken in before it is judged.
TEST_F(Safetensors, HostileHeadersTakeLittleMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take more memory than this test allows";
#endif
  std::map<std::string, std::string> hostile;  // header by what the message says
  const std::string entry = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  hostile["a string of more than"] = "{\"" + std::string(60'000'000, 'k') + "\":" + entry + "}";
  hostile["quoted"] = "{\"__metadata__\":{\"a\":\"" + std::string(60'000'000, '"') + "\"}}";
  hostile["at most 8 sizes"] = R"({"a":{"dtype":"F32","shape":[1)";
  for (int i = 0; i < 10'000'000; ++i) hostile["at most 8 sizes"] += ",1";
  std::string &tensors = hostile["more than 131072 tensors"], &metadata = hostile["__metadata__ is larger"];
  tensors = "{\"first\":" + entry;
  metadata = R"({"__metadata__":{"first":"v")";
  for (int i = 0; i < 500'000; ++i) {
    tensors += fmt::format(",\"{}\":{}", i, entry);
    metadata += fmt::format(",\"{}\":\"v\"", i);
  }
  for (auto& [part, header] : hostile) {
    WriteRaw(header);
    std::string().swap(header);
    const pid_t child = ::fork();
    if (child == 0) {
      std::ifstream status("/proc/self/status");
      rlim_t kib = 0;
      for (std::string word; status >> word;) {
        if (word == "VmData:") status >> kib;
      }
      constexpr rlim_t kExtra = 32'000'000;
      const rlimit limit{.rlim_cur = kib * 1024 + kExtra, .rlim_max = kib * 1024 + kExtra};
      ::setrlimit(RLIMIT_DATA, &limit);
      ::mallopt(M_MMAP_THRESHOLD, 1 << 16);  // what is free in this process does not help
      try {
        const SafetensorsFile file(path_);
      } catch (const Error& e) {
        ::_exit(part == "quoted" || std::string_view(e.what()).find(part) != std::string_view::npos ? 3 : 4);
      } catch (const std::bad_alloc&) {
        ::_exit(5);
      }
      ::_exit(0);
    }
    int result = 0;
    ::waitpid(child, &result, 0);
    EXPECT_EQ(WEXITSTATUS(result), 3) << part;
  }
}

TEST_F(Safetensors, MetadataAreTexts) {
  EXPECT_MENTIONS(Refusal(R"({"__metadata__":"pt"})"), "__metadata__ is not an object");
  EXPECT_MENTIONS(Refusal(R"({"__metadata__":{"epoch":3}})"), "__metadata__ `epoch` is not a string");
}

TEST_F(Safetensors, AFileCutShortAnywhereIsRefused) {
  const std::vector<float> values = {1, 2, 3};
  const TensorToStore tensors[] = {{"a", DType::kF32, {1}, BytesOf(values).first(4)},
                                   {"b", DType::kF32, {2}, BytesOf(values).last(8)}};
  WriteSafetensors(path_, tensors, {{"format", "pt"}});
  for (auto bytes = std::filesystem::file_size(path_); bytes > 0;) {
    std::filesystem::resize_file(path_, --bytes);
    Refusal();
  }
}

using SafetensorsDeathTest = Safetensors;

TEST_F(SafetensorsDeathTest, WritingANameTwiceIsABug) {
  const TensorToStore tensors[] = {{"a", DType::kF32, {0}, {}}, {"a", DType::kF32, {0}, {}}};
  EXPECT_DEATH(WriteSafetensors(path_, tensors), "CHECK failed");
}

}  // namespace
}  // namespace sputnik
