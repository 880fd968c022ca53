#include "core/text/jieba.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/excerpt.h"
#include "core/base/resources.h"
#include "core/files/atomic_write.h"
#include "core/text/unicode.h"

namespace dhsa {
namespace {

constexpr double kNever = -3.14e100;  // logarithm of the probability of what cannot be
constexpr std::size_t kLargestFile = std::size_t{64} << 20U;

enum Place : std::uint8_t { kBegin, kMiddle, kEnd, kSingle };  // of a character in its word
using ByPlace = std::array<double, 4>;

bool is_han(char32_t c) { return c >= U'\u4e00' && c <= U'\u9fd5'; }
bool is_alphanumeric(char32_t c) {
  return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z') || (c >= U'0' && c <= U'9');
}
bool may_be_of_word(char32_t c) {
  return is_han(c) || is_alphanumeric(c) || std::u32string_view(U"+#&._%-").find(c) != std::u32string_view::npos;
}

std::size_t end_of_run(std::u32string_view text, std::size_t begin, bool (*belongs)(char32_t)) {
  const bool wanted = belongs(text[begin]);
  while (begin < text.size() && belongs(text[begin]) == wanted) ++begin;
  return begin;
}

// Lines of a file, the parts between single blanks of each handed to `take`.
template <class Take>
void for_each_line(const std::filesystem::path& path, std::string_view content, std::size_t parts, const Take& take) {
  std::int64_t number = 0;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t end = std::min(content.find('\n', at), content.size());
    std::string_view line = content.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.empty() || line.starts_with("# ")) continue;
    std::vector<std::string_view> found;
    for (std::size_t blank = 0; blank != std::string_view::npos;) {
      blank = line.find(' ');
      found.push_back(line.substr(0, blank));
      if (blank != std::string_view::npos) line.remove_prefix(blank + 1);
    }
    if (found.size() != parts || found[0].empty() || !take(found)) {
      throw Error(fmt::format("{}, line {}: \"{}\" is not of the form of such a file; install the program again.",
                              path.string(), number, excerpt(std::string(found[0]))));
    }
  }
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  return fault == std::errc() && end == text.data() + text.size();
}

std::size_t bytes_of_first(std::string_view utf8) {
  std::size_t bytes = 1;
  while (bytes < utf8.size() && (static_cast<unsigned char>(utf8[bytes]) & 0xc0U) == 0x80U) ++bytes;
  return bytes;
}

}  // namespace

struct Jieba::Data {
  std::string dictionary;                                     // the words below are parts of it
  std::unordered_map<std::string_view, std::int64_t> counts;  // of words; 0: the beginning of a word only
  double log_total = 0;
  ByPlace start{};
  std::array<ByPlace, 4> follows{};  // [place before][place]
  std::unordered_map<char32_t, ByPlace> emits;

  void read_dictionary(const std::filesystem::path& path) {
    constexpr std::size_t kPrefixes = 600000;
    dictionary = read_file(path, kLargestFile);
    counts.reserve(kPrefixes);
    std::int64_t total = 0;
    for_each_line(path, dictionary, 3, [&](const std::vector<std::string_view>& parts) {
      std::int64_t count = 0;
      if (!read_number(parts[1], count) || count < 0 || count > std::int64_t{1} << 32U) return false;
      const std::string_view word = parts[0];
      for (std::size_t end = 0; end < word.size();) {
        end += bytes_of_first(word.substr(end));
        counts.try_emplace(word.substr(0, end), 0);
      }
      counts[word] = count;
      total += count;
      return true;
    });
    log_total = std::log(static_cast<double>(std::max<std::int64_t>(1, total)));
  }

  void read_model(const std::filesystem::path& path) {
    static constexpr std::array<std::string_view, 4> kFrom = {"from-B", "from-M", "from-E", "from-S"};
    const std::string content = read_file(path, kLargestFile);
    for_each_line(path, content, 5, [&](const std::vector<std::string_view>& parts) {
      ByPlace values{};
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = kNever;
        if (parts[i + 1] != "-" && !read_number(parts[i + 1], values[i])) return false;
      }
      const auto from = std::find(kFrom.begin(), kFrom.end(), parts[0]);
      if (parts[0] == "start") {
        start = values;
      } else if (from != kFrom.end()) {
        follows[static_cast<std::size_t>(from - kFrom.begin())] = values;
      } else {
        const std::u32string character = code_points(parts[0]);
        if (character.size() != 1) return false;
        emits[character[0]] = values;
      }
      return true;
    });
  }

  [[nodiscard]] const ByPlace& emitted(char32_t c) const {
    static constexpr ByPlace kUnknown = {kNever, kNever, kNever, kNever};
    const auto at = emits.find(c);
    return at == emits.end() ? kUnknown : at->second;
  }

  void cut_words(std::u32string_view text, std::vector<std::u32string>& words) const;
  void cut_unknown(std::u32string_view text, std::vector<std::u32string>& words) const;
  void cut_by_model(std::u32string_view text, std::vector<std::u32string>& words) const;
};

// The likeliest row of dictionary words. Characters that stay alone are looked at again together.
void Jieba::Data::cut_words(std::u32string_view text, std::vector<std::u32string>& words) const {
  const std::string utf8 = to_utf8(text);
  const std::string_view bytes(utf8);
  std::vector<std::size_t> at = {0};  // bytes before each character
  while (at.back() < bytes.size()) at.push_back(at.back() + bytes_of_first(bytes.substr(at.back())));
  const auto count = [&](std::size_t begin, std::size_t end) -> std::int64_t {
    const auto found = counts.find(bytes.substr(at[begin], at[end] - at[begin]));
    return found == counts.end() ? -1 : found->second;
  };

  const std::size_t n = text.size();
  std::vector<double> best(n + 1, 0);
  std::vector<std::size_t> next(n + 1, 0);
  for (std::size_t begin = n; begin-- > 0;) {
    bool found = false;
    const auto consider = [&](std::size_t end, std::int64_t times) {
      const double value = std::log(static_cast<double>(std::max<std::int64_t>(1, times))) - log_total + best[end];
      if (found && value < best[begin]) return;  // of equals, the longer word
      best[begin] = value;
      next[begin] = end;
      found = true;
    };
    for (std::size_t end = begin + 1; end <= n; ++end) {
      const std::int64_t times = count(begin, end);
      if (times < 0) break;
      if (times > 0) consider(end, times);
    }
    if (!found) consider(begin + 1, count(begin, begin + 1));
  }

  std::size_t alone = 0;  // where a row of single characters began
  const auto end_row = [&](std::size_t end) {
    if (end - alone > 1 && count(alone, end) <= 0) {
      cut_unknown(text.substr(alone, end - alone), words);
    } else {
      for (std::size_t i = alone; i < end; ++i) words.emplace_back(1, text[i]);
    }
  };
  for (std::size_t begin = 0; begin < n; begin = next[begin]) {
    if (next[begin] - begin == 1) continue;
    end_row(begin);
    words.emplace_back(text.substr(begin, next[begin] - begin));
    alone = next[begin];
  }
  end_row(n);
}

// Chinese by the model; in between, numbers and Latin words stay whole, and so does what lies between those.
void Jieba::Data::cut_unknown(std::u32string_view text, std::vector<std::u32string>& words) const {
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = end_of_run(text, begin, is_han);
    if (is_han(text[begin])) {
      cut_by_model(text.substr(begin, end - begin), words);
    } else {
      const std::u32string_view run = text.substr(0, end);
      end = end_of_run(run, begin, is_alphanumeric);
      if (is_alphanumeric(run[begin])) {
        std::size_t decimals = end + 1;
        while (end < run.size() && run[end] == U'.' && decimals < run.size() && is_decimal_digit(run[decimals])) {
          ++decimals;
        }
        if (decimals > end + 1) end = decimals;
        if (end < run.size() && run[end] == U'%') ++end;
      }
      words.emplace_back(run.substr(begin, end - begin));
    }
    begin = end;
  }
}

// Viterbi's path through the places of the characters.
void Jieba::Data::cut_by_model(std::u32string_view text, std::vector<std::u32string>& words) const {
  // Places that may come before each; the first wins ties, as jieba's comparison of letters has it.
  static constexpr std::array<std::array<Place, 2>, 4> kBefore = {
      {{kSingle, kEnd}, {kMiddle, kBegin}, {kMiddle, kBegin}, {kSingle, kEnd}}};
  const std::size_t n = text.size();
  std::vector<std::array<Place, 4>> from(n);
  ByPlace value{};
  for (std::size_t place = 0; place < 4; ++place) value[place] = start[place] + emitted(text[0])[place];
  for (std::size_t i = 1; i < n; ++i) {
    const ByPlace& emits_here = emitted(text[i]);
    ByPlace now{};
    for (std::size_t place = 0; place < 4; ++place) {
      const auto reached = [&](Place before) { return value[before] + follows[before][place] + emits_here[place]; };
      const auto [first, second] = kBefore[place];
      from[i][place] = reached(second) > reached(first) ? second : first;
      now[place] = reached(from[i][place]);
    }
    value = now;
  }
  std::vector<Place> places(n);
  places[n - 1] = value[kEnd] > value[kSingle] ? kEnd : kSingle;
  for (std::size_t i = n - 1; i > 0; --i) places[i - 1] = from[i][places[i]];

  std::size_t begin = 0;
  std::size_t given = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (places[i] == kBegin) begin = i;
    if (places[i] != kEnd && places[i] != kSingle) continue;
    if (places[i] == kSingle) begin = i;
    words.emplace_back(text.substr(begin, i + 1 - begin));
    given = i + 1;
  }
  if (given < n) words.emplace_back(text.substr(given));
}

Jieba::Jieba(const std::filesystem::path& folder) {
  auto data = std::make_unique<Data>();
  data->read_dictionary(folder / "dict.txt");
  data->read_model(folder / "hmm.txt");
  data_ = std::move(data);
}

Jieba::~Jieba() = default;

std::vector<std::u32string> Jieba::cut(std::u32string_view text) const {
  std::vector<std::u32string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = end_of_run(text, begin, may_be_of_word);
    if (may_be_of_word(text[begin])) {
      data_->cut_words(text.substr(begin, end - begin), words);
      begin = end;
      continue;
    }
    for (; begin < end; ++begin) {
      words.emplace_back(1, text[begin]);
      if (text[begin] == U'\r' && begin + 1 < end && text[begin + 1] == U'\n') words.back() += text[++begin];
    }
  }
  return words;
}

const Jieba& jieba() {
  static const Jieba shipped(resource_path("jieba"));
  return shipped;
}

}  // namespace dhsa
