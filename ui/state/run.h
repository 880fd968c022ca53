// Finished prefills and what they measured.
#pragma once

#include <QDateTime>
#include <QObject>
#include <QString>
#include <memory>
#include <optional>
#include <vector>

#include "core/analysis/metrics.h"
#include "core/run/trace.h"
#include "ui/state/session.h"

namespace dhsa {

struct LogitComparison {
  double meanKl = 0;   // nats per position, KL(dense || sparse)
  double sameTop = 0;  // share of positions
  std::int64_t positions = 0;
};

// What a run read. Only runs of the same are compared in time and memory.
struct RunInput {
  QString documentSha;
  QString model;  // fingerprint
  std::int64_t tokens = 0;
  bool operator==(const RunInput&) const = default;
};
[[nodiscard]] RunInput inputOf(const OpenDocument& document, const LoadedModel& model);

struct Run {
  int id = 0;
  QString label;
  bool pinned = false;
  QDateTime when;
  QString documentTitle;
  QString modelName;
  RunInput input;
  SparsityParameters parameters;
  std::shared_ptr<const RunTrace> trace;            // plans and times; q, k, v only of the run in view
  std::vector<std::optional<MaskMetrics>> metrics;  // [layers]
  std::vector<std::int64_t> rowSteps;               // [layers] metrics look at every n-th row
  std::optional<LogitComparison> logits;            // against dense, once compared
  QString answer;                                   // first line of the greedy answer; empty: no question
  double seconds = 0;                               // prefill: the sum of its stages
  double elapsed = 0;                               // wall clock of the whole run, measuring and answer included
  std::int64_t peakBytes = 0;
  std::int64_t startBytes = 0;  // resident before the run: weights and libraries

  // Kept pairs as a share of the causal ones, inside the window on local layers, of all layers together; NaN without a
  // trace.
  [[nodiscard]] double density() const;
  [[nodiscard]] bool sampled() const;  // a layer's metrics rest on some of its rows
  [[nodiscard]] double meanRetainedMass() const;
};

class RunList : public QObject {
  Q_OBJECT

 public:
  using QObject::QObject;

  [[nodiscard]] int size() const noexcept { return static_cast<int>(m_runs.size()); }
  [[nodiscard]] const Run& at(int index) const { return m_runs[static_cast<std::size_t>(index)]; }
  [[nodiscard]] int indexOf(int id) const;
  [[nodiscard]] const Run* find(int id) const;
  // The pinned run that others are compared with, null without one. At most one is pinned.
  [[nodiscard]] const Run* pinned() const;
  // Newest dense run of the same input, for memory and time to compare with.
  [[nodiscard]] const Run* dense(const RunInput& input) const;

  int add(Run run);  // returns its id
  void rename(int id, const QString& label);
  void setPinned(int id, bool pinned);
  void setLogits(int id, const LogitComparison& logits);
  void setMetrics(int id, int layer, const MaskMetrics& metrics, std::int64_t rowStep);
  void remove(int id);
  // Comma-separated table of all runs, one line each, RFC 4180.
  [[nodiscard]] QString csv() const;

 Q_SIGNALS:
  void aboutToAdd(int index);
  void added(int index);
  void aboutToRemove(int index);
  void removed(int index);
  void changed(int index);
  void pinnedChanged();

 private:
  std::vector<Run> m_runs;
  int m_nextId = 1;
};

}  // namespace dhsa
