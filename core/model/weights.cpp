#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/files/sha256.h"
#include "core/model/checkpoint_internal.h"
#include "core/model/cpu/gemm.h"
#include "core/model/cpu/ops_kernels.h"
#include "core/model/folder.h"
#include "core/model/on_cuda_internal.h"
#include "core/model/weights_internal.h"
#include "core/text/sentencepiece_internal.h"

namespace dhsa {
namespace {

constexpr std::int64_t kValuesPerJob = 1 << 20;  // whole blocks of every type

// The type a matrix is kept in; vectors (norms) are always float32. A bfloat16
// file computed in float32 stays bfloat16 and is widened inside the matrix
// product: same values, half of the memory.
at::ScalarType kept_type(const Checkpoint& checkpoint, const ModelOptions& options,
                         const std::vector<std::string>& parts) {
  const bool all_bf16 = std::all_of(parts.begin(), parts.end(),
                                    [&](const std::string& name) { return checkpoint.info(name).dtype == "BF16"; });
  const bool even = checkpoint.info(parts.front()).shape.back() % 2 == 0;  // packed bfloat16 comes in pairs
  return (options.compute == DType::kBFloat16 || all_bf16) && (even || options.device == Device::kCuda) ? at::kBFloat16
                                                                                                        : at::kFloat;
}

std::int64_t kept_bytes(const Checkpoint& checkpoint, const ModelOptions& options) {
  std::int64_t sum = 0;
  for (const Checkpoint::Wanted& wanted : checkpoint.wanted()) {
    const bool vector = wanted.shape.size() == 1;
    sum += wanted.elements() * (vector || kept_type(checkpoint, options, {wanted.name}) == at::kFloat ? 4 : 2);
  }
  return sum;
}

// The identity of a model: a hash of its configuration, its tokenizer and all
// weights that were read, tensor by tensor.
class Fingerprint {
 public:
  // What the same files gave before: those of weights are known by path, size
  // and time of change.
  Fingerprint(const Checkpoint& checkpoint, const std::filesystem::path& folder, const Gemma2Config& config)
      : checkpoint_(checkpoint), about_(to_hugging_face(config, "").dump() + tokenizer_identity(folder)) {
    files_ = about_;
    std::error_code ignored;
    for (const Checkpoint::Wanted& wanted : checkpoint.wanted()) {
      const std::filesystem::path& path = checkpoint.file_of(wanted.name).path();
      files_ += fmt::format("{} {} {} {};", path.string(), std::filesystem::file_size(path, ignored),
                            std::filesystem::last_write_time(path, ignored).time_since_epoch().count(), wanted.name);
    }
    const std::lock_guard lock(known_mutex());
    if (const auto found = known().find(files_); found != known().end()) text_ = found->second;
  }
  [[nodiscard]] bool is_known() const { return !text_.empty(); }
  void add(const std::string& name, const CancelToken* cancel) {
    if (is_known()) return;
    const std::span<const std::byte> bytes = checkpoint_.file_of(name).bytes(checkpoint_.full_name(name));
    constexpr std::size_t kBlock = std::size_t{1} << 22U;
    std::vector<std::uint64_t> blocks((bytes.size() + kBlock - 1) / kBlock);
    parallel_for(
        static_cast<std::int64_t>(blocks.size()),
        [&](std::int64_t i) {
          const auto begin = static_cast<std::size_t>(i) * kBlock;
          blocks[static_cast<std::size_t>(i)] = hash(bytes.subspan(begin, std::min(kBlock, bytes.size() - begin)));
        },
        cancel);
    tensors_[name] = hash(std::as_bytes(std::span(blocks)));
  }
  [[nodiscard]] std::string text() {
    if (is_known()) return text_;
    std::string all = about_;
    for (const Checkpoint::Wanted& wanted : checkpoint_.wanted()) {
      all += fmt::format("{} {} {} {:016x};", wanted.name, checkpoint_.info(wanted.name).dtype,
                         fmt::join(wanted.shape, "x"), tensors_.at(wanted.name));
    }
    text_ = "sha256:" + sha256(all);
    const std::lock_guard lock(known_mutex());
    return known()[files_] = text_;
  }

 private:
  static std::map<std::string, std::string>& known() {
    static std::map<std::string, std::string> fingerprints;
    return fingerprints;
  }
  static std::mutex& known_mutex() {
    static std::mutex mutex;
    return mutex;
  }

  // Of what makes token ids of a text; a model without a tokenizer has weights
  // all the same.
  static std::string tokenizer_identity(const std::filesystem::path& folder) {
    std::string text;
    try {
      text = tokenizer_bytes(folder);
      for (const auto& [id, token] : read_tokenizer_config(folder).added) {
        text += fmt::format("{} {} {};", id, token.text, token.special);
      }
    } catch (const Error&) {
    } catch (const std::invalid_argument&) {
    }
    return fmt::format("{:016x};", hash(std::as_bytes(std::span(text))));
  }

  // 32 bytes at a time, in four lanes that do not wait for each other: as fast
  // as memory.
  static std::uint64_t hash(std::span<const std::byte> bytes) {
    constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15ULL;  // odd, so that no lane forgets what it held
    const auto mixed = [](std::uint64_t x) {
      x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
      x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
      return x ^ (x >> 31U);
    };
    std::array<std::uint64_t, 4> lanes = {1, 2, 3, 4};
    std::size_t at = 0;
    std::array<std::uint64_t, 4> words{};
    const auto step = [&] {
      for (std::size_t lane = 0; lane < 4; ++lane) lanes[lane] = std::rotl((lanes[lane] ^ words[lane]) * kFactor, 29);
    };
    for (; at + sizeof words <= bytes.size(); at += sizeof words) {
      std::memcpy(words.data(), bytes.data() + at, sizeof words);
      step();
    }
    words.fill(0);
    if (at < bytes.size()) std::memcpy(words.data(), bytes.data() + at, bytes.size() - at);
    step();
    std::uint64_t sum = bytes.size();
    for (const std::uint64_t lane : lanes) sum = mixed(sum * kFactor ^ lane);
    return sum;
  }

  const Checkpoint& checkpoint_;
  std::string about_, files_, text_;
  std::map<std::string, std::uint64_t> tensors_;
};

// Lets the kernel drop the mapped pages of a tensor that has been copied: the
// file does not count as memory of ours.
void release_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

class Loader {
 public:
  Loader(const Checkpoint& folder, const ModelOptions& options, Fingerprint& fingerprint, const CancelToken* cancel)
      : folder_(folder), options_(options), device_(options.device), fingerprint_(fingerprint), cancel_(cancel) {}

  at::Tensor vector(const std::string& name) const {
    at::Tensor tensor = at::empty({folder_.info(name).shape[0]}, at::kFloat);
    copy(name, tensor.data_ptr(), false);
    if (folder_.norms_around_one()) tensor.sub_(1);
    return placed(tensor);
  }

  at::Tensor plain(const std::vector<std::string>& names) const {
    std::int64_t rows = 0;
    for (const std::string& name : names) rows += folder_.info(name).shape[0];
    const std::int64_t columns = folder_.info(names.front()).shape[1];
    const at::ScalarType type = kept_type(folder_, options_, names);
    at::Tensor tensor = in_large_pages({rows, columns}, type);
    auto* at = static_cast<char*>(tensor.data_ptr());
    for (const std::string& name : names) {
      copy(name, at, type == at::kBFloat16);
      at += folder_.info(name).shape[0] * columns * tensor.element_size();
    }
    return placed(tensor);
  }

  // Matrices with the same number of columns, one below the other: plain on a
  // GPU, packed (gemm.h) on the CPU. With `gated` there are two, of which 16
  // rows each take turns in the panels.
  at::Tensor stacked(const std::vector<std::string>& names, bool gated = false) const {
    if (device_ == Device::kCuda) return plain(names);
    std::vector<Source> rows;
    for (const std::string& name : names) {
      fingerprint_.add(name, cancel_);
      const TensorInfo& info = folder_.info(name);
      const StoredType type = stored_type(info.dtype);
      const std::byte* at = folder_.file_of(name).bytes(folder_.full_name(name)).data();
      for (std::int64_t row = 0; row < info.shape[0]; ++row) {
        rows.push_back({at, type, &name});
        at += stored_bytes(type, info.shape[1]);
      }
    }
    const std::int64_t k = folder_.info(names.front()).shape[1];
    const auto outputs = static_cast<std::int64_t>(rows.size()) / (gated ? 2 : 1);
    const std::int64_t panels = panels_of(outputs, gated);
    const bool bf16 = kept_type(folder_, options_, names) == at::kBFloat16;
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
    for (const std::string& name : names) folder_.file_of(name).check();
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

  // Packs 32 rows into a panel; returns the name of a tensor whose values are
  // not finite, or null.
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
    throw Error(
        fmt::format("Tensor {} in {} holds values that are infinite or "
                    "not numbers: the file is damaged; download it again.",
                    folder_.full_name(name), folder_.file_of(name).path().string()));
  }

  [[nodiscard]] at::Tensor placed(const at::Tensor& host) const {
    return device_ == Device::kCuda ? on_cuda::to_device(host) : host;
  }

  void copy(const std::string& name, void* to, bool to_bf16) const {
    const TensorFile& file = folder_.file_of(name);
    const TensorInfo& info = folder_.info(name);
    const std::span<const std::byte> from = file.bytes(folder_.full_name(name));
    fingerprint_.add(name, cancel_);
    const StoredType type = stored_type(info.dtype);
    const std::int64_t n = info.elements();
    std::atomic<bool> finite{true};
    parallel_for(
        (n + kValuesPerJob - 1) / kValuesPerJob,
        [&](std::int64_t job) {
          const std::int64_t begin = job * kValuesPerJob;
          if (!ops_kernels().convert(from.data() + stored_bytes(type, begin), type, std::min(kValuesPerJob, n - begin),
                                     static_cast<char*>(to) + begin * (to_bf16 ? 2 : 4), to_bf16)) {
            finite = false;
          }
        },
        cancel_);
    file.check();
    if (!finite) refuse_values(name);
    release_pages(from);
  }

  const Checkpoint& folder_;
  ModelOptions options_;
  Device device_;
  Fingerprint& fingerprint_;
  const CancelToken* cancel_;
};

}  // namespace

std::int64_t weight_bytes(const std::filesystem::path& folder, const ModelOptions& options) {
  return kept_bytes(Checkpoint(folder, read_model_config(folder)), options);
}

Weights load_weights(const std::filesystem::path& folder, const Gemma2Config& config, const ModelOptions& options,
                     const CancelToken* cancel) {
  const Checkpoint checkpoint(folder, config);
  Weights weights;
  weights.bytes = kept_bytes(checkpoint, options);
  const bool cuda = options.device == Device::kCuda;
  if (const std::int64_t free = cuda ? on_cuda::memory().free : available_bytes(); weights.bytes > free) {
    throw Error(
        fmt::format("The weights of {} take {:.1f} GB of memory and "
                    "{:.1f} GB are free: close other programs, "
                    "choose bfloat16 or a smaller model.",
                    folder.string(), static_cast<double>(weights.bytes) / 1e9, static_cast<double>(free) / 1e9));
  }
  Fingerprint fingerprint(checkpoint, folder, config);
  const Loader loader(checkpoint, options, fingerprint, cancel);
  weights.embedding = loader.plain({"embed_tokens.weight"});
  weights.head = checkpoint.own_head() ? loader.plain({"lm_head.weight"}) : weights.embedding;
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
  weights.fingerprint = fingerprint.text();
  return weights;
}

}  // namespace dhsa
