#include "core/files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "core/files/gguf.h"
#include "core/files/model_file.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian and so is this reader");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeader = kMostModelJson;  // the format allows 100 MB, which take gigabytes to read
constexpr std::size_t kMostFiles = 512;                // of one model; the published ones have 30 at most
constexpr const char* kMetadata = "__metadata__";

// Bits of one element; 0 for a type that the format does not know.
std::uint64_t bits_of(std::string_view dtype) {
  struct Known {
    std::string_view name;
    std::uint64_t bits;
  };
  static constexpr Known kKnown[] = {{"BOOL", 8},    {"U8", 8},          {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8},
                                     {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"I16", 16}, {"U16", 16},    {"F16", 16},
                                     {"BF16", 16},   {"I32", 32},        {"U32", 32}, {"F32", 32},    {"C64", 64},
                                     {"F64", 64},    {"I64", 64},        {"U64", 64}, {"F4", 4},      {"F6_E2M3", 6},
                                     {"F6_E3M2", 6}, {"F8_E5M2FNUZ", 8}};
  for (const Known& known : kKnown) {
    if (known.name == dtype) return known.bits;
  }
  return 0;
}

// What is wrong with one tensor of a file.
[[noreturn]] void refuse(const std::string& where, const std::string& name, const std::string& fault) {
  throw Error(fmt::format("{}: tensor {} {}.", where, brief_name(name), fault));
}

// Bytes that shape and type ask for.
std::uint64_t bytes_of(const std::string& where, const std::string& name, const std::string& dtype,
                       const std::vector<std::int64_t>& shape) {
  std::uint64_t bits = bits_of(dtype);
  if (bits == 0) refuse(where, name, fmt::format("is of the unknown type {}", brief_name(dtype)));
  std::uint64_t elements = 1;
  bool overflow = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) refuse(where, name, "has a negative extent");
    overflow |= __builtin_mul_overflow(elements, static_cast<std::uint64_t>(extent), &elements);
  }
  overflow |= __builtin_mul_overflow(elements, bits, &bits);
  if (overflow) refuse(where, name, "has a shape whose size overflows");
  if (bits % 8 != 0) refuse(where, name, "does not end on a whole byte");
  return bits / 8;
}

const json& member(const std::string& where, const std::string& name, const json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end()) refuse(where, name, fmt::format("has no \"{}\"", key));
  return *found;
}

TensorInfo parse_entry(const std::string& where, const std::string& name, const json& entry) {
  if (!entry.is_object()) refuse(where, name, fmt::format("is described by {}; an object is expected", brief(entry)));
  TensorInfo info;
  const json& dtype = member(where, name, entry, "dtype");
  if (!dtype.is_string()) refuse(where, name, fmt::format("has the \"dtype\" {}; a name is expected", brief(dtype)));
  info.dtype = dtype.get<std::string>();
  const json& shape = member(where, name, entry, "shape");
  if (!shape.is_array()) refuse(where, name, fmt::format("has the \"shape\" {}; a list is expected", brief(shape)));
  for (const json& extent : shape) {
    // Larger than 2^64-1, the library makes it a floating-point number, which
    // is refused like any other.
    if (!extent.is_number_unsigned()) {
      refuse(where, name, fmt::format("has the extent {} in its \"shape\"; a count is expected", brief(extent)));
    }
    if (extent.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      refuse(where, name, "has a shape whose size overflows");
    }
    info.shape.push_back(extent.get<std::int64_t>());
  }
  const json& range = member(where, name, entry, "data_offsets");
  if (!range.is_array() || range.size() != 2 || !range[0].is_number_unsigned() || !range[1].is_number_unsigned()) {
    refuse(where, name, "has \"data_offsets\" that are not two counts");
  }
  info.begin = range[0].get<std::uint64_t>();
  info.end = range[1].get<std::uint64_t>();
  return info;
}

float widen_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16U;
  const std::uint32_t rest = half & 0x7fffU;
  if (rest >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | ((rest & 0x3ffU) << 13U));
  if (rest >= 0x0400U) return std::bit_cast<float>(sign | ((rest << 13U) + 0x38000000U));
  const float magnitude = static_cast<float>(rest) * 0x1p-24F;
  return sign != 0 ? -magnitude : magnitude;
}

// Unaligned load of element `i`.
template <class T>
T load(std::span<const std::byte> bytes, std::size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

void parse_safetensors_header(std::span<const std::byte> head, std::uint64_t file_size, const std::string& where,
                              std::map<std::string, TensorInfo>& tensors, std::map<std::string, std::string>& metadata,
                              std::uint64_t& data_at) {
  if (file_size < kLengthBytes || head.size() < kLengthBytes) {
    throw Error(fmt::format("{}: {} bytes are too few for a safetensors file; download it again.", where, file_size));
  }
  const auto length = load<std::uint64_t>(head, 0);
  if (length > kMostHeader) {
    throw Error(
        fmt::format("{}: says that its header has {} bytes, and {} are read at most; this is no safetensors file of a "
                    "model (perhaps a saved web page): download it again.",
                    where, length, kMostHeader));
  }
  if (length > file_size - kLengthBytes || length > head.size() - kLengthBytes) {
    throw Error(
        fmt::format("{}: says that its header has {} bytes but has "
                    "only {} in all; it is cut off or not a "
                    "safetensors file.",
                    where, length, file_size));
  }
  data_at = kLengthBytes + length;
  const std::string_view text(reinterpret_cast<const char*>(head.data()) + kLengthBytes, length);
  const json header = parse_strict_json(text, where + " (safetensors header)");
  if (!header.is_object()) {
    throw Error(fmt::format("{}: the safetensors header is {}; an object is expected.", where, brief(header)));
  }
  tensors.clear();
  metadata.clear();
  for (const auto& [name, entry] : header.items()) {
    if (name != kMetadata) {
      tensors.emplace(name, parse_entry(where, name, entry));
      continue;
    }
    if (entry.is_null()) continue;
    if (!entry.is_object()) {
      throw Error(fmt::format("{}: \"{}\" is {}; an object is expected.", where, kMetadata, brief(entry)));
    }
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) {
        throw Error(fmt::format("{}: \"{}\" holds {} under {}; only text is allowed there.", where, kMetadata,
                                brief(value), brief_name(key)));
      }
      metadata.emplace(key, value.get<std::string>());
    }
  }

  // In the order of the data each tensor begins where the one before it ended:
  // no hole, no overlap, nothing twice.
  std::vector<const std::pair<const std::string, TensorInfo>*> order;
  order.reserve(tensors.size());
  for (const auto& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t at = 0;
  for (const auto* tensor : order) {
    const auto& [name, info] = *tensor;
    if (info.begin != at || info.end < info.begin) {
      refuse(where, name,
             fmt::format("lies at bytes {} to {} of the data, where byte {} "
                         "should come next",
                         info.begin, info.end, at));
    }
    const std::uint64_t bytes = bytes_of(where, name, info.dtype, info.shape);
    if (info.end - info.begin != bytes) {
      refuse(where, name,
             fmt::format("has {} bytes of data, its type and shape ask for {}", info.end - info.begin, bytes));
    }
    at = info.end;
  }
  const std::uint64_t data = file_size - data_at;
  if (at != data) {
    throw Error(fmt::format("{}: has {} bytes of data, its header describes {}; {}.", where, data, at,
                            data < at ? "it is cut off, fetch or copy it again" : "there is more in it than tensors"));
  }
}

std::map<std::string, std::string> parse_safetensors_index(const std::string& text, const std::string& where) {
  const json index = parse_strict_json(text, where);
  if (!index.is_object()) throw Error(fmt::format("{}: is {}; an object is expected.", where, brief(index)));
  const auto found = index.find("weight_map");
  if (found == index.end() || !found->is_object()) {
    throw Error(fmt::format("{}: has no \"weight_map\" from tensor names to file names.", where));
  }
  if (found->empty()) throw Error(fmt::format("{}: its \"weight_map\" names no tensor.", where));
  std::map<std::string, std::string> shards;
  for (const auto& [name, value] : found->items()) {
    if (!value.is_string()) {
      throw Error(fmt::format("{}: tensor {} is said to be in {}; a file name is expected.", where, brief_name(name),
                              brief(value)));
    }
    auto shard = value.get<std::string>();
    const bool unsafe =
        shard.empty() || shard == "." || shard == ".." || std::any_of(shard.begin(), shard.end(), [](char c) {
          return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20U;
        });
    if (unsafe) {
      throw Error(
          fmt::format("{}: tensor {} is said to be in {}; the plain "
                      "name of a file beside the index is "
                      "expected.",
                      where, brief_name(name), brief(value)));
    }
    shards.emplace(name, std::move(shard));
  }
  return shards;
}

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const fs::path& path) {
  const std::shared_ptr<SafetensorsFile> file(new SafetensorsFile(path));
  const std::span<const std::byte> all = file->file_.bytes();
  parse_safetensors_header(all, all.size(), path.string(), file->tensors_, file->metadata_, file->data_at_);
  file->check();
  return file;
}

std::vector<float> SafetensorsFile::floats(const std::string& name) const {
  const TensorInfo& tensor = info(name);
  const std::span<const std::byte> data = bytes(name);
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  if (tensor.dtype == "F32") {
    if (!data.empty()) std::memcpy(values.data(), data.data(), data.size());
  } else if (tensor.dtype == "BF16") {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(data, i)) << 16U);
    }
  } else if (tensor.dtype == "F16") {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = widen_half(load<std::uint16_t>(data, i));
  } else {
    refuse(path_.string(), name, fmt::format("is of type {}; F32, BF16 or F16 is expected", tensor.dtype));
  }
  check();
  return values;
}

std::vector<std::int32_t> SafetensorsFile::int32s(const std::string& name) const {
  const TensorInfo& tensor = info(name);
  const std::span<const std::byte> data = bytes(name);
  std::vector<std::int32_t> values(static_cast<std::size_t>(tensor.elements()));
  if (tensor.dtype == "I32") {
    if (!data.empty()) std::memcpy(values.data(), data.data(), data.size());
  } else if (tensor.dtype == "I64") {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = load<std::int64_t>(data, i);
      if (!std::in_range<std::int32_t>(value)) {
        refuse(path_.string(), name, fmt::format("holds {}, which does not fit 32 bits", value));
      }
      values[i] = static_cast<std::int32_t>(value);
    }
  } else {
    refuse(path_.string(), name, fmt::format("is of type {}; I32 or I64 is expected", tensor.dtype));
  }
  check();
  return values;
}

namespace {

// "model-00002-of-00003.safetensors": 2 of 3; nothing for another name.
struct ShardName {
  int number = 0, of = 0;
};
std::optional<ShardName> shard_name(const std::string& name) {
  ShardName shard;
  int read = 0;
  const bool fits = std::sscanf(name.c_str(), "model-%5d-of-%5d.safetensors%n", &shard.number, &shard.of, &read) == 2 &&
                    static_cast<std::size_t>(read) == name.size() && shard.number >= 1 && shard.number <= shard.of;
  return fits ? std::optional(shard) : std::nullopt;
}

// All shards of a set that is whole; empty if there is none. `missing` says
// what the first of the others lacks.
std::vector<fs::path> whole_set(const fs::path& folder, std::string& missing) {
  std::map<int, std::map<int, fs::path>> sets;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    if (const auto shard = shard_name(entry.path().filename().string())) sets[shard->of][shard->number] = entry.path();
  }
  for (const auto& [of, shards] : sets) {
    if (static_cast<int>(shards.size()) == of) {
      std::vector<fs::path> paths;
      for (const auto& shard : shards) paths.push_back(shard.second);
      return paths;
    }
    for (int number = 1; number <= of && missing.empty(); ++number) {
      if (!shards.contains(number)) missing = fmt::format("model-{:05}-of-{:05}.safetensors", number, of);
    }
  }
  return {};
}

[[noreturn]] void refuse_files(const fs::path& path) {
  throw Error(fmt::format("{}: the model is in more than {} files; save it in fewer.", path.string(), kMostFiles));
}

}  // namespace

void TensorFolder::add(const std::shared_ptr<const TensorFile>& file) {
  for (const auto& tensor : file->tensors()) where_.emplace(tensor.first, file);
}

void TensorFolder::add_by_index(const fs::path& index) {
  std::error_code failed;
  std::map<std::string, std::shared_ptr<const TensorFile>> shards;
  for (const auto& [name, shard] : parse_safetensors_index(read_model_file(index, kMostModelJson), index.string())) {
    auto& file = shards[shard];
    if (!file) {
      if (shards.size() > kMostFiles) refuse_files(index);
      if (!fs::exists(folder_ / shard, failed)) {
        throw Error(fmt::format("{}: names the shard {}, which is not in the folder; fetch it.", index.string(),
                                brief_name(shard)));
      }
      file = SafetensorsFile::open(folder_ / shard);
    }
    if (!file->contains(name)) {
      throw Error(fmt::format("{}: says that tensor {} is in {}, which does not hold it.", index.string(),
                              brief_name(name), brief_name(shard)));
    }
    where_.emplace(name, file);
  }
}

TensorFolder TensorFolder::open(const fs::path& folder) {
  std::error_code failed;
  TensorFolder tensors;
  tensors.folder_ = folder;
  if (is_gguf(folder)) {
    tensors.add(GgufFile::open(folder));
    return tensors;
  }
  if (!fs::is_directory(folder, failed)) {
    throw Error(fmt::format("{}: is not a folder that can be read; give the folder of a model.", folder.string()));
  }
  const fs::path index = folder / "model.safetensors.index.json";
  const fs::path single = folder / "model.safetensors";
  std::string missing;
  const std::vector<fs::path> set = whole_set(folder, missing);
  if (fs::exists(single, failed)) {
    try {
      tensors.add(SafetensorsFile::open(single));
      return tensors;
    } catch (const Error& error) {
      if (set.empty()) throw;
      tensors.notes_.push_back(fmt::format("{} The {} shards beside it are read instead.", error.what(), set.size()));
    }
  }
  if (fs::exists(index, failed)) {
    try {
      tensors.add_by_index(index);
      return tensors;
    } catch (const Error&) {
      // Left over from another set of shards, or not fetched: what counts is
      // whether there is a whole set.
      if (set.empty()) throw;
      tensors.where_.clear();
    }
  }
  if (set.empty()) {
    throw Error(missing.empty() ? fmt::format("{}: holds neither model.safetensors nor "
                                              "model.safetensors.index.json; "
                                              "download the weights there, or give the folder that has them.",
                                              folder.string())
                                : fmt::format("{}: the shard {} is missing; fetch it.", folder.string(), missing));
  }
  if (set.size() > kMostFiles) refuse_files(folder);
  for (const fs::path& shard : set) tensors.add(SafetensorsFile::open(shard));
  return tensors;
}

std::vector<std::string> TensorFolder::names() const {
  std::vector<std::string> names;
  names.reserve(where_.size());
  for (const auto& tensor : where_) names.push_back(tensor.first);
  return names;
}

const TensorFile& TensorFolder::file_of(const std::string& name) const {
  const auto found = where_.find(name);
  if (found == where_.end()) {
    throw Error(fmt::format("{}: the model has no tensor {}.", folder_.string(), brief_name(name)));
  }
  return *found->second;
}

void write_safetensors(const fs::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  // Widest elements first, so that all data is aligned to its element in the
  // file.
  std::vector<const TensorToWrite*> order;
  order.reserve(tensors.size());
  for (const TensorToWrite& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    const std::uint64_t bits_a = bits_of(a->dtype);
    const std::uint64_t bits_b = bits_of(b->dtype);
    return bits_a != bits_b ? bits_a > bits_b : a->name < b->name;
  });
  const std::string where = path.string();
  std::set<std::string_view> seen = {kMetadata};
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::uint64_t at = 0;
  for (const TensorToWrite* tensor : order) {
    if (!seen.insert(tensor->name).second) refuse(where, tensor->name, "would be written twice under one name");
    const std::uint64_t bytes = bytes_of(where, tensor->name, tensor->dtype, tensor->shape);
    if (bytes != tensor->bytes.size()) {
      refuse(where, tensor->name,
             fmt::format("has {} bytes of data, its type and shape ask for {}", tensor->bytes.size(), bytes));
    }
    header[tensor->name] = {{"dtype", tensor->dtype}, {"shape", tensor->shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    throw Error(fmt::format("{}: a tensor's name or a metadata text is not UTF-8.", where));
  }
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');
  const std::uint64_t length = text.size();
  if (length > kMostHeader) throw Error(fmt::format("{}: too many tensors for one safetensors file.", where));
  AtomicFile file(path);
  file.write(&length, sizeof(length));
  file.write(text);
  for (const TensorToWrite* tensor : order) file.write(tensor->bytes);
  file.commit();
}

}  // namespace dhsa
