// Scored results to browse: tasks by methods, below them the samples of the chosen line, and what was said to one.
#pragma once

#include <QSortFilterProxyModel>
#include <QWidget>

#include "ui/models/score_models.h"

class QComboBox;
class QLabel;
class QTableView;

namespace dhsa {

class ScoresView : public QWidget {
  Q_OBJECT

 public:
  explicit ScoresView(ScoredResults* results, QWidget* parent = nullptr);

  [[nodiscard]] QComboBox* method() const noexcept { return m_method; }
  [[nodiscard]] QComboBox* filter() const noexcept { return m_filter; }
  void showResults();                        // they have changed; the chosen line and sample stay chosen
  void setProblem(const QString& sentence);  // why the test cannot begin; empty: it can

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;  // Enter opens a sample

 private:
  [[nodiscard]] QTableView* table(const char* name, const QString& title, QSortFilterProxyModel* model);
  void showSamples();
  void showDetails();
  void open();
  [[nodiscard]] int line() const;    // in ScoredResults::lines(); -1: none
  [[nodiscard]] int sample() const;  // in its samples; -1: none

  ScoredResults* m_results;
  ScoreLineModel m_lines;
  SampleModel m_samples;
  SortedScoreLines m_sortedLines;
  QSortFilterProxyModel m_sortedSamples;
  QComboBox* m_method;
  QComboBox* m_filter;
  QTableView* m_lineTable;
  QTableView* m_sampleTable;
  QLabel* m_details;
  QString m_problem;
};

}  // namespace dhsa
