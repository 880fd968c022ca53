// Shared by the model tests: planners, folders that vanish, models with one thing changed.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/files/atomic_write.h"
#include "core/files/safetensors.h"
#include "core/model/gemma2.h"

namespace dhsa::test {

inline const std::filesystem::path kTiny = std::filesystem::path(DHSA_FIXTURES) / "gemma2_tiny_a";
inline const std::filesystem::path kDemo = std::filesystem::path(DHSA_RESOURCES) / "models" / "demo";

class DensePlanner : public Planner {
 public:
  [[nodiscard]] Plan plan(const HeadsView& q, const HeadsView& /*k*/, const LayerInfo& layer,
                          const CancelToken* /*cancel*/) override {
    Plan plan;
    plan.mask = KeyMask::dense(q.rows, layer.window);
    return plan;
  }
};

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dhsa-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct OwnedTensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};
using OwnedTensors = std::map<std::string, OwnedTensor>;

inline OwnedTensors read_tensors(const std::filesystem::path& path) {
  OwnedTensors tensors;
  const auto file = SafetensorsFile::open(path);
  for (const auto& [name, info] : file->tensors()) {
    const auto bytes = file->bytes(name);
    tensors[name] = {info.dtype, info.shape, {bytes.begin(), bytes.end()}};
  }
  return tensors;
}

inline void write_tensors(const std::filesystem::path& path, const OwnedTensors& tensors) {
  std::vector<TensorToWrite> list;
  for (const auto& [name, tensor] : tensors) list.push_back({name, tensor.dtype, tensor.shape, tensor.bytes});
  write_safetensors(path, list, {{"format", "pt"}});
}

// A copy of the tiny fixture model in `folder`, with weights and config.json changed on the way.
inline void tiny_model_with(const std::filesystem::path& folder, const std::function<void(OwnedTensors&)>& weights,
                            const std::function<void(nlohmann::json&)>& config = {}) {
  OwnedTensors tensors = read_tensors(kTiny / "model.safetensors");
  if (weights) weights(tensors);
  write_tensors(folder / "model.safetensors", tensors);
  nlohmann::json json = nlohmann::json::parse(read_file(kTiny / "config.json"));
  if (config) config(json);
  write_file(folder / "config.json", json.dump());
}

inline std::vector<std::int32_t> random_ids(std::size_t n, std::int64_t vocab, unsigned seed = 7) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<std::int32_t> pick(3, static_cast<std::int32_t>(vocab - 1));
  std::vector<std::int32_t> ids{2};
  while (ids.size() < n) ids.push_back(pick(random));
  return ids;
}

inline double relative_difference(const std::vector<float>& ours, const std::vector<float>& expected) {
  EXPECT_EQ(ours.size(), expected.size());
  double difference = 0;
  double largest = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), expected.size()); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(ours[i]) - static_cast<double>(expected[i])));
    if (std::isnan(ours[i])) difference = INFINITY;
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return difference / largest;
}

// The sentence of the Error that `action` throws; "" (and a failure) if it throws none.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

}  // namespace dhsa::test
