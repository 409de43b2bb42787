#include "text/jinja_string.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/jinja_compare.h"
#include "text/jinja_display.h"
#include "text/jinja_operator.h"

namespace sputnik::jinja {
namespace {

constexpr std::array<std::string_view, 47> kMethods{
    "capitalize",   "casefold",   "center",    "count",       "encode",    "endswith",     "expandtabs",   "find",
    "format",       "format_map", "index",     "isalnum",     "isalpha",   "isascii",      "isdecimal",    "isdigit",
    "isidentifier", "islower",    "isnumeric", "isprintable", "isspace",   "istitle",      "isupper",      "join",
    "ljust",        "lower",      "lstrip",    "maketrans",   "partition", "removeprefix", "removesuffix", "replace",
    "rfind",        "rindex",     "rjust",     "rpartition",  "rsplit",    "rstrip",       "split",        "splitlines",
    "startswith",   "strip",      "swapcase",  "title",       "translate", "upper",        "zfill"};

// A part of a text, by Python's start and end in characters.
struct Window {
  std::string_view text;
  int64_t first;  // character at which it starts
  bool beyond;    // it starts after the text's end, where not even the empty text is found
};
Window WindowOf(const Text& self, const Characters& characters, const Bound& bound, size_t at) {
  const int64_t count = characters.count();
  const auto clip = [&](int64_t i) { return i < 0 ? std::max<int64_t>(0, i + count) : i; };
  const int64_t first = clip(bound.IsNone(at) ? 0 : bound.Whole(at, 0));
  const int64_t last = std::min(clip(bound.IsNone(at + 1) ? count : bound.Whole(at + 1, 0)), count);
  if (first > last) return {std::string_view(), first, true};
  const size_t begin = characters.Start(first), end = characters.Start(last);
  return {std::string_view(self.bytes).substr(begin, end - begin), first, false};
}

Value Find(const Text& self, std::string_view name, const Arguments& arguments) {
  const Bound bound(name, arguments, {"sub", "start", "end"}, 1);
  const Characters characters(self.bytes);
  const Window window = WindowOf(self, characters, bound, 1);
  const std::string& part = bound.String(0).bytes;
  if (name == "count") return Int(window.beyond ? 0 : Count(window.text, part));
  const bool right = name.starts_with('r');
  const size_t at = window.beyond ? std::string::npos : right ? window.text.rfind(part) : window.text.find(part);
  if (at != std::string::npos) return Int(window.first + Characters(window.text).IndexOf(at));
  if (name.ends_with("index")) ThrowBadInput("{}: the text is not there", name);
  return Int(-1);
}

Value StartsOrEnds(Heap& heap, const Text& self, std::string_view name, const Arguments& arguments) {
  const Bound bound(name, arguments, {"prefix", "start", "end"}, 1);
  const Window window = WindowOf(self, Characters(self.bytes), bound, 1);
  const std::vector<Value> parts = bound[0].is(Kind::kTuple) ? Iterate(heap, bound[0]) : std::vector<Value>{bound[0]};
  return Bool(std::any_of(parts.begin(), parts.end(), [&](const Value& part) {
    if (!part.IsText()) ThrowBadInput("{} needs a str, not {}", name, TypeName(part));
    const std::string& text = part.text->bytes;
    return !window.beyond && (name == "startswith" ? window.text.starts_with(text) : window.text.ends_with(text));
  }));
}

Value SplitInto(Heap& heap, const Text& self, std::string_view name, const Arguments& arguments) {
  const Bound bound(name, arguments, {"sep", "maxsplit"});
  const int64_t most = bound.Whole(1, -1);
  std::optional<std::string_view> separator;
  if (!bound.IsNone(0)) separator = bound.String(0).bytes;
  if (separator && separator->empty()) ThrowBadInput("{}: an empty separator", name);
  heap.Charge(self.size() * 2 + (separator ? static_cast<size_t>(Count(self.bytes, *separator)) : self.size() / 2) *
                                    (sizeof(Text) + sizeof(Value)));
  std::vector<Value> items;
  for (Text& part : name == "split" ? Split(self, separator, most) : SplitFromRight(self, separator, most)) {
    items.push_back(heap.Make(std::move(part)));
  }
  return heap.MakeList(std::move(items));
}

Value Partition(Heap& heap, const Text& self, std::string_view name, const Arguments& arguments) {
  const Bound bound(name, arguments, {"sep"}, 1);
  const Text& separator = bound.String(0);
  if (separator.size() == 0) ThrowBadInput("{}: an empty separator", name);
  const bool right = name == "rpartition";
  const size_t at = right ? self.bytes.rfind(separator.bytes) : self.bytes.find(separator.bytes);
  const Value whole = heap.Make(self), nothing = heap.Make("");
  if (at == std::string::npos) {
    return heap.MakeTuple(right ? std::vector<Value>{nothing, nothing, whole}
                                : std::vector<Value>{whole, nothing, nothing});
  }
  return heap.MakeTuple(
      {heap.Make(self.Part(0, at)), heap.Make(separator), heap.Make(self.Part(at + separator.size(), self.size()))});
}

Value Join(Heap& heap, const Text& self, const Arguments& arguments) {
  const Bound bound("join", arguments, {"iterable"}, 1);
  Text out;
  bool first = true;
  for (const Value& item : Iterate(heap, bound[0])) {
    if (!item.IsText()) ThrowBadInput("join needs texts, not {}", TypeName(item));
    heap.Charge(self.size() + item.text->size());
    if (!std::exchange(first, false)) out.Append(self);
    out.Append(*item.text);
  }
  return heap.Make(std::move(out));
}

Value Pad(Heap& heap, const Text& self, std::string_view name, const Arguments& arguments) {
  const Bound bound(name, arguments, {"width", "fillchar"}, 1);
  const int64_t width = bound.Whole(0, 0), missing = std::max<int64_t>(0, width - Characters(self.bytes).count());
  Text fill(name == "zfill" ? "0" : " ");
  if (bound.Has(1)) fill = bound.String(1);
  if (Characters(fill.bytes).count() != 1) ThrowBadInput("{}: the filling must be one character", name);
  heap.Charge(static_cast<size_t>(missing) * fill.size() + self.size());
  // Python puts the odd one of a centred text to the left when the width is odd.
  const int64_t left = name == "ljust" ? 0 : name == "center" ? missing / 2 + (missing & width & 1) : missing;
  Text out;
  const bool sign = name == "zfill" && (self.bytes.starts_with('-') || self.bytes.starts_with('+'));
  if (sign) out.AppendPart(self, 0, 1);
  for (int64_t i = 0; i < left; ++i) out.Append(fill);
  out.AppendPart(self, sign ? 1 : 0, self.size());
  for (int64_t i = left; i < missing; ++i) out.Append(fill);
  return heap.Make(std::move(out));
}

// "{} {0} {name!r}".format(...), and numbers with the specs that % has, such as {:.2f} and {:05d}.
Value Format(Heap& heap, const Text& self, const Arguments& arguments) {
  Text out;
  size_t automatic = 0;
  for (size_t i = 0; i < self.size();) {
    const char c = self.bytes[i];
    if (c != '{' && c != '}') {
      const size_t end = std::min(self.bytes.find_first_of("{}", i), self.size());
      out.AppendPart(self, i, end);
      i = end;
      continue;
    }
    if (i + 1 < self.size() && self.bytes[i + 1] == c) {
      out.AppendPart(self, i, i + 1);
      i += 2;
      continue;
    }
    const size_t close = self.bytes.find('}', i);
    if (c == '}' || close == std::string::npos) ThrowBadInput("format: a single {} in the text", c);
    std::string field = self.bytes.substr(i + 1, close - i - 1), spec;
    i = close + 1;
    if (const size_t colon = field.find(':'); colon != field.npos) {
      spec = field.substr(colon + 1);
      field.resize(colon);
    }
    const bool repr = field.ends_with("!r");
    if (repr || field.ends_with("!s")) field.resize(field.size() - 2);
    const Value* value = nullptr;
    const bool number = field.find_first_not_of("0123456789") == field.npos && field.size() < 6;
    if (number) {
      const size_t place = field.empty() ? automatic++ : static_cast<size_t>(std::stoi(field));
      if (place < arguments.plain.size()) value = &arguments.plain[place];
    }
    for (const auto& [name, named] : arguments.named) {
      if (name == field) value = &named;
    }
    if (value == nullptr) ThrowBadInput("format: nothing for {{{}}}", field);
    if (spec.empty()) {
      const Text text = repr ? Repr(heap, *value) : Display(heap, *value);
      heap.Charge(text.size());
      out.Append(text);
      continue;
    }
    constexpr std::string_view kTypes = "dxXofeEgG";
    const bool plain = spec.find_first_not_of("0123456789.+-", 0) == spec.size() - 1;
    if (!plain || kTypes.find(spec.back()) == kTypes.npos || !value->IsNumber() || repr || spec.starts_with('-')) {
      ThrowBadInput("format: {{:{}}} is not supported in chat templates here", spec);
    }
    out.Append(*FormatPercent(heap, Text("%" + spec), *value).text);
  }
  return heap.Make(std::move(out));
}

Text SwapCase(const Text& self) {
  Text out;
  const Characters characters(self.bytes);
  for (int64_t i = 0; i < characters.count(); ++i) {
    const Text one = self.Part(characters.Start(i), characters.Start(i + 1));
    out.Append(*Is("isupper", one.bytes) ? Lower(one) : Upper(one));
  }
  return out;
}

}  // namespace

// Looking for a long part can take its length at each place.
void CountSearch(Heap& heap, size_t text, size_t part) {
  constexpr size_t kPlain = 16, kPairs = 4096;
  heap.Step(static_cast<int64_t>(text / kPlain +
                                 (part > kPlain ? std::min(text, part) / kPlain * (text / kPairs * kPlain) : 0)));
}

bool IsStringMethod(std::string_view name) { return std::binary_search(kMethods.begin(), kMethods.end(), name); }

Value CallStringMethod(Heap& heap, const Text& self, std::string_view name, const Arguments& arguments) {
  heap.Charge(self.size());
  if (!arguments.plain.empty() && arguments.plain[0].IsText()) {
    CountSearch(heap, self.size(), arguments.plain[0].text->size());
  }
  if (const std::optional<bool> is = Is(name, self.bytes)) {
    const Bound none(name, arguments, {});
    return Bool(*is);
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex" || name == "count") {
    return Find(self, name, arguments);
  }
  if (name == "startswith" || name == "endswith") return StartsOrEnds(heap, self, name, arguments);
  if (name == "split" || name == "rsplit") return SplitInto(heap, self, name, arguments);
  if (name.ends_with("strip")) {
    const Bound bound(name, arguments, {"chars"});
    std::optional<std::string_view> chars;
    if (!bound.IsNone(0)) chars = bound.String(0).bytes;
    if (chars) heap.Step(static_cast<int64_t>(self.size() / 16 * (chars->size() / 4)));  // each against each
    return heap.Make(Strip(self, chars, name != "rstrip", name != "lstrip"));
  }
  const bool changes_case =
      name == "upper" || name == "lower" || name == "title" || name == "capitalize" || name == "swapcase";
  if (changes_case) {
    const Bound none(name, arguments, {});
    heap.Step(static_cast<int64_t>(self.size() / 4));
    return heap.Make(name == "upper"        ? Upper(self)
                     : name == "lower"      ? Lower(self)
                     : name == "title"      ? Title(self)
                     : name == "capitalize" ? Capitalize(self)
                                            : SwapCase(self));
  }
  if (name == "splitlines") {
    const Bound bound(name, arguments, {"keepends"});
    std::vector<Value> lines;
    for (Text& line : SplitLines(self, bound.Flag(0, false))) lines.push_back(heap.Make(std::move(line)));
    return heap.MakeList(std::move(lines));
  }
  if (self.escaped) ThrowBadInput("{} on text marked safe is not supported in chat templates here", name);
  if (name == "replace") {
    const Bound bound(name, arguments, {"old", "new", "count"}, 2);
    const Text &old = bound.String(0), &fresh = bound.String(1);
    const int64_t most = bound.Whole(2, -1);
    heap.Charge(SizeAfterReplace(self, old.bytes, fresh, most));
    return heap.Make(Replace(self, old.bytes, fresh, most));
  }
  if (name == "join") return Join(heap, self, arguments);
  if (name == "format") return Format(heap, self, arguments);
  if (name == "partition" || name == "rpartition") return Partition(heap, self, name, arguments);
  if (name == "removeprefix" || name == "removesuffix") {
    const Bound bound(name, arguments, {"part"}, 1);
    const std::string& part = bound.String(0).bytes;
    const bool front = name == "removeprefix";
    const bool there = front ? self.bytes.starts_with(part) : self.bytes.ends_with(part);
    if (!there) return heap.Make(self);
    return heap.Make(front ? self.Part(part.size(), self.size()) : self.Part(0, self.size() - part.size()));
  }
  if (name == "zfill" || name == "center" || name == "ljust" || name == "rjust") {
    return Pad(heap, self, name, arguments);
  }
  ThrowBadInput("the method {} is not supported in chat templates here", name);
}

}  // namespace sputnik::jinja
