// GGUF, versions 2 and 3, little-endian: metadata and tensors of a model in one file, as llama.cpp writes it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/files/tensor_file.h"

namespace dhsa {

// What the bytes before the tensors' data say; views into them.
struct GgufHeader {
  struct Value {
    std::uint32_t type = 0;  // as the format numbers them; of the elements, in a list
    bool list = false;
    std::uint64_t count = 1;  // elements
    std::span<const std::byte> bytes;
  };
  std::map<std::string, Value> metadata;
  std::map<std::string, TensorInfo> tensors;  // shapes in the order of rows, columns: the reverse of the file's
  std::uint64_t data_at = 0;
};

// Every length is checked against the file, no tensor reaches over its end or into another. Throws Error naming file
// and fault, also where a tensor is of another type than F32, F16, BF16 or Q8_0.
[[nodiscard]] GgufHeader parse_gguf_header(std::span<const std::byte> file, const std::string& where);

[[nodiscard]] bool is_gguf(const std::filesystem::path& path);  // a file that begins as they do

class GgufFile final : public TensorFile {
 public:
  // Throws Error as parse_gguf_header() does, and on one part of a model that was split.
  [[nodiscard]] static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  [[nodiscard]] bool has(const std::string& key) const { return metadata_.contains(key); }
  // None where the key is absent. Throw Error where its value is of another kind.
  [[nodiscard]] std::optional<std::int64_t> integer(const std::string& key) const;
  [[nodiscard]] std::optional<double> number(const std::string& key) const;
  [[nodiscard]] std::optional<std::string> text(const std::string& key) const;
  // Lists; empty where the key is absent.
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& key) const;
  [[nodiscard]] std::vector<float> floats(const std::string& key) const;
  [[nodiscard]] std::vector<std::string> texts(const std::string& key) const;

 private:
  explicit GgufFile(const std::filesystem::path& path) : TensorFile(path) {}
  [[nodiscard]] const GgufHeader::Value* find(const std::string& key, bool list) const;
  [[noreturn]] void refuse(const std::string& key, const char* expected) const;

  std::map<std::string, GgufHeader::Value> metadata_;
};

}  // namespace dhsa
