#include "core/files/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "core/files/zip_internal.h"

namespace dhsa {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are written as they lie in memory");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kAlign = 64;  // NumPy's, so that it may map the data

template <class T>
constexpr const char* descr_of() {
  if constexpr (std::is_same_v<T, float>) return "<f4";
  if constexpr (std::is_same_v<T, double>) return "<f8";
  if constexpr (std::is_same_v<T, std::int32_t>) return "<i4";
  if constexpr (std::is_same_v<T, std::int64_t>) return "<i8";
  if constexpr (std::is_same_v<T, std::uint8_t>) return "|u1";
}

void check_size(const NpyArray& array) {
  std::int64_t asked = array.descr.back() - '0';  // bytes of an element
  for (const std::int64_t extent : array.shape) asked *= extent;
  if (static_cast<std::int64_t>(array.bytes.size()) != asked) {
    throw Error(fmt::format("An array has {} bytes of data, its type {} and shape ({}) ask for {}.", array.bytes.size(),
                            array.descr, fmt::join(array.shape, ", "), asked));
  }
}

// Everything before the data.
std::string header_of(const NpyArray& array) {
  check_size(array);
  const std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", array.descr,
                  fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  // NumPy's 32 axes of 19 digits are far below the 65535 bytes of version 1.0.
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

}  // namespace

template <class T>
NpyArray NpyArray::of(std::span<const T> values, std::vector<std::int64_t> shape) {
  NpyArray array;
  array.descr = descr_of<T>();
  array.shape = shape.empty() ? std::vector{static_cast<std::int64_t>(values.size())} : std::move(shape);
  const auto raw = std::as_bytes(values);
  array.bytes.assign(raw.begin(), raw.end());
  check_size(array);
  return array;
}

template <class T>
std::vector<T> NpyArray::values() const {
  if (descr != descr_of<T>()) throw Error(fmt::format("An array is of type {}, not {}.", descr, descr_of<T>()));
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
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
#undef DHSA_NPY_TYPE

void write_npz(AtomicFile& file, const std::map<std::string, NpyArray>& arrays) {
  std::vector<std::string> headers;
  headers.reserve(arrays.size());  // the entries point into it
  std::vector<ZipEntry> entries;
  for (const auto& [name, array] : arrays) {
    if (name.empty()) throw Error("An array to write has no name.");
    headers.push_back(header_of(array));
    entries.push_back({name + ".npy", {std::as_bytes(std::span(headers.back())), array.bytes}});
  }
  write_stored_zip(file, entries);
}

}  // namespace dhsa
