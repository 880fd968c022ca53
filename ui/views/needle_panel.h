// Needle test: what to hide where, found and lost numbers cell by cell, and the way to the prompt behind a cell.
#pragma once

#include <QWidget>

#include "core/experiments/needle.h"

class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;

namespace dhsa {

class ExperimentFrame;
class NeedleMap;
class NeedleTest;

class NeedlePanel : public QWidget {
  Q_OBJECT

 public:
  explicit NeedlePanel(NeedleTest* test, QWidget* parent = nullptr);

  [[nodiscard]] ExperimentFrame* frame() const noexcept { return m_frame; }
  [[nodiscard]] NeedleMap* map() const noexcept { return m_map; }
  [[nodiscard]] NeedleSettings settings() const;
  [[nodiscard]] std::vector<MethodChoice> methods() const;  // budget applied
  void setSettings(const NeedleSettings& settings);

 Q_SIGNALS:
  void statusText(const QString& text);

 private:
  void makeSettings();
  void makeTools();
  void makeDetails();
  void start();
  void plan();
  void takeResults();  // other results: methods to look at, grid, all cells
  void showScores();
  void showCell(int number);
  void showDetails();
  void openPrompt();
  [[nodiscard]] const Measure& measure() const;  // that the maps show
  [[nodiscard]] bool isShare() const;            // it is drawn from 0 to 100 %
  [[nodiscard]] double value(const NeedleCell& cell, std::size_t method) const;
  [[nodiscard]] std::size_t methodOf(bool right) const;
  [[nodiscard]] QString scoreText(double value) const;
  [[nodiscard]] const NeedleCell* cellAt(int length, int depth) const;  // null if not begun

  NeedleTest* m_test;
  ExperimentFrame* m_frame;
  NeedleMap* m_map;
  QComboBox* m_task;
  QComboBox* m_mode;
  QLineEdit* m_lengths;
  QSpinBox* m_depths;
  QSpinBox* m_prompts;
  QSpinBox* m_needles;
  QSpinBox* m_digits;
  QSpinBox* m_seed;
  QComboBox* m_budgetKind;
  QDoubleSpinBox* m_budget;
  QString m_problem;  // with the texts of the form itself

  QComboBox* m_score;
  QComboBox* m_left;
  QComboBox* m_right;

  QLabel* m_details;
  QSpinBox* m_prompt;
  QPushButton* m_open;
};

}  // namespace dhsa
