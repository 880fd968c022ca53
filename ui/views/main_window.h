// The window: docks, menus, status line, message bar; opening, dropping, sessions. All state is in Explorer.
#pragma once

#include <QMainWindow>
#include <QStringList>
#include <map>
#include <string>

#include "ui/state/explorer.h"
#include "ui/state/session_file.h"
#include "ui/views/theme.h"

class QActionGroup;
class QLabel;
class QProgressBar;
class QToolButton;

namespace dhsa {

class Experiment;
class ExportDialog;
class ImportancePanel;
class LossPanel;
class MatrixPanel;
class MessageBar;
class MultiplesPanel;
class LongBenchTest;
class NeedleTest;
class ParametersPanel;
class RunsPanel;
class SuiteTest;
class SweepRun;
class TextPanel;

struct StartOptions {
  QString text;        // file; empty: the sample
  QString model;       // folder; empty: the embedded model
  QString session;     // file; empty: none
  bool fresh = false;  // forget window layout and settings of earlier starts
};

class MainWindow : public QMainWindow {
  Q_OBJECT

 public:
  explicit MainWindow(const StartOptions& options = {}, QWidget* parent = nullptr);
  ~MainWindow() override;

  void start();  // loads model and text as the options say
  [[nodiscard]] Explorer* explorer() const noexcept { return m_explorer; }
  [[nodiscard]] MessageBar* messageBar() const noexcept { return m_messages; }
  [[nodiscard]] NeedleTest* needleTest() const noexcept { return m_needle; }
  [[nodiscard]] SuiteTest* suiteTest() const noexcept { return m_suite; }
  [[nodiscard]] LongBenchTest* longBenchTest() const noexcept { return m_longBench; }
  [[nodiscard]] SweepRun* sweep() const noexcept { return m_sweep; }
  [[nodiscard]] QAction* action(const char* id) const;
  [[nodiscard]] QDockWidget* dock(const QString& name) const;

  void openPath(const QString& path);  // text, session or model folder, by what it is
  void openText(const QString& path);
  void openModelFolder(const QString& folder);
  bool saveSession(const QString& path);
  void saveTokens(const QString& path);
  bool openSession(const QString& path);
  void setTheme(Theme theme);

 public Q_SLOTS:
  void restoreDefaultLayout();

 protected:
  void closeEvent(QCloseEvent* event) override;
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;
  void showEvent(QShowEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void makeDocks();
  void makeExperiments();
  void makeActions();
  void makeMenus();
  void makeStatusBar();
  void wire();
  QDockWidget* addPanel(const char* id, const QString& title, QWidget* content);
  void connectAction(const char* id, void (MainWindow::*slot)());

  void chooseText();
  void chooseModel();
  void chooseGguf();
  void pasteText();
  void openSample();
  void openDemo();
  void chooseSession();
  void saveSessionNow();
  void saveSessionAs();
  void exportTokens();
  void copyMetrics();
  void copyRanges();
  void pinLastRun();
  void showShortcuts();
  void showAbout();
  ExportDialog* exportFigure();
  void restoreWindow(const QByteArray& geometry, const QByteArray& state);
  void fitScreen();
  [[nodiscard]] QList<QPair<Experiment*, QString>> unsavedResults() const;  // with their names
  bool saveResults();                                                       // false: not all of them
  void apply(const SessionFile& session);  // selection, zoom and parameters, once its document is there
  void remember(const char* list, const QString& path);
  void fillRecent();
  void updateTitle();
  void updateStatus();
  void updateActions();
  void dockToggled(QDockWidget* dock);
  void logFirstPicture();

  StartOptions m_options;
  Explorer* m_explorer;
  MessageBar* m_messages;
  NeedleTest* m_needle;
  SweepRun* m_sweep;
  SuiteTest* m_suite;
  LongBenchTest* m_longBench;
  TextPanel* m_text = nullptr;
  MatrixPanel* m_matrix = nullptr;
  MultiplesPanel* m_multiples = nullptr;
  ImportancePanel* m_importance = nullptr;
  ParametersPanel* m_parameters = nullptr;
  RunsPanel* m_runs = nullptr;
  LossPanel* m_losses = nullptr;
  std::map<std::string, QAction*> m_actions;
  std::map<std::string, QDockWidget*> m_docks;
  QActionGroup* m_themes = nullptr;
  QMenu* m_recent = nullptr;
  QLabel* m_cell = nullptr;
  QLabel* m_reducer = nullptr;
  QLabel* m_memory = nullptr;
  QProgressBar* m_busy = nullptr;
  QTimer m_statusTimer;
  QString m_sessionPath;
  nlohmann::json m_sessionFile = nlohmann::json::object();  // keys of the loaded session that are not ours
  std::unique_ptr<SparsityParameters> m_whatIfAfterRun;
  QRectF m_zoomAfterLayer;
  QByteArray m_stateAfterResize;  // of the docks, once the window has the size they were saved at
  bool m_layoutRestored = false;
  bool m_closeAnyway = false;  // results may be lost
};

}  // namespace dhsa
