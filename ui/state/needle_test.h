// The needle test of the window: its results as they come in, and the way from a cell to the prompt behind it.
#pragma once

#include "core/experiments/needle.h"
#include "ui/state/experiment.h"

namespace dhsa {

class NeedleTest;
using NeedleExperiment = ExperimentOf<NeedleTest, NeedleResults, std::vector<NeedleCell>, &NeedleResults::cells>;

class NeedleTest : public NeedleExperiment {
  Q_OBJECT

 public:
  explicit NeedleTest(Explorer* explorer);

  // Makes a cell's prompt the document, as `method` read it: with its parameters, in strict mode with the answer behind
  // it. Selects the row that the answer's first digit comes from and the first needle.
  void openPrompt(std::int64_t length, std::int64_t depth, std::int64_t prompt, std::size_t method);

  static void run(const LoadedModel& model, NeedleResults& results, const NeedleOptions& options);
  [[nodiscard]] QString suggestedName() const override;

 Q_SIGNALS:
  void promptOpened(qint64 needle);  // the document is there; first token of its needle

 protected:
  void check(const NeedleResults& asked) const override;
  void read(const std::string& text, const std::string& where) override;
  [[nodiscard]] QString cancelledSentence() const override;

 private:
  void showPrompt(qint64 row, std::pair<qint64, qint64> needle);
};

}  // namespace dhsa
