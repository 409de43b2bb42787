// One list of op calls that drives every check an op must pass: gradients against central differences in double, the
// same bits for every thread count, machine and SIMD target, the same bits for strided views, and float32 against
// double.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "op/pass.h"

namespace sputnik {

// Where an op call gets its operands. The first run makes them; later runs of the same trial get the same memory.
class OpInputs {
 public:
  // With `padded`, matrices are views into wider and taller ones.
  OpInputs(DType dtype, bool padded) : dtype_(dtype), padded_(padded) {}

  // A learnt matrix (or vector) of standard normal numbers times `scale` plus `shift`, by name.
  Tensor Matrix(const std::string& name, int64_t rows, int64_t columns, double scale = 1, double shift = 0);
  Tensor Vector(const std::string& name, int64_t size, double scale = 1, double shift = 0);
  // The same without padding, for ops that ask for contiguous operands.
  Tensor Contiguous(const std::string& name, int64_t rows, int64_t columns, double scale = 1);
  // Without a gradient: a table, a bias. Always float32 if `f32`.
  Tensor Constant(const std::string& name, std::initializer_list<int64_t> shape, double scale = 1, bool f32 = false);
  // Whole numbers that outlive the tape.
  const int32_t* Integers(std::vector<int32_t> values);

  DType dtype() const { return dtype_; }

  struct Operand {
    std::unique_ptr<double[]> memory;  // of the root; wide enough for either number type
    std::unique_ptr<double[]> gradient;
    std::unique_ptr<GradientSlot> slot;
    Tensor root, view;
  };
  std::map<std::string, Operand>& operands() { return operands_; }

 private:
  Tensor Get(const std::string& name, std::initializer_list<int64_t> shape, double scale, double shift, bool learnt,
             bool padded, DType dtype);

  DType dtype_;
  bool padded_;
  std::map<std::string, Operand> operands_;
  std::deque<std::vector<int32_t>> integers_;
};

struct OpOutputs {
  std::vector<Tensor> tensors;
  double loss = 0;  // a loss of the op's own (balance), whose gradient the op adds by itself
};

struct OpCase {
  std::string name;
  std::function<OpOutputs(Pass&, OpInputs&)> run;
  int64_t terms = 1;  // length of its longest chain of roundings, for the float32 bound
};

// The cases of one room of src/op, by its name.
std::vector<OpCase> OpCasesOf(std::string_view room);

// Values and gradients of one run.
struct OpResult {
  double loss = 0;                                    // Σ coefficients · outputs + the op's own loss
  std::vector<std::vector<double>> outputs;           // each with its elements in order
  std::map<std::string, std::vector<double>> values;  // gradients by operand, padding included
};

// Runs a case on a machine in a number type. Coefficients of the loss are fixed random numbers.
class OpTrial {
 public:
  OpTrial(OpCase op_case, DType dtype, const std::string& machine, int threads, bool padded = false);
  OpResult Forward();   // without a tape
  OpResult Backward();  // with one
  OpInputs& inputs() { return inputs_; }

 private:
  OpResult Run(bool backward);

  OpCase case_;
  ThreadPool pool_;
  Machine machine_;
  OpInputs inputs_;
  Arena arena_;
};

class OpCaseTest : public testing::TestWithParam<OpCase> {};

// All checks over the cases of one room: use once in its test.
#define SPUTNIK_OP_TESTS(Room, room)                                             \
  INSTANTIATE_TEST_SUITE_P(Room, OpCaseTest, testing::ValuesIn(OpCasesOf(room)), \
                           [](const auto& instance) { return std::string(instance.param.name); })

}  // namespace sputnik
