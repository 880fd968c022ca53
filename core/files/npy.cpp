#include "core/files/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "core/files/strict_json.h"
#include "core/files/zip_internal.h"

namespace dhsa {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are written as they lie in memory");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kAlign = 64;     // NumPy's, so that it may map the data
constexpr std::size_t kMostAxes = 32;  // NumPy's
constexpr std::string_view kSuffix = ".npy";

template <class T>
constexpr const char* descr_of() {
  if constexpr (std::is_same_v<T, float>) return "<f4";
  if constexpr (std::is_same_v<T, double>) return "<f8";
  if constexpr (std::is_same_v<T, std::int32_t>) return "<i4";
  if constexpr (std::is_same_v<T, std::int64_t>) return "<i8";
  if constexpr (std::is_same_v<T, std::uint8_t>) return "|u1";
  if constexpr (std::is_same_v<T, bool>) return "|b1";
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Bytes of one element; 0 for a type that is not ours.
std::int64_t item_bytes(std::string_view descr) {
  if (descr == "<f8" || descr == "<i8") return 8;
  if (descr == "<f4" || descr == "<i4") return 4;
  if (descr == "|u1" || descr == "|b1") return 1;
  return 0;
}

// Bytes that type and shape ask for.
std::size_t bytes_asked(const std::string& descr, const std::vector<std::int64_t>& shape, const std::string& where) {
  std::int64_t bytes = item_bytes(descr);
  if (bytes == 0) {
    throw Error(fmt::format("{}: the array is of type {}; <f4, <f8, <i4, <i8, |u1 or |b1 is expected.", where,
                            brief_name(descr)));
  }
  if (shape.size() > kMostAxes) {
    throw Error(fmt::format("{}: the array has {} axes; at most {} are allowed.", where, shape.size(), kMostAxes));
  }
  // Every product is checked, so that a later 0 cannot hide an overflow.
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) {
      throw Error(fmt::format("{}: the array's shape ({}) is negative or overflows.", where, fmt::join(shape, ", ")));
    }
  }
  return static_cast<std::size_t>(bytes);
}

void check_size(const NpyArray& array, std::size_t bytes, const std::string& where) {
  const std::size_t asked = bytes_asked(array.descr, array.shape, where);
  if (bytes != asked) {
    throw Error(fmt::format("{}: the array has {} bytes of data, its type {} and shape ({}) ask for {}.", where, bytes,
                            array.descr, fmt::join(array.shape, ", "), asked));
  }
}

// Everything before the data.
std::string header_of(const NpyArray& array) {
  check_size(array, array.bytes.size(), "The array to write");
  const std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", array.descr,
                  fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  // 32 axes of 19 digits are far below the 65535 bytes of version 1.0.
  const std::size_t before = kMagic.size() + 4;
  const std::size_t total = (before + dictionary.size() + 1 + kAlign - 1) / kAlign * kAlign;
  const std::size_t length = total - before;
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(length & 0xFFU), static_cast<char>(length >> 8U)};
  header += dictionary;
  header.resize(total - 1, ' ');
  header += '\n';
  return header;
}

// Reads the header: a Python dictionary of three known entries.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  void read(NpyArray& array) {
    std::optional<std::string> descr;
    std::optional<bool> fortran;
    std::optional<std::vector<std::int64_t>> shape;
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !descr) {
        // A structured type is a list.
        if (peek() == '[') refuse("has a structured type; save its fields one by one");
        descr = string();
      } else if (key == "fortran_order" && !fortran) {
        fortran = boolean();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        refuse(fmt::format("has the entry {} in its header, unknown or for the second time", brief_name(key)));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) refuse_header();
    if (!descr || !fortran || !shape) refuse("has a header without descr, fortran_order or shape");
    if (*fortran && shape->size() > 1) {
      refuse("is in Fortran order; save it with numpy.ascontiguousarray");
    }
    array.descr = std::move(*descr);
    array.shape = std::move(*shape);
  }

 private:
  [[noreturn]] void refuse(const std::string& fault) const {
    throw Error(fmt::format("{}: the array {}.", where_, fault));
  }
  [[noreturn]] void refuse_header() const {
    refuse(fmt::format("has a header that cannot be read, at its byte {}", at_));
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (at_ > text_.size() || !take(c)) refuse_header();
  }
  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') refuse_header();
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) refuse_header();
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  bool boolean() {
    skip_space();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    refuse_header();
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> extents;
    expect('(');
    while (!take(')')) {
      skip_space();
      std::int64_t extent = 0;
      const auto [end, fault] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (fault == std::errc::result_out_of_range) refuse("has a shape that overflows");
      if (fault != std::errc()) refuse_header();
      at_ = static_cast<std::size_t>(end - text_.data());
      extents.push_back(extent);
      if (take(',')) continue;
      // (3) is a number in Python, not a tuple.
      if (extents.size() == 1) refuse_header();
      expect(')');
      break;
    }
    return extents;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
};

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

template <class T>
NpyArray NpyArray::of(std::span<const T> values, std::vector<std::int64_t> shape) {
  NpyArray array;
  array.descr = descr_of<T>();
  array.shape = shape.empty() ? std::vector{static_cast<std::int64_t>(values.size())} : std::move(shape);
  const auto raw = std::as_bytes(values);
  array.bytes.assign(raw.begin(), raw.end());
  check_size(array, array.bytes.size(), "The array to write");
  return array;
}

template <class T>
std::vector<T> NpyArray::values() const {
  if (descr != descr_of<T>()) {
    throw Error(fmt::format("The array is of type {}; {} is expected.", brief_name(descr), descr_of<T>()));
  }
  check_size(*this, bytes.size(), "The array");
  std::vector<T> values(bytes.size() / sizeof(T));
  if constexpr (std::is_same_v<T, bool>) {
    // Any byte that is not 0 is true; copying it into a bool would not be defined.
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = bytes[i] != std::byte{0};
  } else if (!values.empty()) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
  }
  return values;
}

#define DHSA_NPY_TYPE(T)                                                            \
  template NpyArray NpyArray::of<T>(std::span<const T>, std::vector<std::int64_t>); \
  template std::vector<T> NpyArray::values<T>() const;
DHSA_NPY_TYPE(float)
DHSA_NPY_TYPE(double)
DHSA_NPY_TYPE(std::int32_t)
DHSA_NPY_TYPE(std::int64_t)
DHSA_NPY_TYPE(std::uint8_t)
DHSA_NPY_TYPE(bool)
#undef DHSA_NPY_TYPE

std::vector<std::byte> npy_bytes(const NpyArray& array) {
  const std::string header = header_of(array);
  const auto head = bytes_of(header);
  std::vector<std::byte> bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), array.bytes.begin(), array.bytes.end());
  return bytes;
}

NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view text = text_of(bytes);
  if (!text.starts_with(kMagic) || text.size() < kMagic.size() + 4) {
    throw Error(fmt::format("{}: is no .npy file.", where));
  }
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  const std::size_t version = byte(6);
  if (version < 1 || version > 3) {
    throw Error(fmt::format("{}: is in version {} of the .npy format; 1 to 3 are read.", where, version));
  }
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t header_at = kMagic.size() + 2 + length_bytes;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes && header_at <= text.size(); ++i) {
    length |= byte(kMagic.size() + 2 + i) << (8 * i);
  }
  if (header_at > text.size() || length > text.size() - header_at) {
    throw Error(fmt::format("{}: is cut off within its .npy header.", where));
  }
  NpyArray array;
  HeaderReader(text.substr(header_at, length), where).read(array);
  const auto data = bytes.subspan(header_at + length);
  check_size(array, data.size(), where);
  array.bytes.assign(data.begin(), data.end());
  return array;
}

void write_npy(const std::filesystem::path& path, const NpyArray& array) {
  const std::string header = header_of(array);
  AtomicFile file(path);
  file.write(header);
  file.write(array.bytes);
  file.commit();
}

NpyArray read_npy(const std::filesystem::path& path) {
  const std::string text = read_file(path, std::numeric_limits<std::size_t>::max());
  return parse_npy(bytes_of(text), path.string());
}

void write_npz(AtomicFile& file, const std::map<std::string, NpyArray>& arrays) {
  std::vector<std::string> headers;
  headers.reserve(arrays.size());  // the entries point into it
  std::vector<ZipEntry> entries;
  for (const auto& [name, array] : arrays) {
    if (name.empty()) throw Error("An array to write has no name.");
    headers.push_back(header_of(array));
    entries.push_back({name + std::string(kSuffix), {bytes_of(headers.back()), array.bytes}});
  }
  write_stored_zip(file, entries);
}

void write_npz(const std::filesystem::path& path, const std::map<std::string, NpyArray>& arrays) {
  AtomicFile file(path);
  write_npz(file, arrays);
  file.commit();
}

std::map<std::string, NpyArray> parse_npz(std::span<const std::byte> bytes, const std::string& where) {
  std::map<std::string, NpyArray> arrays;
  for (const auto& [entry, data] : read_stored_zip(bytes, where)) {
    if (!entry.ends_with(kSuffix)) {
      throw Error(fmt::format("{}: holds {}, which is no .npy array.", where, brief_name(entry)));
    }
    arrays.emplace(entry.substr(0, entry.size() - kSuffix.size()),
                   parse_npy(data, fmt::format("{} ({})", where, brief_name(entry))));
  }
  return arrays;
}

std::map<std::string, NpyArray> read_npz(const std::filesystem::path& path) {
  const std::string text = read_file(path, std::numeric_limits<std::size_t>::max());
  return parse_npz(bytes_of(text), path.string());
}

}  // namespace dhsa
