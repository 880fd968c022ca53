// The sweep of the window: its points as they come in.
#pragma once

#include "core/experiments/sweep.h"
#include "ui/state/experiment.h"

namespace dhsa {

class SweepRun;
using SweepExperiment = ExperimentOf<SweepRun, SweepResults, std::vector<SweepPoint>, &SweepResults::points>;

class SweepRun : public SweepExperiment {
  Q_OBJECT

 public:
  explicit SweepRun(Explorer* explorer);

  [[nodiscard]] bool isEmpty() const override { return results().points.empty(); }
  // A run inside a measured prefill would count as its memory.
  static void serve(const JobContext& job) { job.serveInteractive(); }
  static void run(const LoadedModel& model, SweepResults& results, const SweepOptions& options);
  [[nodiscard]] QString suggestedName() const override;

 protected:
  void complete(SweepResults& asked) const override;
  void check(const SweepResults& asked) const override;
  void read(const std::string& text, const std::string& where) override;
  [[nodiscard]] QString cancelledSentence() const override;
};

}  // namespace dhsa
