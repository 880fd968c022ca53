// What a prediction is worth against an answer, to the letter of the official scripts of LongBench (arXiv 2308.14508)
// and RULER (arXiv 2404.06654). Texts are UTF-8; every score is 0 to 1.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dhsa {

enum class ScoreMetric : std::uint8_t {
  kF1,             // words in common, after lower case and without punctuation and articles
  kF1Zh,           // the same of jieba's words
  kRouge,          // ROUGE-L of the package rouge 1.0.1
  kRougeZh,        // the same of jieba's words
  kClass,          // the answer among the classes that the prediction names
  kCount,          // share of the prediction's numbers that are the answer
  kRetrieval,      // share of its numbers that are the answer's paragraph
  kRetrievalZh,    // the same in Chinese
  kEditSimilarity  // similarity of the first line of code
};
[[nodiscard]] const char* name_of(ScoreMetric metric) noexcept;

// `classes` are read by kClass alone. Throws Error where an answer of kRetrieval names no paragraph.
[[nodiscard]] double score(ScoreMetric metric, std::string_view prediction, std::string_view answer,
                           std::span<const std::string> classes);

// RULER's: share of the references that the prediction contains (`any`: 1 if it contains one), capitals aside.
[[nodiscard]] double string_match(std::string_view prediction, std::span<const std::string> references, bool any);

// Means of scores in percent, rounded to two decimals as Python rounds; 0 of none. LongBench multiplies the sum by 100,
// RULER the mean, which ends on the other side of a half now and then: 5.75 of 40 is 14.38 and 14.37.
[[nodiscard]] double mean_percent(std::span<const double> scores);
[[nodiscard]] double ruler_mean_percent(std::span<const double> scores);

}  // namespace dhsa
