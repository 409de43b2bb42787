#include "eval/answers.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "eval/confidence.h"
#include "task/prompt.h"

namespace sputnik {

double PassAtK(int64_t samples, int64_t correct, int64_t k) {
  CHECK_LE(k, samples);
  CHECK_LE(correct, samples);
  if (samples - correct < k) return 1;
  double all_wrong = 1;
  for (int64_t i = 0; i < k; ++i) {
    all_wrong *= static_cast<double>(samples - correct - i) / static_cast<double>(samples - i);
  }
  return 1 - all_wrong;
}

AnswerEvalResult EvaluateTask(const Decoder& decoder, const Machine& machine, const Tokenizer& tokenizer,
                              const Task& task, const AnswerEvalOptions& options) {
  CHECK(options.temperature > 0 || options.samples == 1);
  AnswerEvalResult result{.task = task.name(), .options = options, .kept = {}};
  if (const std::optional<int64_t> all = task.Count(options.level, options.split)) {
    result.options.problems = std::min(options.problems, *all);
  }
  const int64_t count = result.options.problems;
  std::vector<Problem> problems;
  std::vector<Request> requests;
  for (int64_t i = 0; i < count; ++i) {
    problems.push_back(task.Make(options.seed, options.level, static_cast<uint64_t>(i), options.split));
    Request request;
    request.prompt = EncodePrompt(tokenizer, task, problems.back());
    request.max_tokens = options.max_tokens;
    request.samples = options.samples;
    request.sampling.temperature = options.temperature;
    request.sampling.seed = HashCombine(options.seed, static_cast<uint64_t>(i));
    request.position_seed = request.sampling.seed;
    request.stop_ids = {tokenizer.eos_id()};
    result.prompt_tokens += static_cast<int64_t>(request.prompt.size());
    requests.push_back(std::move(request));
  }
  Engine engine(decoder, machine, {});
  std::vector<int64_t> correct(problems.size(), 0);
  const std::vector<Completion> completions = engine.Run(std::move(requests));
  for (size_t i = 0; i < completions.size(); ++i) {
    const Completion& completion = completions[i];
    const size_t problem = i / static_cast<size_t>(options.samples);
    const std::string text = DecodeCompletion(tokenizer, completion.tokens);
    const Score score = task.Grade(problems[problem], text);
    correct[problem] += score.correct;
    result.generated_tokens += static_cast<int64_t>(completion.tokens.size());
    if (static_cast<int64_t>(result.kept.size()) < options.keep && completion.sample == 0) {
      result.kept.push_back({problems[problem], text, score});
    }
  }
  std::vector<double> shares;
  for (const int64_t c : correct) {
    shares.push_back(static_cast<double>(c) / static_cast<double>(options.samples));
    result.pass_at_1 += shares.back();
    result.pass_at_k += PassAtK(options.samples, c, options.samples);
  }
  result.pass_at_1 /= static_cast<double>(count);  // once, so that all right is exactly 1
  result.pass_at_k /= static_cast<double>(count);
  const Interval interval = Confidence95(shares);
  result.ci95_low = interval.low;
  result.ci95_high = interval.high;
  if (!completions.empty()) {
    result.mean_tokens = static_cast<double>(result.generated_tokens) / static_cast<double>(completions.size());
  }
  return result;
}

std::string TooFewProblems(const AnswerEvalResult& result, int64_t wanted) {
  const AnswerEvalOptions& options = result.options;
  if (options.problems >= wanted) return {};
  return fmt::format("{}: level {} has {} {} problem{}, fewer than the {} asked for; each was asked once", result.task,
                     options.level, options.problems, options.split == Split::kTrain ? "training" : "held-out",
                     options.problems == 1 ? "" : "s", wanted);
}

std::string ResultJson(const AnswerEvalResult& result, const std::string& stage) {
  OrderedJson json;
  json["task"] = result.task;
  json["split"] = result.options.split == Split::kHeldOut ? "held_out" : "train";
  json["stage"] = stage;
  json["level"] = result.options.level;
  json["pass_at_1"] = result.pass_at_1;
  json["pass_at_k"] = result.pass_at_k;
  json["k"] = result.options.samples;
  json["n"] = result.options.problems;
  json["ci95"] = {result.ci95_low, result.ci95_high};
  json["temperature"] = result.options.temperature;
  json["mean_tokens"] = result.mean_tokens;
  json["seed"] = result.options.seed;
  return json.dump();
}

}  // namespace sputnik
