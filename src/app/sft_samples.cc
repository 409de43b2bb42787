#include "app/sft_samples.h"

#include <algorithm>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "data/chat_sample.h"
#include "data/loader.h"
#include "data/packer.h"
#include "data/positions.h"
#include "data/source.h"

namespace sputnik {
namespace {

uint64_t KeyOf(int64_t step, int64_t index) {
  return HashCombine(static_cast<uint64_t>(step), static_cast<uint64_t>(index));
}

void PlaceSample(const ModelConfig& model, uint64_t seed, uint64_t key, Sample& sample) {
  if (model.position_mode == "randomised") RandomisePositions(sample, model.position_range, seed, key);
}

std::vector<Batch> PackAll(const std::vector<Sample>& samples, int64_t micro_batch_tokens) {
  std::vector<int64_t> lengths;
  for (const Sample& sample : samples) lengths.push_back(static_cast<int64_t>(sample.ids.size()));
  std::vector<Batch> batches;
  for (const std::vector<int64_t>& chosen : PlanMicroBatches(lengths, micro_batch_tokens)) {
    batches.push_back(Pack(samples, chosen));
  }
  return batches;
}

int64_t DrawLevel(const SftConfig& config, Random& random) {
  if (random.Uniform() < config.hardest_share) return config.highest_level;
  return config.lowest_level +
         static_cast<int64_t>(random.Below(static_cast<uint64_t>(config.highest_level - config.lowest_level + 1)));
}

}  // namespace

StepBatches ProblemBatches(const SftConfig& config, const ModelConfig& model, const Tokenizer& tokenizer,
                           const TaskOptions& options, uint64_t seed) {
  const std::shared_ptr<const Task> task = MakeTask(config.task, options);
  CheckLevel(*task, config.lowest_level);
  CheckLevel(*task, config.highest_level);
  return [&config, &model, &tokenizer, task, seed](int64_t step) {
    std::vector<Sample> samples;
    for (int64_t tokens = 0; tokens < config.train.batch_tokens;) {
      const uint64_t key = KeyOf(step, static_cast<int64_t>(samples.size()));
      Random random(seed, kStreamTask, key);
      const int64_t level = DrawLevel(config, random);
      const Problem problem = task->Make(HashCombine(seed, kStreamTask), level, key, Split::kTrain);
      samples.push_back(MakeChatSample(tokenizer, task->Conversation(problem, true)));
      PlaceSample(model, seed, key, samples.back());
      tokens += static_cast<int64_t>(samples.back().ids.size());
    }
    return PackAll(samples, config.train.micro_batch_tokens);
  };
}

StepBatches ConversationBatches(const SftConfig& config, const ModelConfig& model, const Tokenizer& tokenizer,
                                uint64_t seed) {
  std::vector<Sample> all;
  double tokens = 0;
  for (const std::vector<Message>& messages : ReadConversations(config.conversations)) {
    all.push_back(MakeChatSample(tokenizer, messages));
    const auto length = static_cast<int64_t>(all.back().ids.size());
    if (length > model.max_position_embeddings) {
      ThrowBadInput("{}: conversation {} has {} tokens, but the model has only {} positions", config.conversations,
                    all.size(), length, model.max_position_embeddings);
    }
    tokens += static_cast<double>(length);
  }
  const double mean_length = tokens / static_cast<double>(all.size());
  const auto count =
      std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(config.train.batch_tokens) / mean_length));
  return [&config, &model, all = std::move(all), count, seed](int64_t step) {
    std::vector<Sample> samples;
    for (const int64_t i : SampleLoader(static_cast<int64_t>(all.size()), seed).Get(step, count)) {
      samples.push_back(all[static_cast<size_t>(i)]);
      PlaceSample(model, seed, KeyOf(step, i), samples.back());
    }
    return PackAll(samples, config.train.micro_batch_tokens);
  };
}

}  // namespace sputnik
