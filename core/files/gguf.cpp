#include "core/files/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>

#include "core/base/error.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian and so is this reader");

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint64_t kAlignment = 32;  // where general.alignment does not say another
constexpr std::uint64_t kMostAlignment = std::uint64_t{1} << 20U;
constexpr std::uint32_t kMostDimensions = 4;
// Entries of a list, and of the header itself: a file may claim any number, and be all holes.
constexpr std::uint64_t kMostEntries = std::uint64_t{1} << 22U;

// Types of metadata, by the format's numbers.
enum ValueType : std::uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kList, kU64, kI64, kF64 };

// Bytes of a value of fixed size; 0 for the others.
std::uint64_t bytes_of(std::uint32_t type) {
  switch (type) {
    case kU8:
    case kI8:
    case kBool:
      return 1;
    case kU16:
    case kI16:
      return 2;
    case kU32:
    case kI32:
    case kF32:
      return 4;
    case kU64:
    case kI64:
    case kF64:
      return 8;
    default:
      return 0;
  }
}

// Types of tensors that are read: so many values in so many bytes.
struct TensorType {
  std::uint32_t number;
  const char* name;
  std::uint64_t values, bytes;
};
constexpr TensorType kTensorTypes[] = {{0, "F32", 1, 4}, {1, "F16", 1, 2}, {8, "Q8_0", 32, 34}, {30, "BF16", 1, 2}};

std::string name_of_other_type(std::uint32_t number) {
  constexpr std::pair<std::uint32_t, const char*> kNames[] = {
      {2, "Q4_0"},   {3, "Q4_1"},    {6, "Q5_0"},   {7, "Q5_1"},   {9, "Q8_1"},     {10, "Q2_K"},   {11, "Q3_K"},
      {12, "Q4_K"},  {13, "Q5_K"},   {14, "Q6_K"},  {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
      {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"}, {23, "IQ4_XS"},  {24, "I8"},     {25, "I16"},
      {26, "I32"},   {27, "I64"},    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"}};
  for (const auto& [known, name] : kNames) {
    if (known == number) return name;
  }
  return fmt::format("number {}", number);
}

// Reads the header from its begin to its end; every step says so where the file ends before it.
class Reader {
 public:
  Reader(std::span<const std::byte> all, const std::string& where) : all_(all), where_(where) {}

  [[noreturn]] void refuse(const std::string& fault) const { throw Error(fmt::format("{}: {}.", where_, fault)); }

  std::span<const std::byte> take(std::uint64_t bytes) {
    if (bytes > all_.size() - at_) refuse("ends inside its header; it is cut off, fetch or copy it again");
    const auto taken = all_.subspan(at_, static_cast<std::size_t>(bytes));
    at_ += taken.size();
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view text() {
    const auto bytes = take(number<std::uint64_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  [[nodiscard]] std::size_t at() const { return at_; }

  void check_count(const std::string& what, std::uint64_t count) const {
    if (count > kMostEntries) {
      refuse(fmt::format("{} has {} entries, and {} are read at most", what, count, kMostEntries));
    }
  }

  GgufHeader::Value value(const std::string& key) {
    GgufHeader::Value value;
    value.type = number<std::uint32_t>();
    if (value.type == kList) {
      value.list = true;
      value.type = number<std::uint32_t>();
      value.count = number<std::uint64_t>();
      check_count(brief_name(key), value.count);
    }
    const std::size_t begin = at_;
    if (const std::uint64_t each = bytes_of(value.type); each > 0) {
      take(value.count * each);
    } else if (value.type == kString) {
      for (std::uint64_t i = 0; i < value.count; ++i) (void)text();
    } else {
      refuse(fmt::format("{} is of type {}, which is not known in metadata", brief_name(key), value.type));
    }
    value.bytes = all_.subspan(begin, at_ - begin);
    return value;
  }

 private:
  std::span<const std::byte> all_;
  const std::string& where_;
  std::size_t at_ = 0;
};

// A number of this type, if it is one.
template <class T>
std::optional<T> as(const std::byte* at, std::uint32_t type) {
  const auto load = [&]<class From>(From from) {
    std::memcpy(&from, at, sizeof from);
    return from;
  };
  const auto whole = [](auto value) -> std::optional<T> {
    if constexpr (std::is_integral_v<T>) {
      return std::in_range<T>(value) ? std::optional(static_cast<T>(value)) : std::nullopt;
    } else {
      return static_cast<T>(value);
    }
  };
  switch (type) {
    case kU8:
      return whole(load(std::uint8_t{}));
    case kI8:
      return whole(load(std::int8_t{}));
    case kU16:
      return whole(load(std::uint16_t{}));
    case kI16:
      return whole(load(std::int16_t{}));
    case kU32:
      return whole(load(std::uint32_t{}));
    case kI32:
      return whole(load(std::int32_t{}));
    case kU64:
      return whole(load(std::uint64_t{}));
    case kI64:
      return whole(load(std::int64_t{}));
    default:
      break;
  }
  if constexpr (!std::is_integral_v<T>) {
    if (type == kF32) return static_cast<T>(load(float{}));
    if (type == kF64) return static_cast<T>(load(double{}));
  }
  return std::nullopt;
}

std::uint64_t alignment_of(const GgufHeader& header, const Reader& reader) {
  const auto found = header.metadata.find("general.alignment");
  if (found == header.metadata.end()) return kAlignment;
  const auto& value = found->second;
  const auto bytes = value.list ? std::nullopt : as<std::int64_t>(value.bytes.data(), value.type);
  if (!bytes || *bytes <= 0 || *bytes > static_cast<std::int64_t>(kMostAlignment) ||
      !std::has_single_bit(static_cast<std::uint64_t>(*bytes))) {
    reader.refuse("its general.alignment is no power of two");
  }
  return static_cast<std::uint64_t>(*bytes);
}

// One entry of the list of tensors; `end` is where it would end if nothing overflows.
TensorInfo read_tensor(Reader& reader, const std::string& name) {
  TensorInfo info;
  const auto fail = [&](const std::string& fault) {
    reader.refuse(fmt::format("tensor {} {}", brief_name(name), fault));
  };
  const auto dimensions = reader.number<std::uint32_t>();
  if (dimensions > kMostDimensions) fail(fmt::format("has {} dimensions, the format allows 4", dimensions));
  std::uint64_t values = 1;
  bool overflow = false;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    const auto extent = reader.number<std::uint64_t>();
    overflow |= __builtin_mul_overflow(values, extent, &values);
    overflow |= extent > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    info.shape.insert(info.shape.begin(), static_cast<std::int64_t>(extent));
  }
  const auto number = reader.number<std::uint32_t>();
  const auto* type = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                  [&](const TensorType& known) { return known.number == number; });
  if (type == std::end(kTensorTypes)) {
    fail(fmt::format("is of type {}; take the model as GGUF in F32, F16, BF16 or Q8_0, or as safetensors",
                     name_of_other_type(number)));
  }
  info.dtype = type->name;
  info.begin = reader.number<std::uint64_t>();
  const auto columns = static_cast<std::uint64_t>(info.shape.empty() ? 1 : info.shape.back());
  if (columns % type->values != 0) {
    fail(fmt::format("has rows of {} values, which blocks of {} cannot hold", columns, type->values));
  }
  overflow |= __builtin_mul_overflow(values / type->values, type->bytes, &info.end);
  overflow |= __builtin_add_overflow(info.begin, info.end, &info.end);
  if (overflow || values > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    fail("has a shape whose size overflows");
  }
  return info;
}

// Each where the alignment allows it, inside the file, and no two on the same bytes.
void check_places(const GgufHeader& header, std::uint64_t alignment, std::uint64_t data, const Reader& reader) {
  std::vector<std::pair<const TensorInfo*, const std::string*>> order;
  for (const auto& [name, info] : header.tensors) order.emplace_back(&info, &name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
  });
  std::uint64_t at = 0;
  for (const auto& [info, name] : order) {
    if (info->end > data) {
      reader.refuse(
          fmt::format("tensor {} ends at byte {} of the data, which has {}; the file is cut off, fetch or copy "
                      "it again",
                      brief_name(*name), info->end, data));
    }
    if (info->begin < at || info->begin % alignment != 0) {
      reader.refuse(
          fmt::format("tensor {} lies at byte {} of the data, where none can begin", brief_name(*name), info->begin));
    }
    at = info->end;
  }
}

}  // namespace

GgufHeader parse_gguf_header(std::span<const std::byte> file, const std::string& where) {
  Reader reader(file, where);
  const auto magic = reader.take(kMagic.size());
  if (!std::equal(magic.begin(), magic.end(), std::as_bytes(std::span(kMagic)).begin())) {
    reader.refuse("is no GGUF file");
  }
  const auto version = reader.number<std::uint32_t>();
  if (version < 2 || version > 3) {
    const bool swapped = version > 3 && (version & 0xffffU) == 0;
    reader.refuse(swapped
                      ? std::string("is a big-endian GGUF file, which is not read")
                      : fmt::format("is GGUF of version {}, and 2 and 3 are read; convert the model again", version));
  }
  const auto tensors = reader.number<std::uint64_t>();
  const auto values = reader.number<std::uint64_t>();
  reader.check_count("its list of tensors", tensors);
  reader.check_count("its metadata", values);
  GgufHeader header;
  for (std::uint64_t i = 0; i < values; ++i) {
    const std::string key(reader.text());
    const auto value = reader.value(key);
    if (!header.metadata.emplace(key, value).second) {
      reader.refuse(fmt::format("has the key {} twice", brief_name(key)));
    }
  }
  const std::uint64_t alignment = alignment_of(header, reader);
  for (std::uint64_t i = 0; i < tensors; ++i) {
    const std::string name(reader.text());
    if (!header.tensors.emplace(name, read_tensor(reader, name)).second) {
      reader.refuse(fmt::format("has the tensor {} twice", brief_name(name)));
    }
  }
  header.data_at = (reader.at() + alignment - 1) / alignment * alignment;
  header.data_at = std::min<std::uint64_t>(header.data_at, file.size());  // no padding behind a file without tensors
  check_places(header, alignment, file.size() - header.data_at, reader);
  return header;
}

bool is_gguf(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  std::string begin(kMagic.size(), '\0');
  std::ifstream file(path, std::ios::binary);
  return file.read(begin.data(), static_cast<std::streamsize>(begin.size())) && begin == kMagic;
}

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  const std::shared_ptr<GgufFile> file(new GgufFile(path));
  GgufHeader header = parse_gguf_header(file->file_.bytes(), path.string());
  file->check();
  file->metadata_ = std::move(header.metadata);
  file->tensors_ = std::move(header.tensors);
  file->data_at_ = header.data_at;
  if (const auto parts = file->integer("split.count"); parts && *parts > 1) {
    throw Error(
        fmt::format("{}: is one of the {} parts of a model; join them (llama-gguf-split --merge) and open that.",
                    path.string(), *parts));
  }
  return file;
}

const GgufHeader::Value* GgufFile::find(const std::string& key, bool list) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return nullptr;
  if (found->second.list != list) refuse(key, list ? "a list" : "one value");
  return &found->second;
}

void GgufFile::refuse(const std::string& key, const char* expected) const {
  throw Error(fmt::format("{}: {} is not {}, as it should be.", path_.string(), key, expected));
}

std::optional<std::int64_t> GgufFile::integer(const std::string& key) const {
  const auto* value = find(key, false);
  if (value == nullptr) return std::nullopt;
  const auto number = as<std::int64_t>(value->bytes.data(), value->type);
  if (!number) refuse(key, "a whole number");
  return number;
}

std::optional<double> GgufFile::number(const std::string& key) const {
  const auto* value = find(key, false);
  if (value == nullptr) return std::nullopt;
  const auto number = as<double>(value->bytes.data(), value->type);
  if (!number) refuse(key, "a number");
  return number;
}

std::optional<std::string> GgufFile::text(const std::string& key) const {
  const auto* value = find(key, false);
  if (value == nullptr) return std::nullopt;
  if (value->type != kString) refuse(key, "a text");
  const auto text = value->bytes.subspan(sizeof(std::uint64_t));
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

std::vector<std::int64_t> GgufFile::integers(const std::string& key) const {
  std::vector<std::int64_t> list;
  const auto* value = find(key, true);
  for (std::uint64_t i = 0; value != nullptr && i < value->count; ++i) {
    const auto number = as<std::int64_t>(value->bytes.data() + i * bytes_of(value->type), value->type);
    if (!number) refuse(key, "a list of whole numbers");
    list.push_back(*number);
  }
  return list;
}

std::vector<float> GgufFile::floats(const std::string& key) const {
  std::vector<float> list;
  const auto* value = find(key, true);
  for (std::uint64_t i = 0; value != nullptr && i < value->count; ++i) {
    const auto number = as<float>(value->bytes.data() + i * bytes_of(value->type), value->type);
    if (!number) refuse(key, "a list of numbers");
    list.push_back(*number);
  }
  return list;
}

std::vector<std::string> GgufFile::texts(const std::string& key) const {
  std::vector<std::string> list;
  const auto* value = find(key, true);
  if (value == nullptr) return list;
  if (value->type != kString) refuse(key, "a list of texts");
  Reader reader(value->bytes, key);
  for (std::uint64_t i = 0; i < value->count; ++i) list.emplace_back(reader.text());
  return list;
}

}  // namespace dhsa
