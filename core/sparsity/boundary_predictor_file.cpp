#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "core/files/safetensors.h"
#include "core/sparsity/boundary_predictor.h"

namespace dhsa {
namespace {

std::vector<float> read(const SafetensorsFile& file, const std::string& name, const std::vector<std::int64_t>& shape) {
  if (!file.contains(name)) {
    throw Error(fmt::format("{} is no boundary predictor: it has no tensor {}.", file.path().string(), name));
  }
  const TensorInfo& info = file.info(name);
  if (info.shape != shape) {
    throw Error(fmt::format("{}: {} has shape [{}], the other weights call for [{}].", file.path().string(), name,
                            fmt::join(info.shape, ", "), fmt::join(shape, ", ")));
  }
  std::vector<float> values = file.floats(name);
  for (const float value : values) {
    if (!(value - value == 0.0F)) {
      throw Error(fmt::format("{}: {} holds numbers that are not finite; train the predictor again.",
                              file.path().string(), name));
    }
  }
  return values;
}

std::int64_t whole_number(const SafetensorsFile& file, const std::string& key, std::int64_t otherwise) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return otherwise;
  const std::string& text = found->second;
  std::int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) {
    throw Error(
        fmt::format("{}: metadata \"{}\" is \"{}\" where a whole number is due.", file.path().string(), key, text));
  }
  return value;
}

}  // namespace

std::shared_ptr<const BoundaryPredictor> BoundaryPredictor::load(const std::filesystem::path& path,
                                                                 const PredictorSettings& settings) {
  const auto file = SafetensorsFile::open(path);
  const std::string prefix = file->contains("predictor.enc.norm.weight") ? "predictor." : "";
  const auto shape_of = [&](const std::string& name, std::size_t rank) {
    if (!file->contains(prefix + name) || file->info(prefix + name).shape.size() != rank) {
      throw Error(fmt::format("{} is no boundary predictor: it has no tensor {} with {} dimensions.", path.string(),
                              prefix + name, rank));
    }
    return file->info(prefix + name).shape;
  };
  PredictorWeights weights;
  weights.channels = shape_of("enc.norm.weight", 1)[0];
  weights.hidden = shape_of("mlp.0.weight", 2)[0];
  weights.heads = settings.heads ? *settings.heads : whole_number(*file, "heads", 4);
  weights.boundary_window =
      settings.boundary_window ? *settings.boundary_window : whole_number(*file, "boundary_window", 4);
  const std::int64_t c = weights.channels;
  const std::int64_t h = weights.hidden;
  weights.in_proj_weight = read(*file, prefix + "enc.mha.in_proj_weight", {3 * c, c});
  weights.in_proj_bias = read(*file, prefix + "enc.mha.in_proj_bias", {3 * c});
  weights.out_proj_weight = read(*file, prefix + "enc.mha.out_proj.weight", {c, c});
  weights.out_proj_bias = read(*file, prefix + "enc.mha.out_proj.bias", {c});
  weights.norm_weight = read(*file, prefix + "enc.norm.weight", {c});
  weights.norm_bias = read(*file, prefix + "enc.norm.bias", {c});
  weights.mlp0_weight = read(*file, prefix + "mlp.0.weight", {h, 4 * c + 1});
  weights.mlp0_bias = read(*file, prefix + "mlp.0.bias", {h});
  weights.mlp2_weight = read(*file, prefix + "mlp.2.weight", {1, h});
  weights.mlp2_bias = read(*file, prefix + "mlp.2.bias", {1});
  const bool has_gate = file->contains(prefix + "pool.gate.weight");
  const auto pool = file->metadata().find("window_pool");
  const bool gated = settings.window_pool             ? *settings.window_pool
                     : pool != file->metadata().end() ? pool->second == "true" || pool->second == "True"
                                                      : has_gate;
  if (gated) weights.gate_weight = read(*file, prefix + "pool.gate.weight", {1, c});
  return std::make_shared<const BoundaryPredictor>(std::move(weights));
}

void write_predictor(const std::filesystem::path& path, const PredictorWeights& weights,
                     const std::map<std::string, std::string>& metadata) {
  const std::int64_t c = weights.channels;
  const std::int64_t h = weights.hidden;
  std::vector<TensorToWrite> tensors;
  const auto put = [&](const char* name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
    tensors.push_back({name, "F32", std::move(shape), std::as_bytes(std::span(values))});
  };
  put("enc.mha.in_proj_weight", {3 * c, c}, weights.in_proj_weight);
  put("enc.mha.in_proj_bias", {3 * c}, weights.in_proj_bias);
  put("enc.mha.out_proj.weight", {c, c}, weights.out_proj_weight);
  put("enc.mha.out_proj.bias", {c}, weights.out_proj_bias);
  put("enc.norm.weight", {c}, weights.norm_weight);
  put("enc.norm.bias", {c}, weights.norm_bias);
  if (!weights.gate_weight.empty()) put("pool.gate.weight", {1, c}, weights.gate_weight);
  put("mlp.0.weight", {h, 4 * c + 1}, weights.mlp0_weight);
  put("mlp.0.bias", {h}, weights.mlp0_bias);
  put("mlp.2.weight", {1, h}, weights.mlp2_weight);
  put("mlp.2.bias", {1}, weights.mlp2_bias);
  std::map<std::string, std::string> all = metadata;
  all["heads"] = fmt::format("{}", weights.heads);
  all["boundary_window"] = fmt::format("{}", weights.boundary_window);
  all["window_pool"] = weights.gate_weight.empty() ? "false" : "true";
  write_safetensors(path, tensors, all);
}

}  // namespace dhsa
