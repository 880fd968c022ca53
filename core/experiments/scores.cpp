#include "core/experiments/scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>

#include "core/base/error.h"
#include "core/base/excerpt.h"
#include "core/experiments/scores_internal.h"
#include "core/text/jieba.h"
#include "core/text/unicode.h"

namespace dhsa {
namespace {

using Text = std::u32string_view;
using Words = std::vector<std::u32string>;

bool contains(Text text, Text part) { return text.find(part) != Text::npos; }

bool is_punctuation(char32_t c) {
  return (c >= U'!' && c <= U'/') || (c >= U':' && c <= U'@') || (c >= U'[' && c <= U'`') || (c >= U'{' && c <= U'~');
}

// LongBench's list of marks in Chinese texts; "《" is not in it.
bool is_chinese_punctuation(char32_t c) {
  return contains(
      U"！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝"
      U"〞〟〰〾〿–—‘’‛“”„‟…‧﹏",
      Text(&c, 1));
}

double word_f1(const Words& prediction, const Words& answer) {
  std::map<Text, std::size_t> left;
  for (const std::u32string& word : answer) ++left[word];
  std::size_t common = 0;
  for (const std::u32string& word : prediction) {
    const auto at = left.find(word);
    if (at == left.end() || at->second == 0) continue;
    --at->second;
    ++common;
  }
  if (common == 0) return 0;
  const double precision = static_cast<double>(common) / static_cast<double>(prediction.size());
  const double recall = static_cast<double>(common) / static_cast<double>(answer.size());
  return 2 * precision * recall / (precision + recall);
}

std::u32string without_articles(Text text) {
  std::u32string kept;
  for (std::size_t at = 0; at < text.size();) {
    const bool word = is_word_character(text[at]);
    const std::size_t begin = at;
    while (at < text.size() && is_word_character(text[at]) == word) ++at;
    const Text run = text.substr(begin, at - begin);
    kept += run == U"a" || run == U"an" || run == U"the" ? Text(U" ") : run;
  }
  return kept;
}

Words english_words(Text text) {
  std::u32string plain = lower(text);
  std::erase_if(plain, is_punctuation);
  return split_at_white_space(without_articles(plain));
}

Words chinese_words(Text text) {
  Words words;
  for (const std::u32string& token : jieba().cut(text)) {
    std::u32string plain = lower(token);
    std::erase_if(plain,
                  [](char32_t c) { return is_punctuation(c) || is_chinese_punctuation(c) || is_white_space(c); });
    if (!plain.empty()) words.push_back(std::move(plain));
  }
  return words;
}

std::u32string cut_by_blanks(Text text) {
  std::u32string joined;
  for (const std::u32string& token : jieba().cut(text)) {
    if (!joined.empty()) joined += U' ';
    joined += token;
  }
  return joined;
}

double class_score(Text prediction, Text answer, std::span<const std::string> classes) {
  Words named;
  for (const std::string& name : classes) {
    if (contains(prediction, code_points(name))) named.push_back(code_points(name));
  }
  // The script removes from the list that it walks along, and so passes over what follows each one removed.
  for (std::size_t i = 0; i < named.size(); ++i) {
    const std::u32string name = named[i];
    if (contains(answer, name) && name != answer) named.erase(std::find(named.begin(), named.end(), name));
  }
  const bool right = std::find(named.begin(), named.end(), answer) != named.end();
  return right ? 1.0 / static_cast<double>(named.size()) : 0;
}

Words numbers_of(Text text) {
  Words numbers;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    while (at < text.size() && is_decimal_digit(text[at])) ++at;
    if (at > begin) numbers.emplace_back(text.substr(begin, at - begin));
    if (at < text.size()) ++at;
  }
  return numbers;
}

double number_share(Text prediction, Text wanted) {
  const Words numbers = numbers_of(prediction);
  if (numbers.empty()) return 0;
  const auto right = std::count(numbers.begin(), numbers.end(), wanted);
  return static_cast<double>(right) / static_cast<double>(numbers.size());
}

// The number behind the first `word` that a number follows.
std::u32string paragraph_of(Text answer, Text word) {
  for (std::size_t at = answer.find(word); at != Text::npos; at = answer.find(word, at + 1)) {
    const Text rest = answer.substr(at + word.size());
    if (!rest.empty() && is_decimal_digit(rest[0])) return numbers_of(rest).front();
  }
  throw Error(fmt::format("The answer \"{}\" names no paragraph; it should be like \"{}5\".", excerpt(to_utf8(answer)),
                          to_utf8(word)));
}

double code_score(Text prediction, Text answer) {
  const Text from = prediction.substr(std::min(prediction.find_first_not_of(U'\n'), prediction.size()));
  Text line;
  for (std::size_t begin = 0; begin <= from.size();) {
    const std::size_t end = std::min(from.find(U'\n', begin), from.size());
    const Text here = from.substr(begin, end - begin);
    if (!contains(here, U"`") && !contains(here, U"#") && !contains(here, U"//")) {
      line = here;
      break;
    }
    begin = end + 1;
  }
  if (line == answer) return 1;
  if (line.empty() || answer.empty()) return 0;
  return std::nearbyint(100 * sequence_ratio(line, answer)) / 100;  // halves to even, as Python's round()
}

// RULER's: blanks off, control characters to line breaks, blanks off again.
std::u32string plain_answer(std::string_view prediction) {
  const auto stripped = [](Text text) {
    while (!text.empty() && is_white_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_white_space(text.back())) text.remove_suffix(1);
    return std::u32string(text);
  };
  std::u32string text = stripped(code_points(prediction));
  std::replace_if(
      text.begin(), text.end(), [](char32_t c) { return c < U' '; }, U'\n');
  return stripped(text);
}

double two_decimals(double value) { return std::strtod(fmt::format("{:.2f}", value).c_str(), nullptr); }
double sum_of(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }

}  // namespace

const char* name_of(ScoreMetric metric) noexcept {
  switch (metric) {
    case ScoreMetric::kF1:
      return "F1";
    case ScoreMetric::kF1Zh:
      return "F1 (Chinese)";
    case ScoreMetric::kRouge:
      return "ROUGE-L";
    case ScoreMetric::kRougeZh:
      return "ROUGE-L (Chinese)";
    case ScoreMetric::kClass:
      return "class accuracy";
    case ScoreMetric::kCount:
    case ScoreMetric::kRetrieval:
    case ScoreMetric::kRetrievalZh:
      return "share of numbers";
    case ScoreMetric::kEditSimilarity:
      return "edit similarity";
  }
  return "";
}

double score(ScoreMetric metric, std::string_view prediction, std::string_view answer,
             std::span<const std::string> classes) {
  const std::u32string said = code_points(prediction);
  const std::u32string wanted = code_points(answer);
  switch (metric) {
    case ScoreMetric::kF1:
      return word_f1(english_words(said), english_words(wanted));
    case ScoreMetric::kF1Zh:
      return word_f1(chinese_words(said), chinese_words(wanted));
    case ScoreMetric::kRouge:
      return rouge_l(said, wanted);
    case ScoreMetric::kRougeZh:
      return rouge_l(cut_by_blanks(said), cut_by_blanks(wanted));
    case ScoreMetric::kClass:
      return class_score(said, wanted, classes);
    case ScoreMetric::kCount:
      return number_share(said, wanted);
    case ScoreMetric::kRetrieval:
      return number_share(said, paragraph_of(wanted, U"Paragraph "));
    case ScoreMetric::kRetrievalZh:
      return number_share(said, paragraph_of(wanted, U"段落"));
    case ScoreMetric::kEditSimilarity:
      return code_score(said, wanted);
  }
  return 0;
}

double string_match(std::string_view prediction, std::span<const std::string> references, bool any) {
  const std::u32string said = lower(plain_answer(prediction));
  const auto found = std::count_if(references.begin(), references.end(), [&](const std::string& reference) {
    return contains(said, lower(code_points(reference)));
  });
  if (references.empty()) return 0;
  if (any) return found > 0 ? 1 : 0;
  return static_cast<double>(found) / static_cast<double>(references.size());
}

double mean_percent(std::span<const double> scores) {
  return scores.empty() ? 0 : two_decimals(100 * sum_of(scores) / static_cast<double>(scores.size()));
}

double ruler_mean_percent(std::span<const double> scores) {
  return scores.empty() ? 0 : two_decimals(100 * (sum_of(scores) / static_cast<double>(scores.size())));
}

}  // namespace dhsa
