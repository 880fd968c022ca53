// The frame of the needle test's and the sweep's panel: settings with Start at the left, results and their file at the
// right, progress below.
#pragma once

#include <QWidget>
#include <functional>
#include <vector>

#include "core/text/haystack.h"

class QComboBox;
class QFormLayout;
class QHBoxLayout;
class QLabel;
class QLineEdit;
class QListView;
class QMenu;
class QProgressBar;
class QPushButton;
class QScrollArea;
class QSplitter;
class QToolButton;
class QVBoxLayout;

namespace dhsa {

class Experiment;
class MethodList;

class ExperimentFrame : public QWidget {
  Q_OBJECT

 public:
  explicit ExperimentFrame(Experiment* experiment, QWidget* parent = nullptr);

  // A row of the settings; caption with its mnemonic, unit and default in the tip.
  void addRow(const QString& caption, QWidget* control, const QString& name, const QString& tip);
  void addMethods(bool haystack = true);  // the list of methods, and after it the haystack
  void addTool(QWidget* tool);            // above the results
  void setContent(QWidget* content);      // the results; what Copy takes a picture of
  void addBelow(QWidget* widget);         // under the results
  void setPlan(const QString& problem, const QString& plan, bool goesOn);  // what Start would do, or why it cannot

  [[nodiscard]] MethodList* methods() const noexcept { return m_methods; }
  [[nodiscard]] const Haystack& haystack() const noexcept { return m_haystack; }
  void setHaystack(const Haystack& haystack);
  bool readHaystack(const QString& path);  // false, after Explorer::message(), where that fails
  void copy();

 Q_SIGNALS:
  void startRequested();
  void haystackChanged();
  void figureWanted(const QString& path);  // of the results in that file
  // For the message bar: something to do that would lose results.
  void question(const QString& sentence, const QString& action, std::function<void()> act);

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void makeFileMenu();
  [[nodiscard]] QString askPath(const QString& title, const QString& ending, const QString& filter);
  bool saveAs();  // false where nothing was chosen or written
  void startOrCancel();
  void refresh();
  void refreshProblem();

  Experiment* m_experiment;
  MethodList* m_methods;
  QFormLayout* m_form;
  QSplitter* m_split;
  QWidget* m_settings;
  QScrollArea* m_scroll = nullptr;
  QLabel* m_plan;
  QPushButton* m_start;
  QHBoxLayout* m_tools;
  QHBoxLayout* m_pickers;
  QToolButton* m_file;
  QVBoxLayout* m_results;
  QWidget* m_content = nullptr;
  QProgressBar* m_progress;
  QLabel* m_step;
  QComboBox* m_haystackChoice = nullptr;
  std::vector<QAction*> m_needResults;
  QAction* m_open = nullptr;
  Haystack m_haystack;
  QString m_problem;
  QString m_what;
  bool m_goesOn = false;
};

// "512, 1K 2048" as ascending numbers, each once. Empty, with a sentence in `problem`, where it is none.
[[nodiscard]] std::vector<double> parseNumbers(const QString& text, QString* problem);
[[nodiscard]] QString numbersText(const std::vector<double>& numbers);

}  // namespace dhsa
