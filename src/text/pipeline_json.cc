#include "text/pipeline_json.h"

#include "text/json_view.h"
#include "text/tokenizer_json.h"

namespace sputnik {
namespace {

// What GPT-2 and a ByteLevel step with use_regex cut by.
constexpr std::string_view kByteLevelRegex =
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr int64_t kMostStripped = 1 << 20;

SplitBehavior ReadBehavior(const JsonView& view, bool may_be_missing) {
  if (may_be_missing && view.Get("behavior").is_null()) return SplitBehavior::kIsolated;
  const std::string name = view.String("behavior");
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  ThrowBadInput("{}: {}.behavior = \"{}\" is not supported", view.source(), view.place(), name);
}

PrependScheme ReadPrependScheme(const JsonView& view) {
  PrependScheme scheme = PrependScheme::kAlways;
  if (!view.Get("prepend_scheme").is_null()) {
    const std::string name = view.String("prepend_scheme");
    if (name == "first") {
      scheme = PrependScheme::kFirst;
    } else if (name == "never") {
      scheme = PrependScheme::kNever;
    } else if (name != "always") {
      ThrowBadInput("{}: {}.prepend_scheme = \"{}\" is not supported", view.source(), view.place(), name);
    }
  }
  if (!view.Bool("add_prefix_space", true) && scheme != PrependScheme::kNever) {
    ThrowBadInput("{}: {}.add_prefix_space = false does not go with its prepend_scheme", view.source(), view.place());
  }
  return scheme;
}

// A sequence calls this for each of its parts.
void AddNormalizer(const Json& json, const std::string& place, const std::string& source,
                   std::vector<NormalizerStep>* steps) {
  using Kind = NormalizerStep::Kind;
  const JsonView view(json, place, source);
  const std::string type = view.String("type");
  if (type == "Sequence") {
    view.KnowsOnly({"type", "normalizers"});
    const Json& parts = view.Array("normalizers");
    for (size_t i = 0; i < parts.size(); ++i) {
      AddNormalizer(parts[i], fmt::format("{}.normalizers[{}]", place, i), source, steps);
    }
    return;
  }
  NormalizerStep step;
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD" || type == "Lowercase") {
    view.KnowsOnly({"type"});
    step.kind = type == "NFC"    ? Kind::kNfc
                : type == "NFD"  ? Kind::kNfd
                : type == "NFKC" ? Kind::kNfkc
                : type == "NFKD" ? Kind::kNfkd
                                 : Kind::kLowercase;
  } else if (type == "Prepend") {
    view.KnowsOnly({"type", "prepend"});
    step.kind = Kind::kPrepend;
    step.content = view.String("prepend");
  } else if (type == "Replace") {
    view.KnowsOnly({"type", "pattern", "content"});
    step.kind = Kind::kReplace;
    std::tie(step.pattern, step.literal) = view.Pattern("pattern");
    step.content = view.String("content");
  } else if (type == "Strip") {
    view.KnowsOnly({"type", "strip_left", "strip_right"});
    step.kind = Kind::kStrip;
    step.left = view.Bool("strip_left", false);
    step.right = view.Bool("strip_right", false);
  } else {
    ThrowBadInput(
        "{}: {}.type = \"{}\" is not supported (NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, Strip and Sequence "
        "are)",
        source, place, type);
  }
  steps->push_back(std::move(step));
}

// True after a ByteLevel, which must be the last.
bool AddPreTokenizer(const Json& json, const std::string& place, const std::string& source,
                     std::vector<PreTokenizerStep>* steps) {
  using Kind = PreTokenizerStep::Kind;
  const JsonView view(json, place, source);
  const std::string type = view.String("type");
  if (type == "Sequence") {
    view.KnowsOnly({"type", "pretokenizers"});
    const Json& parts = view.Array("pretokenizers");
    bool closed = false;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (closed) ThrowBadInput("{}: {}: a step after ByteLevel is not supported", source, place);
      closed = AddPreTokenizer(parts[i], fmt::format("{}.pretokenizers[{}]", place, i), source, steps);
    }
    return closed;
  }
  PreTokenizerStep step;
  if (type == "ByteLevel") {
    view.KnowsOnly({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (view.Bool("add_prefix_space", true)) {
      step.kind = Kind::kPrefixSpace;
      steps->push_back(std::move(step));
    }
    if (view.Bool("use_regex", true)) steps->push_back({std::string(kByteLevelRegex)});
    return true;
  }
  if (type == "Split") {
    view.KnowsOnly({"type", "pattern", "behavior", "invert"});
    std::tie(step.pattern, step.literal) = view.Pattern("pattern");
    step.behavior = ReadBehavior(view, false);
    step.invert = view.Bool("invert", false);
  } else if (type == "Digits") {
    view.KnowsOnly({"type", "individual_digits"});
    step.kind = Kind::kDigits;
    if (!view.Bool("individual_digits", false)) step.behavior = SplitBehavior::kContiguous;
  } else if (type == "Punctuation") {
    view.KnowsOnly({"type", "behavior"});
    step.kind = Kind::kPunctuation;
    step.behavior = ReadBehavior(view, true);
  } else if (type == "WhitespaceSplit") {
    view.KnowsOnly({"type"});
    step.kind = Kind::kSpaces;
    step.behavior = SplitBehavior::kRemoved;
  } else if (type == "Whitespace") {
    view.KnowsOnly({"type"});
    step.kind = Kind::kWords;
    step.behavior = SplitBehavior::kRemoved;
    step.invert = true;
  } else if (type == "Metaspace") {
    view.KnowsOnly({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
    step.kind = Kind::kMetaspace;
    step.pattern = view.Character("replacement");
    step.prepend = ReadPrependScheme(view);
    step.cut = view.Bool("split", true);
  } else {
    ThrowBadInput(
        "{}: {}.type = \"{}\" is not supported (Sequence, Split, Digits, ByteLevel, Metaspace, Punctuation, Whitespace "
        "and WhitespaceSplit are)",
        source, place, type);
  }
  steps->push_back(std::move(step));
  return false;
}

PostTemplate ReadTemplate(const JsonView& view) {
  view.KnowsOnly({"type", "single", "pair", "special_tokens"});
  const Json& parts = view.Array("single");
  PostTemplate ids;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string place = fmt::format("{}.single[{}]", view.place(), i);
    const JsonView part(parts[i], place, view.source());
    part.KnowsOnly({"Sequence", "SpecialToken"});
    if (!part.Get("Sequence").is_null()) {
      JsonView(part.Get("Sequence"), place + ".Sequence", view.source()).Refuse("id", "A");
      ids.push_back(kTextItself);
      continue;
    }
    const JsonView named(part.Get("SpecialToken"), place + ".SpecialToken", view.source());
    const std::string name = named.String("id");
    const JsonView tokens(view.Get("special_tokens"), view.place() + ".special_tokens", view.source());
    const JsonView token(tokens.Get(name.c_str()), fmt::format("{}[\"{}\"]", tokens.place(), name), view.source());
    for (const Json& id : token.Array("ids")) {
      if (!id.is_number_integer() || id < 0 || id >= kMaxTokenizerTokens) {
        ThrowBadInput("{}: {}.ids: {} is not a token's id", view.source(), token.place(), id.dump());
      }
      ids.push_back(id.get<int32_t>());
    }
  }
  return ids;
}

void AddPostProcessor(const Json& json, const std::string& place, const std::string& source,
                      std::vector<PostTemplate>* templates) {
  const JsonView view(json, place, source);
  const std::string type = view.String("type");
  if (type == "Sequence") {
    view.KnowsOnly({"type", "processors"});
    const Json& parts = view.Array("processors");
    for (size_t i = 0; i < parts.size(); ++i) {
      AddPostProcessor(parts[i], fmt::format("{}.processors[{}]", place, i), source, templates);
    }
  } else if (type == "TemplateProcessing") {
    templates->push_back(ReadTemplate(view));
  } else if (type == "ByteLevel") {  // moves offsets, which this program has none of
    view.KnowsOnly({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else {
    ThrowBadInput("{}: {}.type = \"{}\" is not supported (TemplateProcessing, ByteLevel and Sequence are)", source,
                  place, type);
  }
}

void AddDecoder(const Json& json, const std::string& place, const std::string& source,
                std::vector<DecoderStep>* steps) {
  using Kind = DecoderStep::Kind;
  const JsonView view(json, place, source);
  const std::string type = view.String("type");
  DecoderStep step;
  if (type == "Sequence") {
    view.KnowsOnly({"type", "decoders"});
    const Json& parts = view.Array("decoders");
    for (size_t i = 0; i < parts.size(); ++i) {
      AddDecoder(parts[i], fmt::format("{}.decoders[{}]", place, i), source, steps);
    }
    return;
  }
  if (type == "ByteLevel") {
    view.KnowsOnly({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else if (type == "ByteFallback" || type == "Fuse") {
    view.KnowsOnly({"type"});
    step.kind = type == "Fuse" ? Kind::kFuse : Kind::kByteFallback;
  } else if (type == "Strip") {
    view.KnowsOnly({"type", "content", "start", "stop"});
    step.kind = Kind::kStrip;
    step.content = view.Character("content");
    step.start = view.Whole("start", 0, kMostStripped);
    step.stop = view.Whole("stop", 0, kMostStripped);
  } else if (type == "Replace") {
    view.KnowsOnly({"type", "pattern", "content"});
    step.kind = Kind::kReplace;
    std::tie(step.pattern, step.literal) = view.Pattern("pattern");
    step.content = view.String("content");
  } else if (type == "Metaspace") {
    view.KnowsOnly({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
    step.kind = Kind::kMetaspace;
    step.content = view.Character("replacement");
    step.drop_first = ReadPrependScheme(view) != PrependScheme::kNever;
  } else {
    ThrowBadInput(
        "{}: {}.type = \"{}\" is not supported (ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace and Sequence "
        "are)",
        source, place, type);
  }
  steps->push_back(std::move(step));
}

}  // namespace

std::vector<NormalizerStep> ReadNormalizer(const Json& json, const std::string& source) {
  std::vector<NormalizerStep> steps;
  if (!json.is_null()) AddNormalizer(json, "normalizer", source, &steps);
  return steps;
}

std::vector<PreTokenizerStep> ReadPreTokenizer(const Json& json, const std::string& source, bool* byte_level) {
  std::vector<PreTokenizerStep> steps;
  *byte_level = !json.is_null() && AddPreTokenizer(json, "pre_tokenizer", source, &steps);
  return steps;
}

std::vector<PostTemplate> ReadPostProcessor(const Json& json, const std::string& source) {
  std::vector<PostTemplate> templates;
  if (!json.is_null()) AddPostProcessor(json, "post_processor", source, &templates);
  return templates;
}

std::vector<DecoderStep> ReadDecoder(const Json& json, const std::string& source) {
  std::vector<DecoderStep> steps;
  AddDecoder(json, "decoder", source, &steps);
  return steps;
}

}  // namespace sputnik
