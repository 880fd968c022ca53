#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/error.h"
#include "core/files/strict_json.h"
#include "core/files/zip_internal.h"

namespace dhsa {
namespace {

constexpr std::uint32_t kLocal = 0x04034b50;
constexpr std::uint32_t kCentral = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kEnd64Locator = 0x07064b50;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::uint32_t kSaturated32 = 0xFFFFFFFFU;
constexpr std::uint16_t kSaturated16 = 0xFFFFU;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint16_t kUtf8Name = 1U << 11U;
constexpr std::uint16_t kFirstDay = 0x21;  // 1980-01-01, so that equal arrays make equal files

std::uint32_t crc32(std::uint32_t before, std::span<const std::byte> bytes) {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1U) ^ ((value & 1U) != 0 ? 0xEDB88320U : 0U);
      table[i] = value;
    }
    return table;
  }();
  std::uint32_t crc = ~before;
  for (const std::byte byte : bytes) {
    crc = kTable[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFFU] ^ (crc >> 8U);
  }
  return ~crc;
}

// Little-endian fields, one after the other.
class Record {
 public:
  Record& u16(std::uint64_t value) { return number<std::uint16_t>(value); }
  Record& u32(std::uint64_t value) { return number<std::uint32_t>(value); }
  Record& u64(std::uint64_t value) { return number<std::uint64_t>(value); }
  Record& text(std::string_view value) {
    bytes_ += value;
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  template <class T>
  Record& number(std::uint64_t value) {
    const T field = static_cast<T>(value);
    char raw[sizeof(T)];
    std::memcpy(raw, &field, sizeof(T));
    bytes_.append(raw, sizeof(T));
    return *this;
  }
  std::string bytes_;
};

}  // namespace

void write_stored_zip(AtomicFile& file, const std::vector<ZipEntry>& entries, std::uint64_t zip64_from) {
  std::uint64_t at = 0;
  Record directory;
  for (const ZipEntry& entry : entries) {
    if (entry.name.empty() || entry.name.size() >= kSaturated16) {
      throw Error(fmt::format("An array's name in a .npz file has 1 to {} bytes, and {} has {}.", kSaturated16 - 5,
                              brief_name(entry.name), entry.name.size()));
    }
    std::uint32_t crc = 0;
    std::uint64_t size = 0;
    for (const auto part : entry.parts) {
      crc = crc32(crc, part);
      size += part.size();
    }
    const bool ascii =
        std::all_of(entry.name.begin(), entry.name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80U; });
    const std::uint16_t flags = ascii ? 0 : kUtf8Name;
    const bool wide_size = size >= zip64_from;
    const bool wide_at = at >= zip64_from;
    const std::uint64_t short_size = wide_size ? kSaturated32 : size;
    const auto version = [](bool wide) { return wide ? 45U : 20U; };

    Record local;
    local.u32(kLocal).u16(version(wide_size)).u16(flags).u16(0).u16(0).u16(kFirstDay).u32(crc);
    local.u32(short_size).u32(short_size).u16(entry.name.size()).u16(wide_size ? 20 : 0).text(entry.name);
    if (wide_size) local.u16(kZip64Extra).u16(16).u64(size).u64(size);
    file.write(local.bytes());
    for (const auto part : entry.parts) file.write(part);

    Record extra;
    if (wide_size) extra.u64(size).u64(size);
    if (wide_at) extra.u64(at);
    const std::size_t extra_bytes = extra.bytes().size();
    // "Made by" Unix, an ordinary file readable by all: some unpackers honour it.
    directory.u32(kCentral).u16(version(wide_size || wide_at) | 3U << 8U).u16(version(wide_size || wide_at)).u16(flags);
    directory.u16(0).u16(0).u16(kFirstDay).u32(crc).u32(short_size).u32(short_size).u16(entry.name.size());
    directory.u16(extra_bytes == 0 ? 0 : extra_bytes + 4).u16(0).u16(0).u16(0).u32(0100644U << 16U);
    directory.u32(wide_at ? kSaturated32 : at).text(entry.name);
    if (extra_bytes != 0) directory.u16(kZip64Extra).u16(extra_bytes).text(extra.bytes());
    at += local.bytes().size() + size;
  }
  const std::uint64_t directory_bytes = directory.bytes().size();
  file.write(directory.bytes());
  Record end;
  const bool many = entries.size() >= kSaturated16;
  if (many || at >= zip64_from || directory_bytes >= zip64_from) {
    end.u32(kEnd64).u64(kEnd64Bytes - 12).u16(45U | 3U << 8U).u16(45).u32(0).u32(0);
    end.u64(entries.size()).u64(entries.size()).u64(directory_bytes).u64(at);
    end.u32(kEnd64Locator).u32(0).u64(at + directory_bytes).u32(1);
  }
  const std::uint64_t short_count = many ? kSaturated16 : entries.size();
  end.u32(kEnd).u16(0).u16(0).u16(short_count).u16(short_count);
  end.u32(directory_bytes >= zip64_from ? kSaturated32 : directory_bytes).u32(at >= zip64_from ? kSaturated32 : at);
  end.u16(0);
  file.write(end.bytes());
}

}  // namespace dhsa
