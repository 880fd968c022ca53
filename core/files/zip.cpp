#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>

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
constexpr std::size_t kLocalBytes = 30;
constexpr std::size_t kCentralBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kLocatorBytes = 20;
constexpr std::uint32_t kSaturated32 = 0xFFFFFFFFU;
constexpr std::uint16_t kSaturated16 = 0xFFFFU;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint16_t kUtf8Name = 1U << 11U;
constexpr std::uint16_t kEncrypted = 1U;
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

// Fields at byte offsets that a damaged file may have wrong.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  [[noreturn]] void refuse(const std::string& fault) const { throw Error(fmt::format("{}: {}.", where_, fault)); }

  [[nodiscard]] std::span<const std::byte> range(std::uint64_t at, std::uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) refuse("is no whole zip file; it is cut off or damaged");
    return bytes_.subspan(at, size);
  }
  template <class T>
  [[nodiscard]] T at(std::uint64_t offset) const {
    T value;
    std::memcpy(&value, range(offset, sizeof(T)).data(), sizeof(T));
    return value;
  }
  [[nodiscard]] std::string text(std::uint64_t offset, std::uint64_t size) const {
    const auto part = range(offset, size);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  const std::string& where_;
};

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t at = 0;
};

Directory find_directory(const Bytes& file) {
  // The end record is followed by nothing but its comment.
  std::optional<std::uint64_t> end;
  for (std::size_t back = kEndBytes; back <= file.size() && back <= kEndBytes + kSaturated16; ++back) {
    const std::uint64_t at = file.size() - back;
    if (file.at<std::uint32_t>(at) == kEnd && file.at<std::uint16_t>(at + 20) == back - kEndBytes) {
      end = at;
      break;
    }
  }
  if (!end) file.refuse("is no whole zip file; it is cut off or of another kind");
  Directory directory{file.at<std::uint16_t>(*end + 10), file.at<std::uint32_t>(*end + 12),
                      file.at<std::uint32_t>(*end + 16)};
  const bool wide =
      directory.entries == kSaturated16 || directory.bytes == kSaturated32 || directory.at == kSaturated32;
  if (wide && *end >= kLocatorBytes && file.at<std::uint32_t>(*end - kLocatorBytes) == kEnd64Locator) {
    const auto at = file.at<std::uint64_t>(*end - kLocatorBytes + 8);
    (void)file.range(at, kEnd64Bytes);
    if (file.at<std::uint32_t>(at) != kEnd64) file.refuse("has a damaged ZIP64 end record");
    directory = {file.at<std::uint64_t>(at + 32), file.at<std::uint64_t>(at + 40), file.at<std::uint64_t>(at + 48)};
  }
  (void)file.range(directory.at, directory.bytes);
  return directory;
}

struct Central {
  std::uint64_t packed = 0;
  std::uint64_t size = 0;
  std::uint64_t local_at = 0;
};

// Replaces the saturated ones of an entry's three fields by those of its ZIP64 extra field.
void read_zip64_extra(const Bytes& file, std::uint64_t at, std::uint64_t size, Central& entry) {
  const std::uint64_t end = at + size;
  while (end - at >= 4) {
    const auto kind = file.at<std::uint16_t>(at);
    const std::uint64_t length = file.at<std::uint16_t>(at + 2);
    at += 4;
    if (length > end - at) file.refuse("has a damaged extra field");
    if (kind == kZip64Extra) {
      const std::uint64_t stop = at + length;
      for (std::uint64_t* field : {&entry.size, &entry.packed, &entry.local_at}) {
        if (*field != kSaturated32) continue;
        if (stop - at < 8) file.refuse("has a damaged ZIP64 field");
        *field = file.at<std::uint64_t>(at);
        at += 8;
      }
      return;
    }
    at += length;
  }
}

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

std::vector<std::pair<std::string, std::span<const std::byte>>> read_stored_zip(std::span<const std::byte> bytes,
                                                                                const std::string& where) {
  const Bytes file(bytes, where);
  const Directory directory = find_directory(file);
  std::vector<std::pair<std::string, std::span<const std::byte>>> found;
  std::uint64_t at = directory.at;
  std::uint64_t total = 0;
  std::set<std::string> names;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    (void)file.range(at, kCentralBytes);
    if (file.at<std::uint32_t>(at) != kCentral) file.refuse("has a damaged directory");
    const auto flags = file.at<std::uint16_t>(at + 8);
    const auto method = file.at<std::uint16_t>(at + 10);
    const auto crc = file.at<std::uint32_t>(at + 16);
    Central entry{file.at<std::uint32_t>(at + 20), file.at<std::uint32_t>(at + 24), file.at<std::uint32_t>(at + 42)};
    const std::uint64_t name_bytes = file.at<std::uint16_t>(at + 28);
    const std::uint64_t extra_bytes = file.at<std::uint16_t>(at + 30);
    const std::uint64_t comment_bytes = file.at<std::uint16_t>(at + 32);
    std::string name = file.text(at + kCentralBytes, name_bytes);
    const std::string shown = brief_name(name);
    (void)file.range(at + kCentralBytes + name_bytes, extra_bytes);
    read_zip64_extra(file, at + kCentralBytes + name_bytes, extra_bytes, entry);
    at += kCentralBytes + name_bytes + extra_bytes + comment_bytes;

    if ((flags & kEncrypted) != 0) file.refuse(fmt::format("its entry {} is encrypted", shown));
    if (method != 0) {
      file.refuse(fmt::format("its entry {} is compressed; save it uncompressed, with numpy.savez", shown));
    }
    if (entry.packed != entry.size) file.refuse(fmt::format("its entry {} has two sizes", shown));
    (void)file.range(entry.local_at, kLocalBytes);
    if (file.at<std::uint32_t>(entry.local_at) != kLocal) {
      file.refuse(fmt::format("its entry {} is not where its directory says", shown));
    }
    // The extra field beside the data may differ in length from the directory's.
    const std::uint64_t data_at = entry.local_at + kLocalBytes + file.at<std::uint16_t>(entry.local_at + 26) +
                                  file.at<std::uint16_t>(entry.local_at + 28);
    const auto data = file.range(data_at, entry.size);
    // Entries that share their bytes could make a small file fill the memory.
    total += entry.size;
    if (total > file.size()) file.refuse("its entries overlap");
    if (crc32(0, data) != crc) file.refuse(fmt::format("its entry {} is damaged: its CRC-32 differs", shown));
    if (!names.insert(name).second) file.refuse(fmt::format("its entry {} is there twice", shown));
    found.emplace_back(std::move(name), data);
  }
  return found;
}

}  // namespace dhsa
