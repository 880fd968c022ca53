// RULER's tasks and LongBench: what to ask, tables of scores, samples to read and to open.
#pragma once

#include <QWidget>

#include "ui/state/longbench_test.h"
#include "ui/state/suite_test.h"
#include "ui/views/option_rows.h"

namespace dhsa {

class ScoresView;

class SuitePanel : public QWidget {
  Q_OBJECT

 public:
  explicit SuitePanel(SuiteTest* test, QWidget* parent = nullptr);
  [[nodiscard]] ExperimentFrame* frame() const noexcept { return m_frame; }
  [[nodiscard]] SuiteSettings settings();
  void setSettings(const SuiteSettings& settings);

 private:
  void plan();
  void takeResults();

  SuiteTest* m_test;
  ExperimentFrame* m_frame;
  ScoresView* m_scores;
  OptionRows<SuiteSettings> m_options;
  QLineEdit* m_lengths;
  QString m_problem;  // with the text of the form itself
};

class LongBenchPanel : public QWidget {
  Q_OBJECT

 public:
  explicit LongBenchPanel(LongBenchTest* test, QWidget* parent = nullptr);
  [[nodiscard]] ExperimentFrame* frame() const noexcept { return m_frame; }
  [[nodiscard]] LongBenchRequest request() const;

 private:
  void plan();
  void takeResults();
  [[nodiscard]] bool goesOn() const;  // Start would add to the answers shown
  QLineEdit* addFolder(const QString& caption, const QString& name, const QString& tip);

  LongBenchTest* m_test;
  ExperimentFrame* m_frame;
  ScoresView* m_scores;
  QLineEdit* m_data;
  QLineEdit* m_results;
  QLineEdit* m_tasks;
  QComboBox* m_preset;
  QComboBox* m_mode;
  QComboBox* m_set;
  QSpinBox* m_maxLength;
  QSpinBox* m_limit;
};

}  // namespace dhsa
