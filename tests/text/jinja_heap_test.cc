#include "text/jinja_heap.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaHeap, RefusesWhatCostsTooMuch) {
  Heap heap(1000, 1000);
  heap.Charge(600);
  EXPECT_THROW(heap.Charge(600), Error);
  EXPECT_THROW(Heap(1000, 1000).Charge(SIZE_MAX), Error);
  Heap slow(10, 1000);
  slow.Step(10);
  EXPECT_THROW(slow.Step(), Error);
}

TEST(JinjaHeap, AStreamIsGoneThroughOnce) {
  Heap heap(1000, 100000);
  const Value stream = heap.MakeStream({Int(1), Int(2)});
  EXPECT_EQ(Iterate(heap, stream).size(), 2u);
  EXPECT_EQ(Iterate(heap, stream).size(), 0u);
  const Value list = heap.MakeList({Int(1), Int(2)});
  EXPECT_EQ(Iterate(heap, list).size(), 2u);
  EXPECT_EQ(Iterate(heap, list).size(), 2u);
}

TEST(JinjaHeap, GoingThroughATextGivesCharactersWithTheirMarks) {
  Heap heap(1000, 100000);
  const std::vector<Value> items = Iterate(heap, heap.Make(Text("é灯", kSaid)));
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].text->bytes, "灯");
  EXPECT_EQ(items[1].text->MarkAt(0), kSaid);
  EXPECT_THROW(Iterate(heap, None()), Error);
}

}  // namespace
}  // namespace sputnik::jinja
