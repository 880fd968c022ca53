// What results of RULER's tasks and of LongBench have in common for a person: a table of scores, and behind each of its
// lines the samples with what every method said.
#pragma once

#include <QString>
#include <QStringList>
#include <optional>
#include <vector>

namespace dhsa {

struct ScoreLine {
  QString task;
  QString length;                               // tokens or a range of words; empty: none
  int samples = 0;                              // 0: a mean of other lines
  std::vector<std::optional<double>> percents;  // [methods]
  double order = 0;                             // of the length
};

struct ScoredSample {
  struct Said {
    QString text;
    double score = 0;  // 0 to 1
  };
  QString asked;
  QStringList answers;
  std::vector<std::optional<Said>> said;  // [methods]; none where a method was not asked yet
};

class ScoredResults {
 public:
  virtual ~ScoredResults() = default;
  [[nodiscard]] virtual QStringList methodTitles() const = 0;
  [[nodiscard]] virtual int dense() const = 0;  // its number among the methods; -1: not there
  [[nodiscard]] virtual std::vector<ScoreLine> lines() const = 0;
  [[nodiscard]] virtual std::vector<ScoredSample> samples(int line) const = 0;  // none of a mean
  // Makes a sample the document, with the parameters and question rows under which `method` read it.
  virtual void openSample(int line, int sample, int method) = 0;
};

}  // namespace dhsa
