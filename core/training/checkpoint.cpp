#include "core/training/checkpoint.h"

#include <fmt/format.h>

#include <charconv>

#include "core/files/safetensors.h"

namespace dhsa {
namespace {

constexpr const char* kFirst = "adam.first_moment";
constexpr const char* kSecond = "adam.second_moment";

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw Error(fmt::format("{} is no checkpoint of a predictor's training: {}.", path.string(), why));
}

const std::string& metadata(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) refuse(file.path(), fmt::format("its metadata has no \"{}\"", key));
  return found->second;
}

template <class Number>
Number number(const SafetensorsFile& file, const std::string& key) {
  const std::string& text = metadata(file, key);
  Number value{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !(value >= 0) || value - value != Number{}) {
    refuse(file.path(), fmt::format("its \"{}\" is no number from 0", key));
  }
  return value;
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const TrainingCheckpoint& checkpoint) {
  PredictorWeights weights = checkpoint.state.weights;
  std::vector<TensorToWrite> tensors;
  const auto put = [&](const char* name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
    tensors.push_back({name, "F32", std::move(shape), std::as_bytes(std::span(values))});
  };
  const auto shapes = shapes_of(weights);
  const auto named = tensors_of(weights);
  for (std::size_t i = 0; i < named.size(); ++i) put(named[i].first, shapes[i], *named[i].second);
  const auto count = static_cast<std::int64_t>(checkpoint.state.first_moment.size());
  put(kFirst, {count}, checkpoint.state.first_moment);
  put(kSecond, {count}, checkpoint.state.second_moment);
  write_safetensors(path, tensors,
                    {{"heads", fmt::format("{}", weights.heads)},
                     {"boundary_window", fmt::format("{}", weights.boundary_window)},
                     {"window_pool", "true"},
                     {"training", checkpoint.identity},
                     {"sequences", fmt::format("{}", checkpoint.sequences)},
                     {"steps", fmt::format("{}", checkpoint.state.steps)},
                     {"loss_sum", fmt::format("{}", checkpoint.loss_sum)},
                     {"loss_steps", fmt::format("{}", checkpoint.loss_steps)}});
}

TrainingCheckpoint read_checkpoint(const std::filesystem::path& path) {
  TrainingCheckpoint checkpoint;
  const auto predictor = BoundaryPredictor::load(path);
  checkpoint.state.weights = predictor->weights();
  if (checkpoint.state.weights.gate_weight.empty()) refuse(path, "its predictor has no gate");
  const auto file = SafetensorsFile::open(path);
  std::size_t count = 0;
  for (const auto& [name, values] : tensors_of(checkpoint.state.weights)) count += values->size();
  for (auto [name, moments] :
       {std::pair{kFirst, &checkpoint.state.first_moment}, std::pair{kSecond, &checkpoint.state.second_moment}}) {
    if (!file->contains(name)) refuse(path, fmt::format("it has no tensor {}", name));
    *moments = file->floats(name);
    if (moments->size() != count) {
      refuse(path, fmt::format("{} holds {} numbers, its weights {}", name, moments->size(), count));
    }
    for (const float value : *moments) {
      if (!(value - value == 0.0F) || (moments == &checkpoint.state.second_moment && value < 0)) {
        refuse(path, fmt::format("{} holds numbers that no training leaves there", name));
      }
    }
  }
  checkpoint.identity = metadata(*file, "training");
  checkpoint.sequences = number<std::int64_t>(*file, "sequences");
  checkpoint.state.steps = number<std::int64_t>(*file, "steps");
  checkpoint.loss_sum = number<double>(*file, "loss_sum");
  checkpoint.loss_steps = number<std::int64_t>(*file, "loss_steps");
  return checkpoint;
}

}  // namespace dhsa
