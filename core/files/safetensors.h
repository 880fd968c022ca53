// safetensors: reading (memory-mapped, single file or sharded by model.safetensors.index.json) and writing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/files/tensor_file.h"

namespace dhsa {

class SafetensorsFile final : public TensorFile {
 public:
  // Enforces every rule of the format and refuses duplicate names. Throws Error naming file and fault.
  [[nodiscard]] static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  [[nodiscard]] std::vector<float> floats(const std::string& name) const;         // F32, BF16, F16 widened
  [[nodiscard]] std::vector<std::int32_t> int32s(const std::string& name) const;  // I32, I64 (range-checked)

 private:
  explicit SafetensorsFile(const std::filesystem::path& path) : TensorFile(path) {}
  std::map<std::string, std::string> metadata_;
};

// Header checks on bytes already in memory; what open() uses and the fuzzer drives. `file_size` is the whole file's.
void parse_safetensors_header(std::span<const std::byte> head, std::uint64_t file_size, const std::string& where,
                              std::map<std::string, TensorInfo>& tensors, std::map<std::string, std::string>& metadata,
                              std::uint64_t& data_at);
// weight_map of an index.json: tensor -> shard file name. Refuses names that leave the folder.
[[nodiscard]] std::map<std::string, std::string> parse_safetensors_index(const std::string& text,
                                                                         const std::string& where);

// A model's tensors, wherever they lie: in a folder in model.safetensors if it can be read, else in the shards that the
// index names, else in a whole set of shards by their names; or in a GGUF file, under the names it has there.
class TensorFolder {
 public:
  [[nodiscard]] static TensorFolder open(const std::filesystem::path& folder_or_gguf);
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }  // what was passed over, and why
  [[nodiscard]] bool contains(const std::string& name) const { return where_.contains(name); }
  [[nodiscard]] const TensorFile& file_of(const std::string& name) const;  // throws Error if absent
  [[nodiscard]] const TensorInfo& info(const std::string& name) const { return file_of(name).info(name); }

 private:
  void add(const std::shared_ptr<const TensorFile>& file);
  void add_by_index(const std::filesystem::path& index);

  std::filesystem::path folder_;
  std::map<std::string, std::shared_ptr<const TensorFile>> where_;
  std::vector<std::string> notes_;
};

struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};
// Writes atomically, header padded to 8 bytes.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace dhsa
