#include "text/jinja_display.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "text/jinja_compare.h"
#include "text/jinja_number.h"
#include "text/unicode.h"

namespace sputnik::jinja {
namespace {

// A text that grows on the heap's account.
class Writer {
 public:
  explicit Writer(Heap& heap) : heap_(heap) {}
  void Add(std::string_view text, char mark = 0) {
    heap_.Charge(text.size());
    text_.Append(text, mark);
  }
  void AddPart(const Text& text, size_t begin, size_t end) {
    heap_.Charge(end - begin);
    text_.AppendPart(text, begin, end);
  }
  void Add(const Text& text) { AddPart(text, 0, text.size()); }
  Heap& heap() { return heap_; }
  Text Take() { return std::move(text_); }

 private:
  Heap& heap_;
  Text text_;
};

void CheckDepth(int depth) {
  if (depth > kDeepestValue) ThrowBadInput("values are nested deeper than {} levels", kDeepestValue);
}

// Each character of `text` by `escape`, which returns what stands for it, or nothing: itself.
template <class EscapeOf>
void AddEscaped(const Text& text, Writer& out, const EscapeOf& escape) {
  size_t done = 0;
  std::string instead;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(std::string_view(text.bytes).substr(i));
    const auto length = c.code_point < 0 ? size_t{1} : static_cast<size_t>(c.length);
    instead.clear();
    escape(c.code_point, &instead);
    if (!instead.empty()) {
      out.AddPart(text, done, i);
      out.Add(instead, text.MarkAt(i));
      done = i + length;
    }
    i += length;
  }
  out.AddPart(text, done, text.size());
}

void ReprText(const Text& text, Writer& out) {
  const bool has_single = text.bytes.find('\'') != std::string::npos;
  const char quote = has_single && text.bytes.find('"') == std::string::npos ? '"' : '\'';
  if (text.escaped) out.Add("Markup(");
  out.Add(std::string_view(&quote, 1));
  AddEscaped(text, out, [&](int32_t c, std::string* instead) {
    if (c == quote || c == '\\') {
      *instead = {'\\', static_cast<char>(c)};
    } else if (c == '\n' || c == '\r' || c == '\t') {
      *instead = c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (c >= 0 && !IsPrintable(c)) {
      *instead = c < 0x100     ? fmt::format("\\x{:02x}", c)
                 : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                               : fmt::format("\\U{:08x}", c);
    }
  });
  out.Add(std::string_view(&quote, 1));
  if (text.escaped) out.Add(")");
}

void AddRepr(const Value& value, Writer& out, int depth);

void ReprItems(const std::vector<Value>& items, std::string_view open, std::string_view close, Writer& out, int depth) {
  out.Add(open);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.Add(", ");
    AddRepr(items[i], out, depth + 1);
  }
  out.Add(close);
}

void AddRepr(const Value& value, Writer& out, int depth) {
  CheckDepth(depth);
  out.heap().Step();
  switch (value.kind) {
    case Kind::kUndefined: return out.Add("Undefined");
    case Kind::kNone: return out.Add("None");
    case Kind::kBool: return out.Add(value.boolean ? "True" : "False");
    case Kind::kInt: return out.Add(std::to_string(value.integer));
    case Kind::kFloat: return out.Add(FloatText(value.number));
    case Kind::kText: return ReprText(*value.text, out);
    case Kind::kList: return ReprItems(value.list->items, "[", "]", out, depth);
    case Kind::kTuple: return ReprItems(value.list->items, "(", value.list->items.size() == 1 ? ",)" : ")", out, depth);
    case Kind::kView:
      if (value.view->type == "range") break;
      out.Add(value.view->type);
      return ReprItems(value.view->items, "([", "])", out, depth);
    case Kind::kDict: {
      std::string_view before = "{";
      for (const auto& [key, item] : value.dict->entries) {
        out.Add(before);
        AddRepr(key, out, depth + 1);
        out.Add(": ");
        AddRepr(item, out, depth + 1);
        before = ", ";
      }
      return out.Add(value.dict->entries.empty() ? "{}" : "}");
    }
    default: break;
  }
  ThrowBadInput("a value of type {} cannot be printed", TypeName(value));
}

void AddJsonText(const Text& text, const JsonStyle& style, Writer& out) {
  out.Add("\"");
  AddEscaped(text, out, [&](int32_t c, std::string* instead) {
    constexpr std::string_view kShort = "\"\"\\\\\nn\rr\tt\ff\bb";
    for (size_t i = 0; i < kShort.size(); i += 2) {
      if (c == kShort[i]) *instead = {'\\', kShort[i + 1]};
    }
    if (!instead->empty() || c < 0) return;
    if (c < 0x20 || (style.ascii && c >= 0x7F && c < 0x10000 && c != 0x7F)) {
      *instead = fmt::format("\\u{:04x}", c);
    } else if (style.ascii && c >= 0x10000) {
      *instead = fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
    }
  });
  out.Add("\"");
}

std::string JsonFloat(double value) {
  if (std::isnan(value)) return "NaN";
  return std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity") : FloatText(value);
}

void AddJson(const Value& value, const JsonStyle& style, Writer& out, int depth);

void StartLine(const JsonStyle& style, Writer& out, int depth) {
  if (!style.indent) return;
  out.Add("\n");
  for (int i = 0; i < depth; ++i) out.Add(*style.indent);
}

void AddJsonKey(const Value& key, const JsonStyle& style, Writer& out) {
  if (key.IsText()) return AddJsonText(*key.text, style, out);
  out.Add("\"");
  switch (key.kind) {
    case Kind::kNone: out.Add("null"); break;
    case Kind::kBool: out.Add(key.boolean ? "true" : "false"); break;
    case Kind::kInt: out.Add(std::to_string(key.integer)); break;
    case Kind::kFloat: out.Add(JsonFloat(key.number)); break;
    default: ThrowBadInput("tojson: a key of type {}; JSON has texts as keys", TypeName(key));
  }
  out.Add("\"");
}

void AddJsonDict(const Dict& dict, const JsonStyle& style, Writer& out, int depth) {
  if (dict.entries.empty()) return out.Add("{}");
  std::vector<const std::pair<Value, Value>*> order;
  for (const auto& entry : dict.entries) order.push_back(&entry);
  if (style.sorted) {
    std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return Less(a->first, b->first); });
  }
  out.Add("{");
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0) out.Add(style.item_separator);
    StartLine(style, out, depth + 1);
    AddJsonKey(order[i]->first, style, out);
    out.Add(style.key_separator);
    AddJson(order[i]->second, style, out, depth + 1);
  }
  StartLine(style, out, depth);
  out.Add("}");
}

void AddJson(const Value& value, const JsonStyle& style, Writer& out, int depth) {
  CheckDepth(depth);
  out.heap().Step();
  switch (value.kind) {
    case Kind::kNone: return out.Add("null");
    case Kind::kBool: return out.Add(value.boolean ? "true" : "false");
    case Kind::kInt: return out.Add(std::to_string(value.integer));
    case Kind::kFloat: return out.Add(JsonFloat(value.number));
    case Kind::kText: return AddJsonText(*value.text, style, out);
    case Kind::kDict: return AddJsonDict(*value.dict, style, out, depth);
    case Kind::kList:
    case Kind::kTuple: break;
    default: ThrowBadInput("tojson: JSON cannot say a value of type {}", TypeName(value));
  }
  if (value.list->items.empty()) return out.Add("[]");
  out.Add("[");
  for (size_t i = 0; i < value.list->items.size(); ++i) {
    if (i > 0) out.Add(style.item_separator);
    StartLine(style, out, depth + 1);
    AddJson(value.list->items[i], style, out, depth + 1);
  }
  StartLine(style, out, depth);
  out.Add("]");
}

// Builds values from the parser's events: linear in the text, and keys keep their order.
class JsonReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  JsonReader(Heap& heap, std::string_view source, char mark) : heap_(heap), source_(source), mark_(mark) {}

  bool null() override { return Add(None()); }
  bool boolean(bool value) override { return Add(Bool(value)); }
  bool number_integer(number_integer_t value) override { return Add(Int(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > INT64_MAX) TooLarge();
    return Add(Int(static_cast<int64_t>(value)));
  }
  bool number_float(number_float_t value, const string_t& digits) override {
    if (digits.find_first_of(".eE") == digits.npos) TooLarge();
    return Add(Float(value));
  }
  bool string(string_t& value) override { return Add(heap_.Make(Text(value, mark_))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(heap_.MakeDict()); }
  bool key(string_t& name) override {
    keys_.back() = heap_.Make(Text(name, mark_));
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(heap_.MakeList({})); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    constexpr size_t kLongest = 240;
    std::string_view reason = e.what();
    if (const size_t tag = reason.find("] "); tag != reason.npos) reason.remove_prefix(tag + 2);
    ThrowBadInput("{}: not valid JSON: {}", source_, reason.substr(0, kLongest));
  }
  Value value() const { return root_; }

 private:
  [[noreturn]] void TooLarge() { ThrowBadInput("{}: a whole number beyond 64 bits", source_); }
  bool Open(const Value& value) {
    if (open_.size() >= kDeepestValue) ThrowBadInput("{}: nested deeper than {} levels", source_, kDeepestValue);
    Add(value);
    open_.push_back(value);
    keys_.emplace_back();
    return true;
  }
  bool Close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }
  bool Add(const Value& value) {
    heap_.Charge(sizeof(Value));
    if (open_.empty()) {
      root_ = value;
    } else if (open_.back().is(Kind::kDict)) {
      open_.back().dict->Set(keys_.back(), value);
    } else {
      const_cast<List*>(open_.back().list)->items.push_back(value);  // still being made
    }
    return true;
  }

  Heap& heap_;
  std::string_view source_;
  char mark_;
  Value root_;
  std::vector<Value> open_, keys_;
};

}  // namespace

Text Display(Heap& heap, const Value& value) {
  if (value.IsUndefined()) return Text();
  if (value.IsText()) return *value.text;
  return Repr(heap, value);
}

Text Repr(Heap& heap, const Value& value) {
  Writer out(heap);
  AddRepr(value, out, 0);
  return out.Take();
}

Text ToJson(Heap& heap, const Value& value, const JsonStyle& style) {
  Writer out(heap);
  AddJson(value, style, out, 0);
  return out.Take();
}

Value ReadJson(Heap& heap, std::string_view json, std::string_view source, char mark) {
  JsonReader reader(heap, source, mark);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  return reader.value();
}

}  // namespace sputnik::jinja
