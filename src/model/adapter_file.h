// Adapters on disk, as PEFT has them: a folder with adapter_config.json and adapter_model.safetensors, whose tensors
// are base_model.model.MODULE.lora_A.weight and …lora_B.weight.
#pragma once

#include <filesystem>
#include <memory>

#include "model/adapter.h"
#include "model/decoder.h"

namespace sputnik {

bool IsAdapterFolder(const std::filesystem::path& folder);

// The folder of the base model that an adapter's config names. Throws Error (bad input) when it names none, or one that
// is not there.
std::filesystem::path AdapterBase(const std::filesystem::path& adapter_folder);

// Where a folder's weights are: there, or in the base of the adapter that it holds.
std::filesystem::path WeightsFolder(const std::filesystem::path& folder);

// Reads an adapter of that model. Throws Error (bad input) naming the file and the tensor, module or option: one that
// the model lacks or that has another shape, a half that is missing, a module of target_modules without tensors,
// numbers of a type that holds no weights, a rank below 1; and every option of PEFT's that would change the arithmetic
// and is not supported here (DoRA, modules_to_save, biases, ranks by module, …).
std::unique_ptr<Adapter> LoadAdapter(const std::filesystem::path& folder, const ModelConfig& model, DType dtype,
                                     bool with_gradients);

// Writes both files into an existing folder, each atomically; the numbers are float32.
void SaveAdapter(const std::filesystem::path& folder, const Adapter& adapter);

// A model for which only an adapter is learnt: the weights of `base` stay in their mapped files where their type
// allows. `adapter_folder` empty: no adapter yet.
std::unique_ptr<Decoder> LoadAdapted(const std::filesystem::path& base, const std::filesystem::path& adapter_folder,
                                     bool with_gradients);

// The model that `folder` means: its weights, or those of an adapter's base with the adapter on. It only computes.
std::unique_ptr<Decoder> LoadForward(const std::filesystem::path& folder);

}  // namespace sputnik
