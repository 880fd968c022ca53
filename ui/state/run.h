// Finished prefills and what they measured.
#pragma once

#include <QDateTime>
#include <QObject>
#include <QString>
#include <vector>

#include "core/run/run.h"
#include "ui/state/session.h"

namespace dhsa {

// What a run read, with what and where. Only runs of the same are compared.
struct RunInput {
  struct Model {
    QString fingerprint;
    DType type = DType::kFloat32;
    Device device = Device::kCpu;
    bool operator==(const Model&) const = default;
  };
  QString documentSha;
  Model model;
  std::int64_t tokens = 0;
  std::int64_t questionTokens = 0;  // above 0: the run answers, and keeps what that needs
  bool operator==(const RunInput&) const = default;
};
// "DHSA 1024": the method, and its budget where it reads one.
[[nodiscard]] QString labelOf(const SparsityParameters& parameters);
[[nodiscard]] RunInput inputOf(const OpenDocument& document, const LoadedModel& model);

struct Run {
  int id = 0;
  QString label;
  bool pinned = false;
  QDateTime when;
  QString documentTitle;
  QString modelName;
  RunInput input;
  [[nodiscard]] QString modelLabel() const;  // "gemma · bfloat16 · cpu"
  SparsityParameters parameters;             // as asked for
  MethodRun result;                          // without q, k, v and final states
  Values values;                             // every measure of it, over all layers; RunList keeps them up to date
  QString answer;                            // first line of the greedy answer; empty: no question
  double elapsed = 0;                        // wall clock of the whole run, measuring and answer included
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
  void setLogits(int id, const LogitCloseness& logits);
  void setMetrics(int id, int layer, const MaskMetrics& metrics);
  void remove(int id);
  // Comma-separated table of all runs and every measure, one line each, RFC 4180.
  [[nodiscard]] QString csv() const;

 Q_SIGNALS:
  void aboutToAdd(int index);
  void added(int index);
  void aboutToRemove(int index);
  void removed(int index);
  void changed(int index);
  void pinnedChanged();

 private:
  void change(int index);

  std::vector<Run> m_runs;
  int m_nextId = 1;
};

}  // namespace dhsa
