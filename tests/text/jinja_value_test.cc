#include "text/jinja_value.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/jinja_heap.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaValue, ADictKeepsItsOrderAndItsFirstKey) {
  Heap heap(1000, 100000);
  const Value dict = heap.MakeDict();
  dict.dict->Set(heap.Make("b"), Int(1));
  dict.dict->Set(Int(1), Int(2));
  dict.dict->Set(heap.Make("b"), Int(3));
  dict.dict->Set(Bool(true), Int(4));  // which equals the key 1
  ASSERT_EQ(dict.dict->entries.size(), 2u);
  EXPECT_EQ(dict.dict->Find("b")->integer, 3);
  EXPECT_EQ(dict.dict->Find(Float(1.0))->integer, 4);
  EXPECT_EQ(dict.dict->Find("c"), nullptr);
}

TEST(JinjaValue, LengthsAreInCharactersAndNumbersHaveNone) {
  Heap heap(1000, 100000);
  EXPECT_EQ(Length(heap.Make("é灯")), 2);
  EXPECT_EQ(Length(Undefined()), 0);
  EXPECT_THROW(Length(Int(1)), Error);
}

}  // namespace
}  // namespace sputnik::jinja
