#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/error.h"
#include "core/text/document.h"

namespace dhsa {
namespace {

// Length of the well-formed UTF-8 character at `at` (no overlong forms, no surrogates), 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned least = 0x80;
  unsigned most = 0xbf;  // of the second byte
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) least = 0xa0;
    if (first == 0xed) most = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) least = 0x90;
    if (first == 0xf4) most = 0x8f;
  } else {
    return 0;
  }
  if (byte(at + 1) < least || byte(at + 1) > most) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(at + i) < 0x80 || byte(at + i) > 0xbf) return 0;
  }
  return length;
}

void append_utf8(std::string& to, std::uint32_t c) {
  const auto put = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
  if (c < 0x80U) {
    put(c);
  } else if (c < 0x800U) {
    put(0xc0U | c >> 6U);
    put(0x80U | (c & 0x3fU));
  } else if (c < 0x10000U) {
    put(0xe0U | c >> 12U);
    put(0x80U | (c >> 6U & 0x3fU));
    put(0x80U | (c & 0x3fU));
  } else {
    put(0xf0U | c >> 18U);
    put(0x80U | (c >> 12U & 0x3fU));
    put(0x80U | (c >> 6U & 0x3fU));
    put(0x80U | (c & 0x3fU));
  }
}

// UTF-8 of units of 2 or 4 bytes; what is no character becomes U+FFFD.
std::string from_units(std::string_view bytes, std::size_t unit, bool big_endian) {
  constexpr std::uint32_t kReplacement = 0xfffdU;
  const auto at = [&](std::size_t i) {
    std::uint32_t value = 0;
    for (std::size_t b = 0; b < unit; ++b) {
      const auto byte = static_cast<unsigned char>(bytes[i + (big_endian ? b : unit - 1 - b)]);
      value = value << 8U | byte;
    }
    return value;
  };
  std::string text;
  text.reserve(bytes.size());
  std::size_t i = 0;
  for (; i + unit <= bytes.size(); i += unit) {
    std::uint32_t c = at(i);
    if (unit == 2 && c >= 0xd800U && c < 0xdc00U && i + 4 <= bytes.size()) {
      const std::uint32_t low = at(i + 2);
      if (low >= 0xdc00U && low < 0xe000U) {
        c = 0x10000U + ((c - 0xd800U) << 10U) + (low - 0xdc00U);
        i += 2;
      }
    }
    append_utf8(text, c > 0x10ffffU || (c >= 0xd800U && c < 0xe000U) ? kReplacement : c);
  }
  if (i < bytes.size()) append_utf8(text, kReplacement);
  return text;
}

// What kind of file begins like this; null if it may be text.
const char* other_kind(std::string_view bytes) {
  using namespace std::string_view_literals;
  struct Kind {
    std::string_view begin;
    const char* name;
  };
  static constexpr Kind kKinds[] = {{"%PDF-", "a PDF"},
                                    {"\x89PNG", "an image"},
                                    {"\xff\xd8\xff", "an image"},
                                    {{"II*\0", 4}, "an image"},
                                    {{"MM\0*", 4}, "an image"},
                                    {"PK\x03\x04", "a ZIP archive or an office document"},
                                    {"\x1f\x8b", "a compressed file"},
                                    {"\xfd"
                                     "7zXZ",
                                     "a compressed file"},
                                    {"\x28\xb5\x2f\xfd", "a compressed file"},
                                    {"7z\xbc\xaf", "an archive"},
                                    {"Rar!\x1a\x07", "an archive"},
                                    {"\xd0\xcf\x11\xe0", "an old office document"},
                                    {"\x7f"
                                     "ELF",
                                     "a program"},
                                    {{"SQLite format 3\0", 16}, "a database"}};
  for (const Kind& kind : kKinds) {
    if (bytes.starts_with(kind.begin)) return kind.name;
  }
  // These begin like words: more of them must fit.
  const std::string_view begin = bytes.substr(0, 16);
  if (begin.starts_with("GGUF") && begin.find("\0\0"sv) != std::string_view::npos) return "a model";
  if ((begin.starts_with("GIF87a") || begin.starts_with("GIF89a")) && begin.find('\0') != std::string_view::npos) {
    return "an image";
  }
  if (begin.starts_with("BZh") && begin.substr(std::min<std::size_t>(4, begin.size())).starts_with("1AY&SY")) {
    return "a compressed file";
  }
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "an image";
  return bytes.size() > 262 && bytes.substr(257, 5) == "ustar" ? "an archive" : nullptr;
}

}  // namespace

std::string decode_text(const std::string& name, std::string bytes, std::vector<std::string>& notes) {
  using namespace std::string_view_literals;
  struct Mark {
    std::string_view bytes;
    std::size_t unit;
    bool big_endian;
  };
  // The longer ones first: that of UTF-16 begins that of UTF-32.
  static constexpr Mark kMarks[] = {{"\xff\xfe\0\0"sv, 4, false},
                                    {"\0\0\xfe\xff"sv, 4, true},
                                    {"\xff\xfe"sv, 2, false},
                                    {"\xfe\xff"sv, 2, true},
                                    {"\xef\xbb\xbf"sv, 1, false}};
  if (const char* kind = other_kind(bytes)) {
    throw Error(fmt::format("The text {} is {}; give its content as plain text.", name, kind));
  }
  const auto* mark =
      std::find_if(std::begin(kMarks), std::end(kMarks), [&](const Mark& m) { return bytes.starts_with(m.bytes); });
  if (mark != std::end(kMarks)) {
    bytes.erase(0, mark->bytes.size());
    if (mark->unit > 1) {
      bytes = from_units(bytes, mark->unit, mark->big_endian);
      notes.push_back(fmt::format("The text {} was read as UTF-{}.", name, 8 * mark->unit));
    }
  }
  const std::size_t size = bytes.size();
  const auto zeros = static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\0'));
  // Of characters beyond Latin in UTF-16 the higher bytes look like these; a text has none but the few that move or
  // colour what a terminal shows.
  const auto controls = static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](unsigned char c) {
    return c > 0 && c < 0x20 && (c < '\b' || c > '\r') && c != 0x1b;
  }));
  if (zeros > size / 4 || controls > size / 32) {
    throw Error(
        fmt::format("The text {} is full of {}: binary data, or UTF-16 without a byte order mark; save it as UTF-8.",
                    name, zeros > size / 4 ? "zero bytes" : "control characters"));
  }
  const std::int64_t replaced = replace_invalid_utf8(bytes);
  if (static_cast<std::size_t>(replaced) > size / 4) {
    throw Error(
        fmt::format("The text {} is mostly not UTF-8 ({} of {} bytes are not): binary data, or another encoding; "
                    "save it as UTF-8.",
                    name, replaced, size));
  }
  if (replaced > 0) {
    notes.push_back(fmt::format("{} {} of {} not valid UTF-8 and shown as U+FFFD.", replaced,
                                replaced == 1 ? "byte" : "bytes", name + (replaced == 1 ? " is" : " are")));
  }
  return bytes;
}

std::int64_t replace_invalid_utf8(std::string& text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) break;
    at += length;
  }
  if (at == text.size()) return 0;
  std::string fixed = text.substr(0, at);
  std::int64_t replaced = 0;
  while (at < text.size()) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) {
      fixed += "\xef\xbf\xbd";
      ++replaced;
      ++at;
    } else {
      fixed.append(text, at, length);
      at += length;
    }
  }
  text = std::move(fixed);
  return replaced;
}

}  // namespace dhsa
