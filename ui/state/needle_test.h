// The needle test of the window: its results as they come in, and the way from a cell to the prompt behind it.
#pragma once

#include "core/experiments/needle.h"
#include "ui/state/experiment.h"

namespace dhsa {

class NeedleTest : public Experiment {
  Q_OBJECT

 public:
  explicit NeedleTest(Explorer* explorer);

  [[nodiscard]] const NeedleResults& results() const noexcept { return m_results; }
  // Cell under way: length and depth's index, and the method's name; length 0: none.
  [[nodiscard]] const NeedleProgress& now() const noexcept { return m_now; }

  // What stands against these settings, as a sentence; empty if nothing does.
  [[nodiscard]] QString problem(const NeedleSettings& settings, const std::vector<MethodChoice>& methods) const;
  // True if start() would go on with the results that are there; `why` gets the difference if not.
  [[nodiscard]] bool goesOn(const NeedleSettings& settings, const std::vector<MethodChoice>& methods,
                            QString* why = nullptr) const;
  // Goes on with unfinished results of the same settings and model, or begins anew.
  void start(const NeedleSettings& settings, const std::vector<MethodChoice>& methods);
  // Makes a cell's prompt the document, as `method` read it: with its parameters, in strict mode with the answer behind
  // it. Selects the row that the answer's first digit comes from and the first needle.
  void openPrompt(std::int64_t length, std::int64_t depth, std::int64_t prompt, std::size_t method);

  [[nodiscard]] bool isEmpty() const override { return m_results.methods.empty(); }
  [[nodiscard]] bool isFinished() const override { return !isEmpty() && m_results.finished(); }
  [[nodiscard]] std::string csv() const override;
  [[nodiscard]] QString suggestedName() const override;

 Q_SIGNALS:
  void promptOpened(qint64 needle);  // the document is there; first token of its needle

 protected:
  [[nodiscard]] nlohmann::json json() const override;
  void read(const std::string& text, const std::string& where) override;
  [[nodiscard]] QString cancelledSentence() const override;

 private:
  [[nodiscard]] NeedleResults asked(const NeedleSettings& settings, const std::vector<MethodChoice>& methods) const;
  void takeCell(std::size_t index, const NeedleCell& cell);
  void showPrompt();

  NeedleResults m_results;
  NeedleProgress m_now;
  struct Opening {
    QByteArray text;
    std::pair<qint64, qint64> needle;
    qint64 row = 0;
  };
  std::unique_ptr<Opening> m_opening;  // until its document is there
};

}  // namespace dhsa
