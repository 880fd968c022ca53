// Finished runs: pin, compare, rename, delete, export; time and memory against length.
#pragma once

#include <QWidget>

class QCustomPlot;
class QTableView;
class QToolButton;

namespace dhsa {

class Explorer;
class RunModel;

class RunsPanel : public QWidget {
  Q_OBJECT

 public:
  explicit RunsPanel(Explorer* explorer, QWidget* parent = nullptr);
  // Writes the table; false, after message(), where that fails.
  bool exportCsv(const QString& path);

 Q_SIGNALS:
  void message(const QString& sentence, bool failed);

 protected:
  void changeEvent(QEvent* event) override;

 private:
  [[nodiscard]] int selectedRun() const;  // id; 0: none
  void updateButtons();
  void updateChart();

  Explorer* m_explorer;
  RunModel* m_model;
  QTableView* m_table;
  QCustomPlot* m_plot;
  QToolButton* m_pin;
  QToolButton* m_compare;
  QToolButton* m_restore;
  QToolButton* m_rename;
  QToolButton* m_delete;
  QToolButton* m_export;
};

}  // namespace dhsa
