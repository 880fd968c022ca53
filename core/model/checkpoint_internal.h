// The tensors of a model's folder or GGUF file, found and checked before any is loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/files/safetensors.h"
#include "core/model/config.h"
#include "core/model/cpu/ops_kernels.h"

namespace dhsa {

[[nodiscard]] StoredType stored_type(const std::string& dtype);
// Bytes in a file of so many values, whole blocks where the type has them.
[[nodiscard]] std::int64_t stored_bytes(StoredType type, std::int64_t values);

class Checkpoint {
 public:
  struct Wanted {
    std::string name;  // as the published files have it, without "model."
    std::vector<std::int64_t> shape;
    [[nodiscard]] std::int64_t elements() const;
  };

  // Throws Error where a tensor is missing, of another shape or of a type that is not read.
  Checkpoint(const std::filesystem::path& folder_or_gguf, const Gemma2Config& config);

  [[nodiscard]] const std::vector<Wanted>& wanted() const { return wanted_; }
  [[nodiscard]] const TensorFile& file_of(const std::string& name) const { return files_.file_of(full_name(name)); }
  [[nodiscard]] const TensorInfo& info(const std::string& name) const { return files_.info(full_name(name)); }
  // As the files have it.
  [[nodiscard]] std::string full_name(const std::string& name) const;
  // The output layer is a matrix of its own, "lm_head.weight", last among
  // wanted().
  [[nodiscard]] bool own_head() const { return own_head_; }
  // Stored norm weights are around 1, and not around 0.
  [[nodiscard]] bool norms_around_one() const { return gguf_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
  void find_prefix();
  void find_head();
  void choose_head(const Gemma2Config& config);
  void check(const Wanted& wanted, const Gemma2Config& config) const;
  [[nodiscard]] bool head_is_embedding() const;

  std::filesystem::path folder_;
  bool gguf_ = false;
  TensorFolder files_;
  std::map<std::string, std::string> names_;  // those in the files, by what they are without torch's wrappers
  std::string prefix_ = "model.";
  std::string head_;
  std::vector<Wanted> wanted_;
  bool own_head_ = false;
  std::vector<std::string> notes_;
};

}  // namespace dhsa
