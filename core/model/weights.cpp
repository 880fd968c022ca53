#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <limits>

#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/files/safetensors.h"
#include "core/model/cpu/gemm.h"
#include "core/model/cpu/ops_kernels.h"
#include "core/model/on_cuda_internal.h"
#include "core/model/weights_internal.h"

namespace dhsa {
namespace {

constexpr std::int64_t kValuesPerJob = 1 << 20;

struct Wanted {
  std::string name;  // without the prefix
  std::vector<std::int64_t> shape;
};

std::vector<Wanted> layer_tensors(const Gemma2Config& c, std::int64_t layer) {
  const std::string at = fmt::format("layers.{}.", layer);
  const std::int64_t q = c.heads * c.head_dim;
  const std::int64_t kv = c.kv_heads * c.head_dim;
  return {{at + "input_layernorm.weight", {c.hidden_size}},
          {at + "post_attention_layernorm.weight", {c.hidden_size}},
          {at + "pre_feedforward_layernorm.weight", {c.hidden_size}},
          {at + "post_feedforward_layernorm.weight", {c.hidden_size}},
          {at + "self_attn.q_proj.weight", {q, c.hidden_size}},
          {at + "self_attn.k_proj.weight", {kv, c.hidden_size}},
          {at + "self_attn.v_proj.weight", {kv, c.hidden_size}},
          {at + "self_attn.o_proj.weight", {c.hidden_size, q}},
          {at + "mlp.gate_proj.weight", {c.intermediate_size, c.hidden_size}},
          {at + "mlp.up_proj.weight", {c.intermediate_size, c.hidden_size}},
          {at + "mlp.down_proj.weight", {c.hidden_size, c.intermediate_size}}};
}

std::vector<Wanted> all_tensors(const Gemma2Config& c) {
  std::vector<Wanted> all{{"embed_tokens.weight", {c.vocab_size, c.hidden_size}}, {"norm.weight", {c.hidden_size}}};
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    for (Wanted& wanted : layer_tensors(c, layer)) all.push_back(std::move(wanted));
  }
  return all;
}

std::int64_t elements(const Wanted& wanted) {
  std::int64_t n = 1;
  for (const std::int64_t size : wanted.shape) n *= size;
  return n;
}

StoredType stored_type(const std::string& dtype) {
  if (dtype == "F32") return StoredType::kF32;
  return dtype == "BF16" ? StoredType::kBf16 : StoredType::kF16;
}

// A folder whose tensors have all been found with the right shape and a type that can be read.
class CheckedFolder {
 public:
  CheckedFolder(const std::filesystem::path& folder, const Gemma2Config& config, const ModelOptions& options)
      : files_(TensorFolder::open(folder)), options_(options), wanted_(all_tensors(config)) {
    // Fine-tunes saved from Gemma2Model, without the head, lack the prefix.
    if (files_.contains("embed_tokens.weight")) prefix_.clear();
    for (const Wanted& wanted : wanted_) {
      const std::string name = prefix_ + wanted.name;
      if (!files_.contains(name)) {
        throw Error(fmt::format("{} has no tensor {}: the model is incomplete or not a Gemma 2 of {} layers.",
                                folder.string(), name, config.layers));
      }
      const TensorInfo& info = files_.info(name);
      const std::string file = files_.file_of(name).path().string();
      if (info.dtype != "F32" && info.dtype != "BF16" && info.dtype != "F16") {
        throw Error(
            fmt::format("Tensor {} in {} has type {}; weights must be F32, BF16 or F16.", name, file, info.dtype));
      }
      if (wanted.name == "embed_tokens.weight" && info.shape.size() == 2 && info.shape[0] != config.vocab_size) {
        throw Error(
            fmt::format("The embedding {} in {} has {} rows but config.json says vocab_size {}: model and "
                        "configuration do not belong together.",
                        name, file, info.shape[0], config.vocab_size));
      }
      if (info.shape != wanted.shape) {
        throw Error(fmt::format("Tensor {} in {} has shape [{}] but config.json asks for [{}].", name, file,
                                fmt::join(info.shape, ", "), fmt::join(wanted.shape, ", ")));
      }
    }
  }

  [[nodiscard]] const SafetensorsFile& file_of(const std::string& name) const { return files_.file_of(prefix_ + name); }
  [[nodiscard]] const TensorInfo& info(const std::string& name) const { return files_.info(prefix_ + name); }
  [[nodiscard]] std::string full_name(const std::string& name) const { return prefix_ + name; }
  [[nodiscard]] const std::vector<Wanted>& wanted() const { return wanted_; }

  // Type a matrix is kept in; vectors (norms) are always float32. A bfloat16 file computed in float32 stays bfloat16
  // and is widened inside the matrix product: same values, half of the memory.
  [[nodiscard]] at::ScalarType kept_type(const std::vector<std::string>& parts) const {
    const bool all_bf16 =
        std::all_of(parts.begin(), parts.end(), [&](const std::string& name) { return info(name).dtype == "BF16"; });
    const bool even = info(parts.front()).shape.back() % 2 == 0;  // packed bfloat16 comes in pairs
    return (options_.compute == DType::kBFloat16 || all_bf16) && (even || options_.device == Device::kCuda)
               ? at::kBFloat16
               : at::kFloat;
  }

  [[nodiscard]] std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const Wanted& wanted : wanted_) {
      const bool vector = wanted.shape.size() == 1;
      sum += elements(wanted) * (vector || kept_type({wanted.name}) == at::kFloat ? 4 : 2);
    }
    return sum;
  }

 private:
  TensorFolder files_;
  std::string prefix_ = "model.";
  ModelOptions options_;
  std::vector<Wanted> wanted_;
};

class Fnv1a {
 public:
  void add(const void* data, std::size_t bytes) {
    const auto* at = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < bytes; ++i) hash_ = (hash_ ^ at[i]) * 0x100000001b3ULL;
  }
  [[nodiscard]] std::string text() const { return fmt::format("fnv1a:{:016x}", hash_); }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

std::string fingerprint_of(const CheckedFolder& folder) {
  constexpr std::size_t kFirst = 4096;
  Fnv1a hash;
  for (const Wanted& wanted : folder.wanted()) {
    const std::span<const std::byte> bytes = folder.file_of(wanted.name).bytes(folder.full_name(wanted.name));
    const std::string head =
        fmt::format("{} {} {};", wanted.name, folder.info(wanted.name).dtype, fmt::join(wanted.shape, "x"));
    hash.add(head.data(), head.size());
    hash.add(bytes.data(), std::min(kFirst, bytes.size()));
  }
  return hash.text();
}

// Lets the kernel drop the mapped pages of a tensor that has been copied: the file does not count as memory of ours.
void release_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

class Loader {
 public:
  Loader(const CheckedFolder& folder, Device device, const CancelToken* cancel)
      : folder_(folder), device_(device), cancel_(cancel) {}

  at::Tensor vector(const std::string& name) const {
    at::Tensor tensor = at::empty({folder_.info(name).shape[0]}, at::kFloat);
    copy(name, tensor.data_ptr(), false);
    return placed(tensor);
  }

  at::Tensor plain(const std::vector<std::string>& names) const {
    std::int64_t rows = 0;
    for (const std::string& name : names) rows += folder_.info(name).shape[0];
    const std::int64_t columns = folder_.info(names.front()).shape[1];
    const at::ScalarType type = folder_.kept_type(names);
    at::Tensor tensor = in_large_pages({rows, columns}, type);
    auto* at = static_cast<char*>(tensor.data_ptr());
    for (const std::string& name : names) {
      copy(name, at, type == at::kBFloat16);
      at += folder_.info(name).shape[0] * columns * tensor.element_size();
    }
    return placed(tensor);
  }

  // Matrices with the same number of columns, one below the other: plain on a GPU, packed (gemm.h) on the CPU. With
  // `gated` there are two, of which 16 rows each take turns in the panels.
  at::Tensor stacked(const std::vector<std::string>& names, bool gated = false) const {
    if (device_ == Device::kCuda) return plain(names);
    std::vector<Source> rows;
    for (const std::string& name : names) {
      const TensorInfo& info = folder_.info(name);
      const StoredType type = stored_type(info.dtype);
      const std::byte* at = folder_.file_of(name).bytes(folder_.full_name(name)).data();
      for (std::int64_t row = 0; row < info.shape[0]; ++row) {
        rows.push_back({at, type, &name});
        at += info.shape[1] * (type == StoredType::kF32 ? 4 : 2);
      }
    }
    const std::int64_t k = folder_.info(names.front()).shape[1];
    const auto outputs = static_cast<std::int64_t>(rows.size()) / (gated ? 2 : 1);
    const std::int64_t panels = panels_of(outputs, gated);
    const bool bf16 = folder_.kept_type(names) == at::kBFloat16;
    at::Tensor tensor = bf16 ? in_large_pages({panels, k / 2, kPanelColumns, 2}, at::kBFloat16)
                             : in_large_pages({panels, k, kPanelColumns}, at::kFloat);
    std::atomic<const std::string*> damaged{nullptr};
    parallel_for(
        panels,
        [&](std::int64_t panel) {
          const auto source = [&](std::int64_t column) -> const Source* {
            const std::int64_t half = kPanelColumns / 2;
            const std::int64_t output = gated ? panel * half + column % half : panel * kPanelColumns + column;
            if (output >= outputs) return nullptr;
            return &rows[static_cast<std::size_t>(gated && column >= half ? outputs + output : output)];
          };
          const std::string* bad = bf16 ? pack(source, k, tensor.data_ptr<at::BFloat16>() + panel * k * kPanelColumns)
                                        : pack(source, k, tensor.data_ptr<float>() + panel * k * kPanelColumns);
          if (bad != nullptr) damaged = bad;
        },
        cancel_);
    if (damaged != nullptr) refuse_values(*damaged);
    for (const std::string& name : names) release_pages(folder_.file_of(name).bytes(folder_.full_name(name)));
    return tensor;
  }

 private:
  struct Source {
    const std::byte* row;
    StoredType type;
    const std::string* name;
  };

  // Packs 32 rows into a panel; returns the name of a tensor whose values are not finite, or null.
  template <class SourceOf, class T>
  static const std::string* pack(const SourceOf& source_of, std::int64_t k, T* panel) {
    using Bits = std::conditional_t<std::is_same_v<T, float>, float, std::uint16_t>;
    std::vector<Bits> rows(static_cast<std::size_t>(kPanelColumns * k));  // zero where there is no row
    const std::string* bad = nullptr;
    for (std::int64_t column = 0; column < kPanelColumns; ++column) {
      const Source* source = source_of(column);
      if (source != nullptr &&
          !ops_kernels().convert(source->row, source->type, k, rows.data() + column * k, sizeof(Bits) == 2)) {
        bad = source->name;
      }
    }
    pack_panel(rows.data(), k, reinterpret_cast<Bits*>(panel));
    return bad;
  }

  // Large pages: fewer page faults now, fewer address lookups in every product.
  static at::Tensor in_large_pages(at::IntArrayRef shape, at::ScalarType type) {
    at::Tensor tensor = at::empty(shape, type);
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<std::uintptr_t>(tensor.data_ptr()) + page - 1) / page * page;
    if (tensor.nbytes() > (4U << 20U)) {
      madvise(reinterpret_cast<void*>(begin), tensor.nbytes() - page, MADV_HUGEPAGE);
    }
    return tensor;
  }

  [[noreturn]] void refuse_values(const std::string& name) const {
    throw Error(fmt::format("Tensor {} in {} holds values that are infinite or not numbers: the file is damaged.",
                            folder_.full_name(name), folder_.file_of(name).path().string()));
  }

  [[nodiscard]] at::Tensor placed(const at::Tensor& host) const {
    return device_ == Device::kCuda ? on_cuda::to_device(host) : host;
  }

  void copy(const std::string& name, void* to, bool to_bf16) const {
    const SafetensorsFile& file = folder_.file_of(name);
    const TensorInfo& info = folder_.info(name);
    const std::span<const std::byte> from = file.bytes(folder_.full_name(name));
    const StoredType type = stored_type(info.dtype);
    const std::int64_t from_size = type == StoredType::kF32 ? 4 : 2;
    const std::int64_t n = info.elements();
    std::atomic<bool> finite{true};
    parallel_for((n + kValuesPerJob - 1) / kValuesPerJob,
                 [&](std::int64_t job) {
                   const std::int64_t begin = job * kValuesPerJob;
                   if (!ops_kernels().convert(from.data() + begin * from_size, type, std::min(kValuesPerJob, n - begin),
                                              static_cast<char*>(to) + begin * (to_bf16 ? 2 : 4), to_bf16)) {
                     finite = false;
                   }
                 },
                 cancel_);
    if (!finite) refuse_values(name);
    release_pages(from);
  }

  const CheckedFolder& folder_;
  Device device_;
  const CancelToken* cancel_;
};

}  // namespace

std::int64_t weight_bytes(const std::filesystem::path& folder, const ModelOptions& options) {
  return CheckedFolder(folder, read_config(folder / "config.json"), options).bytes();
}

Weights load_weights(const std::filesystem::path& folder, const Gemma2Config& config, const ModelOptions& options,
                     const CancelToken* cancel) {
  const CheckedFolder checked(folder, config, options);
  Weights weights;
  weights.bytes = checked.bytes();
  const bool cuda = options.device == Device::kCuda;
  if (const std::int64_t free = cuda ? on_cuda::memory().free : available_bytes(); weights.bytes > free) {
    throw Error(
        fmt::format("The weights of {} take {:.1f} GB of memory and {:.1f} GB are free: close other programs, "
                    "choose bfloat16 or a smaller model.",
                    folder.string(), static_cast<double>(weights.bytes) / 1e9, static_cast<double>(free) / 1e9));
  }
  weights.fingerprint = fingerprint_of(checked);
  const Loader loader(checked, options.device, cancel);
  weights.embedding = loader.plain({"embed_tokens.weight"});
  weights.final_norm = loader.vector("norm.weight");
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string at = fmt::format("layers.{}.", layer);
    LayerWeights& to = weights.layers.emplace_back();
    to.input_norm = loader.vector(at + "input_layernorm.weight");
    to.post_attention_norm = loader.vector(at + "post_attention_layernorm.weight");
    to.pre_mlp_norm = loader.vector(at + "pre_feedforward_layernorm.weight");
    to.post_mlp_norm = loader.vector(at + "post_feedforward_layernorm.weight");
    to.qkv = loader.stacked(
        {at + "self_attn.q_proj.weight", at + "self_attn.k_proj.weight", at + "self_attn.v_proj.weight"});
    to.output = loader.stacked({at + "self_attn.o_proj.weight"});
    to.gate_up = loader.stacked({at + "mlp.gate_proj.weight", at + "mlp.up_proj.weight"}, true);
    to.down = loader.stacked({at + "mlp.down_proj.weight"});
  }
  return weights;
}

}  // namespace dhsa
