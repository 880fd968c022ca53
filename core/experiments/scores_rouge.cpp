#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "core/experiments/scores_internal.h"
#include "core/text/unicode.h"

namespace dhsa {
namespace {

using Words = std::vector<std::u32string>;

// The package walks the table by recursion, and Python ends one that is this deep; the script then counts 0.
constexpr std::size_t kDeepest = 990;

std::vector<Words> sentences_of(std::u32string_view text) {
  std::vector<Words> sentences;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(U'.', begin), text.size());
    if (end > begin) {
      sentences.push_back(split_at_white_space(text.substr(begin, end - begin)));
      if (sentences.back().empty()) sentences.back().emplace_back();  // a blank piece holds one empty word
    }
    begin = end + 1;
  }
  return sentences;
}

std::set<std::u32string> distinct_words(const std::vector<Words>& sentences) {
  std::set<std::u32string> words;
  for (const Words& sentence : sentences) words.insert(sentence.begin(), sentence.end());
  return words;
}

// Adds the words of a longest common subsequence; false where Python gives up.
bool add_common(const Words& reference, const Words& prediction, std::set<std::u32string>& common) {
  const std::size_t width = prediction.size() + 1;
  std::vector<std::uint32_t> table((reference.size() + 1) * width, 0);
  const auto at = [&](std::size_t i, std::size_t j) -> std::uint32_t& { return table[i * width + j]; };
  for (std::size_t i = 1; i <= reference.size(); ++i) {
    for (std::size_t j = 1; j <= prediction.size(); ++j) {
      at(i, j) = reference[i - 1] == prediction[j - 1] ? at(i - 1, j - 1) + 1 : std::max(at(i - 1, j), at(i, j - 1));
    }
  }
  std::size_t i = reference.size();
  std::size_t j = prediction.size();
  for (std::size_t steps = 0; i > 0 && j > 0; ++steps) {
    if (steps >= kDeepest) return false;
    if (reference[i - 1] == prediction[j - 1]) {
      common.insert(reference[i - 1]);
      --i;
      --j;
    } else if (at(i - 1, j) > at(i, j - 1)) {
      --i;
    } else {
      --j;
    }
  }
  return true;
}

}  // namespace

double rouge_l(std::u32string_view prediction, std::u32string_view reference) {
  const std::vector<Words> said = sentences_of(prediction);
  const std::vector<Words> wanted = sentences_of(reference);
  if (said.empty() || wanted.empty()) return 0;
  std::set<std::u32string> common;
  for (const Words& x : wanted) {
    for (const Words& y : said) {
      if (!add_common(x, y, common)) return 0;
    }
  }
  const auto share = [&](const std::vector<Words>& of) {
    return static_cast<double>(common.size()) / static_cast<double>(distinct_words(of).size());
  };
  const double precision = share(said);
  const double recall = share(wanted);
  return 2.0 * ((precision * recall) / (precision + recall + 1e-8));
}

}  // namespace dhsa
