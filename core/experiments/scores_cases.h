// Predictions whose scores are known, as a file holds them: what `dhsa verify scores` and the tests compare with.
#pragma once

#include <cmath>

#include <string>
#include <vector>

namespace dhsa {

inline constexpr const char* kSegmentation = "jieba, ";  // begins the names of Chinese texts

struct ScoreCheck {
  std::string name;  // "qasper, case 3", "qasper, case 3, 4-8k"
  double expected = 0;
  double computed = 0;
  [[nodiscard]] bool differs(double tolerance) const noexcept { return !(std::abs(expected - computed) <= tolerance); }
};

// Computes every case of a JSON list again. A case is a sample of LongBench (dataset, prediction, answers, all_classes,
// score from 0 to 1), one of RULER (task, prediction, references, score), a whole task of LongBench (dataset,
// predictions, answers, lengths, all_classes, score and score_e in percent) or a Chinese text (text, tokens; scored 1
// where jieba cuts it so). Throws Error that begins with `where` on any other form.
[[nodiscard]] std::vector<ScoreCheck> check_scores(const std::string& text, const std::string& where);

}  // namespace dhsa
