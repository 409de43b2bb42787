// Stored results of other people's programs (tools/*_oracle.py made them).
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tensor/safetensors.h"

namespace sputnik {

inline std::filesystem::path GoldenFolder() { return std::filesystem::path(SPUTNIK_SOURCE_DIR) / "tests" / "golden"; }

// The values of a stored tensor; T is its type on disk.
template <class T>
std::vector<T> StoredValues(const SafetensorsFile& file, const std::string& name) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end()) {
    ADD_FAILURE() << file.path() << " holds no " << name;
    return {};
  }
  const StoredTensor& tensor = found->second;
  EXPECT_EQ(tensor.dtype, DTypeOf<T>()) << name;
  std::vector<T> values(static_cast<size_t>(tensor.elements()));
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

template <class A, class B>
double LargestDifference(const A& a, const B& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= largest)) largest = difference;  // a NaN stays
  }
  return largest;
}

template <class A>
double LargestOf(const A& a) {
  double largest = 0;
  for (const auto value : a) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

template <class A>
double NormOf(const A& a) {
  double sum = 0;
  for (const auto value : a) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

// ‖a - b‖
template <class A, class B>
double Distance(const A& a, const B& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

}  // namespace sputnik
