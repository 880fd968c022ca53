// LongBench in the window: its folder of results run, gone on with and read.
#pragma once

#include "core/experiments/longbench.h"
#include "ui/state/experiment.h"
#include "ui/state/sample_opener.h"
#include "ui/state/scored_results.h"

namespace dhsa {

struct LongBenchRequest {
  QString data;     // folder of the official files; empty: the tiny set that comes with the program
  QString tasks;    // separated by commas; empty: all in the folder
  QString results;  // folder: new, empty, or one to go on with
  LongBenchSettings settings;
};

class LongBenchTest : public Experiment, public ScoredResults {
  Q_OBJECT

 public:
  explicit LongBenchTest(Explorer* explorer);
  [[nodiscard]] SampleOpener* opener() const noexcept { return m_opener; }
  [[nodiscard]] const LongBenchResults& results() const noexcept { return m_results; }

  // What stands against it, as far as it can be told without reading the data; empty if nothing does.
  [[nodiscard]] QString problem(const LongBenchRequest& request, const std::vector<MethodChoice>& methods) const;
  void start(const LongBenchRequest& request, const std::vector<MethodChoice>& methods);
  void setData(const QString& folder) { m_data = folder; }  // where samples of opened results are found

  [[nodiscard]] bool isEmpty() const override { return m_results.methods.empty(); }
  [[nodiscard]] bool isFinished() const override { return !isEmpty() && m_results.finished(); }
  [[nodiscard]] std::string csv() const override { return to_csv(m_results); }
  [[nodiscard]] QString suggestedName() const override;

  [[nodiscard]] QStringList methodTitles() const override;
  [[nodiscard]] int dense() const override;
  [[nodiscard]] std::vector<ScoreLine> lines() const override;
  [[nodiscard]] std::vector<ScoredSample> samples(int line) const override;
  void openSample(int line, int sample, int method) override;

 protected:
  [[nodiscard]] nlohmann::json json() const override { return m_results; }
  void read(const std::string& text, const std::string& where) override;
  [[nodiscard]] QString cancelledSentence() const override;

 private:
  // Of a line of lines(): which task it is, and which of its rows.
  struct LineOf {
    int task = -1;
    int bucket = -1;  // -1: all rows
  };
  [[nodiscard]] std::vector<LineOf> lineTasks() const;
  [[nodiscard]] std::vector<int> rowsOf(const LineOf& line) const;

  LongBenchResults m_results;
  QString m_data;
  SampleOpener* m_opener;
};

}  // namespace dhsa
