#include "core/run/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/model/folder.h"
#include "core/run/run.h"
#include "core/sparsity/boundary_predictor.h"

namespace dhsa {
namespace {

constexpr std::size_t kKeptPredictors = 4;

// What a file is known by: a retrained predictor has the same path.
struct FileState {
  std::filesystem::path path;
  std::uintmax_t size = 0;
  std::filesystem::file_time_type written;
  bool operator==(const FileState&) const = default;
};

std::shared_ptr<const BoundaryPredictor> cached_predictor(const std::filesystem::path& path) {
  static std::mutex mutex;
  static std::vector<std::pair<FileState, std::shared_ptr<const BoundaryPredictor>>> kept;  // newest last
  std::error_code failed;
  FileState state{std::filesystem::absolute(path, failed), std::filesystem::file_size(path, failed), {}};
  if (!failed) state.written = std::filesystem::last_write_time(path, failed);
  if (failed) return BoundaryPredictor::load(path);  // says what is wrong with it
  const std::lock_guard lock(mutex);
  const auto known = std::find_if(kept.begin(), kept.end(), [&](const auto& one) { return one.first == state; });
  if (known != kept.end()) return known->second;
  auto predictor = BoundaryPredictor::load(path);
  std::erase_if(kept, [&](const auto& one) { return one.first.path == state.path; });
  if (kept.size() == kKeptPredictors) kept.erase(kept.begin());
  kept.emplace_back(std::move(state), predictor);
  return predictor;
}

std::filesystem::path own_predictor(const std::filesystem::path& model_folder) {
  return model_folder / "predictor.safetensors";
}

}  // namespace

OpenModel open_model(const std::filesystem::path& folder, const OpenModelOptions& options) {
  const auto tell = [&](const char* what) {
    if (options.progress) options.progress(what);
  };
  OpenModel opened;
  opened.folder = model_folder(folder);
  tell("loading the model");
  const Gemma2Config config = read_model_config(opened.folder);
  opened.tokenizer = Tokenizer::of_model(opened.folder, config.vocab_size);
  check_vocabulary(config, *opened.tokenizer);
  opened.model = Gemma2::load(opened.folder, options.model, options.cancel);
  if (options.warm_up) {
    tell("warming up");
    warm_up(*opened.model, options.cancel);
  }
  return opened;
}

void check_vocabulary(const Gemma2Config& config, const Tokenizer& tokenizer) {
  if (tokenizer.size() > config.vocab_size) {
    throw Error(
        fmt::format("The tokenizer knows {} pieces but the model only {}: tokenizer and weights do not belong "
                    "together.",
                    tokenizer.size(), config.vocab_size));
  }
  if (tokenizer.bos() != config.bos_token) {
    throw Error(
        fmt::format("The tokenizer begins a text with token {} but config.json says bos_token_id {}: they do not "
                    "belong together.",
                    tokenizer.bos(), config.bos_token));
  }
}

bool has_predictor(const SparsityParameters& parameters, const std::filesystem::path& model_folder) {
  std::error_code absent;
  return !parameters.predictor.empty() || std::filesystem::exists(own_predictor(model_folder), absent);
}

std::shared_ptr<const BoundaryPredictor> open_predictor(const SparsityParameters& parameters,
                                                        const std::filesystem::path& model_folder) {
  const bool may_do_without = parameters.boundaries == BoundarySource::kAuto;
  if (parameters.method != Method::kDhsa || (!may_do_without && parameters.boundaries != BoundarySource::kLearned)) {
    return nullptr;
  }
  if (has_predictor(parameters, model_folder)) {
    const std::filesystem::path named = parameters.predictor;
    return cached_predictor(named.empty() ? own_predictor(model_folder) : named);
  }
  if (may_do_without) return nullptr;
  throw Error(
      fmt::format("Learned boundaries need a predictor and {} has none; name a predictor file or take "
                  "boundaries key-shift.",
                  model_folder.string()));
}

std::shared_ptr<const BoundaryPredictor> open_predictor(std::span<const MethodChoice> methods,
                                                        const std::filesystem::path& model_folder) {
  std::shared_ptr<const BoundaryPredictor> predictor;
  for (const MethodChoice& method : methods) {
    const auto own = open_predictor(method.parameters, model_folder);
    if (own && predictor && own != predictor) {
      throw Error(fmt::format("{} names another predictor than the methods before it; compare them one at a time.",
                              method.name));
    }
    if (own) predictor = own;
  }
  return predictor;
}

}  // namespace dhsa
