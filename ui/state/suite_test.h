// RULER's tasks and questions away from the end, run and read in the window.
#pragma once

#include "core/experiments/suite.h"
#include "ui/state/experiment.h"
#include "ui/state/sample_opener.h"
#include "ui/state/scored_results.h"

namespace dhsa {

class SuiteTest;
using SuiteExperiment = ExperimentOf<SuiteTest, SuiteResults, std::vector<SuiteCell>, &SuiteResults::cells>;

class SuiteTest : public SuiteExperiment, public ScoredResults {
  Q_OBJECT

 public:
  explicit SuiteTest(Explorer* explorer);
  [[nodiscard]] SampleOpener* opener() const noexcept { return m_opener; }

  [[nodiscard]] QStringList methodTitles() const override;
  [[nodiscard]] int dense() const override;
  [[nodiscard]] std::vector<ScoreLine> lines() const override;
  [[nodiscard]] std::vector<ScoredSample> samples(int line) const override;
  void openSample(int line, int sample, int method) override;

  // The text of the essays: results that were read from a file know its digest alone.
  void setHaystack(const Haystack& haystack) { m_haystack = haystack; }

  static void run(const LoadedModel& model, SuiteResults& results, const SuiteOptions& options);
  [[nodiscard]] QString suggestedName() const override;

 protected:
  void check(const SuiteResults& asked) const override;
  void read(const std::string& text, const std::string& where) override;
  [[nodiscard]] QString cancelledSentence() const override;

 private:
  SampleOpener* m_opener;
  Haystack m_haystack;
};

}  // namespace dhsa
