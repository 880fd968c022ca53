#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/parallel.h"
#include "core/files/atomic_write.h"
#include "core/model/gemma2.h"

namespace dhsa {
namespace {

constexpr std::int64_t kShardBytes = 2'000'000'000;
constexpr std::int64_t kValuesAtOnce = 1 << 22;
constexpr std::int64_t kValuesPerJob = 1 << 16;
constexpr double kDeviation = 0.02;  // initializer_range of the published configurations

Gemma2Config shape_named(const std::string& name) {
  Gemma2Config c;  // the 2b
  if (name == "gemma2-9b") {
    c.hidden_size = 3584;
    c.intermediate_size = 14336;
    c.layers = 42;
    c.heads = 16;
    c.kv_heads = 8;
  } else if (name == "gemma2-27b") {
    c.hidden_size = 4608;
    c.intermediate_size = 36864;
    c.layers = 46;
    c.heads = 32;
    c.kv_heads = 16;
    c.head_dim = 128;
    c.query_pre_attn_scalar = 144;
  } else if (name == "demo") {
    c.vocab_size = 8192;
    c.hidden_size = 256;
    c.intermediate_size = 1024;
    c.layers = 8;
    c.heads = 4;
    c.kv_heads = 2;
    c.head_dim = 64;
    c.context = 16384;
    c.sliding_window = 512;
    c.query_pre_attn_scalar = 64;
  } else if (name != "gemma2-2b") {
    throw Error(fmt::format("There is no model shape '{}': choose gemma2-2b, gemma2-9b, gemma2-27b or demo.", name));
  }
  return c;
}

Gemma2Config config_of(const SynthOptions& options) {
  Gemma2Config c = shape_named(options.shape);
  const auto take = [](std::int64_t value, const char* what, std::int64_t& to) {
    if (value < 0 || value > (std::int64_t{1} << 30)) {
      throw Error(
          fmt::format("A model cannot have {} {}: give a number from 1 on, or 0 for that of the shape.", value, what));
    }
    if (value > 0) to = value;
  };
  take(options.layers, "layers", c.layers);
  take(options.vocab, "tokens in its vocabulary", c.vocab_size);
  take(options.window, "tokens in its window", c.sliding_window);
  take(options.context, "tokens of context", c.context);
  if (c.vocab_size < 3) throw Error("A vocabulary needs at least 3 tokens: padding, end and beginning of text.");
  c.local_layer.clear();
  for (std::int64_t layer = 0; layer < c.layers; ++layer) c.local_layer.push_back(layer % 2 == 0);
  return c;
}

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  [[nodiscard]] std::int64_t elements() const {
    std::int64_t n = 1;
    for (const std::int64_t size : shape) n *= size;
    return n;
  }
};

std::vector<Tensor> tensors_of(const Gemma2Config& c) {
  std::vector<Tensor> all{{"model.embed_tokens.weight", {c.vocab_size, c.hidden_size}}};
  const std::int64_t q = c.heads * c.head_dim;
  const std::int64_t kv = c.kv_heads * c.head_dim;
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string at = fmt::format("model.layers.{}.", layer);
    all.push_back({at + "input_layernorm.weight", {c.hidden_size}});
    all.push_back({at + "self_attn.q_proj.weight", {q, c.hidden_size}});
    all.push_back({at + "self_attn.k_proj.weight", {kv, c.hidden_size}});
    all.push_back({at + "self_attn.v_proj.weight", {kv, c.hidden_size}});
    all.push_back({at + "self_attn.o_proj.weight", {c.hidden_size, q}});
    all.push_back({at + "post_attention_layernorm.weight", {c.hidden_size}});
    all.push_back({at + "pre_feedforward_layernorm.weight", {c.hidden_size}});
    all.push_back({at + "mlp.gate_proj.weight", {c.intermediate_size, c.hidden_size}});
    all.push_back({at + "mlp.up_proj.weight", {c.intermediate_size, c.hidden_size}});
    all.push_back({at + "mlp.down_proj.weight", {c.hidden_size, c.intermediate_size}});
    all.push_back({at + "post_feedforward_layernorm.weight", {c.hidden_size}});
  }
  all.push_back({"model.norm.weight", {c.hidden_size}});
  return all;
}

// SplitMix64: a good 64-bit hash of a counter, so that any part of any tensor can be made on its own.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

// 4096 equally likely values of a normal distribution, in bfloat16 (which has 8 significant bits anyway): twelve random
// bits are one sample.
constexpr std::size_t kQuantiles = 4096;
std::array<std::uint16_t, kQuantiles> normal_quantiles() {
  std::array<std::uint16_t, kQuantiles> table{};
  for (std::size_t i = 0; i < kQuantiles; ++i) {
    const double p = (static_cast<double>(i) + 0.5) / kQuantiles;
    double low = -6;  // bisection of the distribution function
    double high = 6;
    for (int step = 0; step < 60; ++step) {
      const double middle = (low + high) / 2;
      (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
    }
    table[i] = float_to_bfloat16(static_cast<float>(kDeviation * low));
  }
  return table;
}

class Samples {
 public:
  Samples(std::uint64_t seed, const CancelToken* cancel) : table_(normal_quantiles()), seed_(seed), cancel_(cancel) {}

  // Values first ... first + n - 1 of tensor number `tensor`.
  void fill(std::uint64_t tensor, std::int64_t first, std::span<std::uint16_t> out) const {
    const std::uint64_t key = mixed(mixed(seed_) ^ tensor);
    const auto n = static_cast<std::int64_t>(out.size());
    parallel_for((n + kValuesPerJob - 1) / kValuesPerJob,
                 [&](std::int64_t job) {
                   const std::int64_t end = std::min(n, (job + 1) * kValuesPerJob);
                   for (std::int64_t i = job * kValuesPerJob; i < end; ++i) {
                     const auto index = static_cast<std::uint64_t>(first + i);
                     const std::uint64_t bits = mixed(key + index / 4);  // four samples of 16 bits, 12 of them used
                     out[static_cast<std::size_t>(i)] = table_[(bits >> (index % 4 * 16)) % kQuantiles];
                   }
                 },
                 cancel_);
  }

 private:
  std::array<std::uint16_t, kQuantiles> table_;
  std::uint64_t seed_;
  const CancelToken* cancel_;
};

void write_shard(const std::filesystem::path& path, std::span<const Tensor> tensors, std::uint64_t first_number,
                 const Samples& samples) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::int64_t at = 0;
  for (const Tensor& tensor : tensors) {
    const std::int64_t end = at + 2 * tensor.elements();
    header[tensor.name] = {{"dtype", "BF16"}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  AtomicFile file(path);
  std::array<unsigned char, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<unsigned char>(text.size() >> (8 * i));
  file.write(length.data(), length.size());
  file.write(text);
  std::vector<std::uint16_t> values;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t n = tensors[i].elements();
    for (std::int64_t begin = 0; begin < n; begin += kValuesAtOnce) {
      values.resize(static_cast<std::size_t>(std::min(kValuesAtOnce, n - begin)));
      samples.fill(first_number + i, begin, values);
      file.write(values.data(), values.size() * sizeof(std::uint16_t));
    }
  }
  file.commit();
}

}  // namespace

void write_synthetic_model(const SynthOptions& options, const std::filesystem::path& folder,
                           const CancelToken* cancel) {
  const Gemma2Config config = config_of(options);
  const std::vector<Tensor> tensors = tensors_of(config);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(fmt::format("Cannot make the folder {}: {}.", folder.string(), error.message()));

  std::vector<std::size_t> starts;  // first tensor of each shard
  std::int64_t used = 0;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t bytes = 2 * tensors[i].elements();
    if (i == 0 || used + bytes > kShardBytes) {
      starts.push_back(i);
      used = 0;
    }
    used += bytes;
    total += bytes;
  }
  const std::size_t shards = starts.size();
  starts.push_back(tensors.size());

  const Samples samples(options.seed, cancel);
  nlohmann::ordered_json index;
  index["metadata"] = {{"total_size", total}};
  for (std::size_t s = 0; s < shards; ++s) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards);
    const std::span<const Tensor> part = std::span(tensors).subspan(starts[s], starts[s + 1] - starts[s]);
    write_shard(folder / name, part, starts[s], samples);
    for (const Tensor& tensor : part) index["weight_map"][tensor.name] = name;
  }
  // Last, so that a folder left by a cancelled run is not taken for a model.
  write_file(folder / "model.safetensors.index.json", index.dump(2) + "\n");
  write_file(folder / "config.json", to_hugging_face(config, "bfloat16").dump(2) + "\n");
}

}  // namespace dhsa
