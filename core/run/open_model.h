// A model folder made ready: configuration, tokenizer and weights that belong together, and its boundary predictor.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>

#include "core/model/gemma2.h"
#include "core/run/run.h"
#include "core/text/tokenizer.h"

namespace dhsa {

class BoundaryPredictor;

struct OpenModel {
  std::filesystem::path folder;
  std::shared_ptr<const Gemma2> model;
  std::shared_ptr<const Tokenizer> tokenizer;
};

struct OpenModelOptions {
  ModelOptions model;
  bool warm_up = false;  // see warm_up() in run.h
  std::function<void(const char* what)> progress;
  const CancelToken* cancel = nullptr;
};

// Cheap checks first: folder, config.json, tokenizer, that these belong together; then the weights. Throws Error,
// Cancelled.
[[nodiscard]] OpenModel open_model(const std::filesystem::path& folder, const OpenModelOptions& options = {});

// Throws Error where the tokenizer makes ids that the model has no embedding for.
void check_vocabulary(const Gemma2Config& config, const Tokenizer& tokenizer);

// The predictor of these parameters: the file they name, else predictor.safetensors of the model's folder; null where
// they need none, or may do without and the folder has none. A file is read again only after it has changed. Throws
// Error.
[[nodiscard]] std::shared_ptr<const BoundaryPredictor> open_predictor(const SparsityParameters& parameters,
                                                                      const std::filesystem::path& model_folder);
// Whether there is one for them, should they have learned boundaries; reads no file.
[[nodiscard]] bool has_predictor(const SparsityParameters& parameters, const std::filesystem::path& model_folder);
// Of all of these; throws Error also where they name two.
[[nodiscard]] std::shared_ptr<const BoundaryPredictor> open_predictor(std::span<const MethodChoice> methods,
                                                                      const std::filesystem::path& model_folder);

}  // namespace dhsa
