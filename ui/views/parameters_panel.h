// One control per parameter, made from parameter_table(): slider and spin box coupled, combo boxes, check boxes, each
// with its reset button and a tooltip of what it does, its unit, range and default. Those that the present values leave
// unread are hidden.
#pragma once

#include <QWidget>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/sparsity/parameters.h"

class QComboBox;
class QGridLayout;
class QLabel;
class QPushButton;
class QScrollArea;
class QSlider;
class QToolButton;

namespace dhsa {

class ParameterSet;

class ParametersPanel : public QWidget {
  Q_OBJECT

 public:
  explicit ParametersPanel(ParameterSet* parameters, QWidget* parent = nullptr);

  // Length of the document: sliders over keys end there.
  void setTokens(qint64 tokens);
  void setModelFolder(const QString& folder);               // whose predictor decides what is read
  [[nodiscard]] QWidget* editor(const QString& key) const;  // spin box, combo box or check box
  [[nodiscard]] QWidget* slider(const QString& key) const;  // null for parameters without one

 public Q_SLOTS:
  void setWhatIf(bool whatIf);  // what is shown was recomputed from an earlier run
  void setRunning(bool running);

 Q_SIGNALS:
  void runRequested();
  void cancelRequested();

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void inkIcons();
  struct Control {
    const Option<SparsityParameters>* info = nullptr;
    std::vector<QWidget*> widgets;  // all of the row
    QWidget* editor = nullptr;
    QSlider* slider = nullptr;
    QToolButton* reset = nullptr;
    double high = 0;  // end of the slider
  };
  void build();
  void addRow(QGridLayout* grid, int row, const Option<SparsityParameters>& info);
  void refresh();

  ParameterSet* m_parameters;
  QComboBox* m_preset;
  QScrollArea* m_scroll;
  QLabel* m_problem;
  QPushButton* m_run;
  std::map<std::string, Control> m_controls;
  std::map<std::string, QWidget*> m_headings;
  qint64 m_tokens = 8192;
  std::filesystem::path m_modelFolder;
  bool m_running = false;
  bool m_refreshing = false;
};

}  // namespace dhsa
