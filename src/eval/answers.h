// How often a model answers a task's problems correctly.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "model/decoder.h"
#include "task/prompt.h"
#include "task/task.h"

namespace sputnik {

struct AnswerEvalOptions {
  Split split = Split::kHeldOut;
  int64_t level = 1, problems = 200, samples = 1, max_tokens = 64;
  double temperature = 0;  // 0: greedy, then samples must be 1
  uint64_t seed = 1;
  int64_t keep = 0;  // this many completions are kept to be shown
};

struct AnsweredProblem {
  Problem problem;
  std::string completion;
  Score score;
};

struct AnswerEvalResult {
  std::string task;
  AnswerEvalOptions options;           // problems: as many as there were, each asked once, where the task has fewer
  double pass_at_1 = 0;                // mean share of correct samples
  double pass_at_k = 0;                // k = samples
  double ci95_low = 0, ci95_high = 0;  // of pass_at_1, over problems
  double mean_tokens = 0;
  int64_t prompt_tokens = 0, generated_tokens = 0;  // each prompt once, all samples
  std::vector<AnsweredProblem> kept;
};

AnswerEvalResult EvaluateTask(const Decoder& decoder, const Machine& machine, const Tokenizer& tokenizer,
                              const Task& task, const AnswerEvalOptions& options);

// The unbiased estimate of passing with at least one of k draws, from `correct` of `samples` (Chen et al. 2021, eq. 1):
// 1 - C(n-c, k) / C(n, k). Requires k <= samples.
double PassAtK(int64_t samples, int64_t correct, int64_t k);

// What to tell of a task that had fewer problems than were `wanted`; empty if it had enough.
std::string TooFewProblems(const AnswerEvalResult& result, int64_t wanted);

// One line of results.jsonl and of summary.json's "results".
std::string ResultJson(const AnswerEvalResult& result, const std::string& stage);

}  // namespace sputnik
