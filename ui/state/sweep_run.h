// The sweep of the window: its points as they come in.
#pragma once

#include "core/experiments/sweep.h"
#include "ui/state/experiment.h"

namespace dhsa {

class SweepRun : public Experiment {
  Q_OBJECT

 public:
  explicit SweepRun(Explorer* explorer);

  [[nodiscard]] const SweepResults& results() const noexcept { return m_results; }

  // What stands against these settings, as a sentence; empty if nothing does.
  [[nodiscard]] QString problem(const SweepSettings& settings, const std::vector<MethodChoice>& methods) const;
  // True if start() would go on with the results that are there; `why` gets the difference if not.
  [[nodiscard]] bool goesOn(const SweepSettings& settings, const std::vector<MethodChoice>& methods,
                            QString* why = nullptr) const;
  // Goes on with unfinished results of the same settings and model, or begins anew.
  void start(const SweepSettings& settings, const std::vector<MethodChoice>& methods);

  [[nodiscard]] bool isEmpty() const override { return m_results.points.empty(); }
  [[nodiscard]] bool isFinished() const override { return m_results.finished(); }
  [[nodiscard]] std::string csv() const override;
  [[nodiscard]] QString suggestedName() const override;

 protected:
  [[nodiscard]] nlohmann::json json() const override;
  void read(const std::string& text, const std::string& where) override;
  [[nodiscard]] QString cancelledSentence() const override;

 private:
  [[nodiscard]] SweepResults asked(const SweepSettings& settings, const std::vector<MethodChoice>& methods) const;

  SweepResults m_results;
};

}  // namespace dhsa
