// Sweeps: what varies over which values, for which methods; the curves of what comes out.
#pragma once

#include <QWidget>
#include <optional>
#include <vector>

#include "core/experiments/sweep.h"
#include "ui/models/sweep_curves.h"

class QCheckBox;
class QComboBox;
class QLineEdit;
class QSpinBox;

namespace dhsa {

class ExperimentFrame;
class SweepPlot;
class SweepRun;

class SweepPanel : public QWidget {
  Q_OBJECT

 public:
  explicit SweepPanel(SweepRun* sweep, QWidget* parent = nullptr);

  [[nodiscard]] ExperimentFrame* frame() const noexcept { return m_frame; }
  [[nodiscard]] SweepPlot* plot() const noexcept { return m_plot; }
  [[nodiscard]] SweepSettings settings() const;
  void setSettings(const SweepSettings& settings);

 public Q_SLOTS:
  // Settings and measures for a question often asked; see the combo box "Question".
  void chooseQuestion(int question);

 Q_SIGNALS:
  void statusText(const QString& text);

 private:
  void makeSettings();
  void makeTools();
  void chooseVaried();
  void plan();
  void takeResults();
  void showCurves();
  [[nodiscard]] QString problemOfForm() const;

  SweepRun* m_sweep;
  ExperimentFrame* m_frame;
  SweepPlot* m_plot;
  QComboBox* m_question;
  QComboBox* m_vary;
  QLineEdit* m_values;
  QLineEdit* m_lengths;
  QSpinBox* m_samples;
  QSpinBox* m_repeats;
  QComboBox* m_measured;
  QSpinBox* m_seed;
  QComboBox* m_upper;
  QComboBox* m_lower;
  QComboBox* m_against;
  QCheckBox* m_logX;
  QCheckBox* m_logY;
  std::optional<SweepSettings> m_opened;  // of results that the form cannot express, while it stands for them
  std::vector<SweepDimension> m_dimensions;
  QString m_varied;  // key of m_vary that the form was last filled for
  bool m_filling = false;
};

}  // namespace dhsa
