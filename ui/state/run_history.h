// Runs of the whole prefill: the one under way, those that are finished, and their comparison with dense.
#pragma once

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>
#include <memory>
#include <vector>

#include "core/run/what_if.h"
#include "ui/state/engine.h"
#include "ui/state/parameter_set.h"
#include "ui/state/run.h"
#include "ui/state/session.h"
#include "ui/state/view_state.h"

namespace dhsa {

// A run while it runs, and the last one of the document afterwards.
struct RunProgress {
  bool running = false;
  bool dense = false;  // the dense run that others are compared with
  std::int64_t tokens = 0;
  int layers = 0;
  std::vector<StageReport> stages;
  Stage stage = Stage::kEmbed;  // under way
  int layer = -1;
  std::int64_t peakBytes = 0;
  double elapsed = 0;     // seconds, wall clock: what a person waits for, measuring included
  double remaining = -1;  // estimate in seconds; negative: not known yet
  [[nodiscard]] double fraction() const;
};

class RunHistory : public QObject {
  Q_OBJECT

 public:
  RunHistory(Session* session, ParameterSet* parameters, const ViewState* view, Engine* engine,
             QObject* parent = nullptr);

  [[nodiscard]] RunList* runs() const noexcept { return m_runs; }
  // Last finished run of the document and model in view; null without one.
  [[nodiscard]] const Run* current() const { return m_runs->find(m_current); }
  // Dense run of the same document and model, null without one.
  [[nodiscard]] const Run* dense() const { return m_runs->dense(input()); }
  // The pinned run that layers are compared with, null without one or if it does not fit.
  [[nodiscard]] const Run* comparison() const;
  [[nodiscard]] const RunProgress& progress() const noexcept { return m_progress; }
  [[nodiscard]] bool compareAfterRun() const noexcept { return m_compareAfterRun; }
  // Of a run that would begin now.
  [[nodiscard]] RunInput input() const;

  // Replaces a layer's figures of the last finished run by better ones of the same plan.
  void refine(const MeasuredLayer& layer);

 public Q_SLOTS:
  void run();
  void compareWithDense();
  void setCompareAfterRun(bool on) { m_compareAfterRun = on; }

 Q_SIGNALS:
  void runBegins();
  void layerReached(std::shared_ptr<const MeasuredLayer> layer);
  void runEnds(bool finished);
  void runFinished(int id);
  void currentChanged();  // current() is another run, or none
  void progressChanged();
  void message(const QString& sentence, bool failed);

 private:
  class LiveObserver;
  using States = std::shared_ptr<const FinalStates>;

  void forget();
  [[nodiscard]] Run timed(Run run) const;  // that ends now
  void finish(Run run, const States& states);
  void takeProgress(const RunProgress& progress);
  void jobEnded(JobKind kind, bool finished);
  [[nodiscard]] std::vector<int> layersToCapture() const;
  [[nodiscard]] static RunOptions optionsOf(const OpenDocument& document, LiveObserver& live, const JobContext& job);
  void submitPrefill();
  void submitComparison();

  Session* m_session;
  ParameterSet* m_parameters;
  const ViewState* m_view;
  Engine* m_engine;
  RunList* m_runs;
  RunProgress m_progress;
  QElapsedTimer m_clock;
  QTimer m_tick;  // elapsed and remaining time during a run
  int m_current = 0;
  bool m_compareAfterRun = true;
  States m_states;       // of the current run
  States m_denseStates;  // of the dense run of the same document
};

}  // namespace dhsa
