#include <QAction>
#include <QActionGroup>
#include <QApplication>
#include <QClipboard>
#include <QDockWidget>
#include <QFileDialog>
#include <QFileInfo>
#include <QMenu>
#include <QMenuBar>
#include <QMessageBox>
#include <QMimeData>
#include <QSettings>
#include <QUndoStack>
#include <cstring>

#include "ui/models/format.h"
#include "ui/models/layer_model.h"
#include "ui/state/commands.h"
#include "ui/views/export_dialog.h"
#include "ui/views/generation_dialog.h"
#include "ui/views/go_to_dialog.h"
#include "ui/views/loss_panel.h"
#include "ui/views/main_window.h"
#include "ui/views/matrix_panel.h"
#include "ui/views/message_bar.h"
#include "ui/views/metrics_panel.h"
#include "ui/views/model_dialog.h"
#include "ui/views/reading_dialog.h"
#include "ui/views/shortcuts_dialog.h"
#include "ui/views/text_panel.h"

namespace dhsa {
namespace {

constexpr int kRecent = 8;

QString folderOf(const QString& path) { return path.isEmpty() ? QString() : QFileInfo(path).absolutePath(); }

QWidget* firstToFocus(QWidget* content) {
  if (content->focusProxy()) return content->focusProxy();
  QWidget* each = content;
  do {
    const bool takes = (each->focusPolicy() & Qt::TabFocus) != 0 && each->isEnabled();
    if (takes && (each == content || (content->isAncestorOf(each) && each->isVisibleTo(content)))) return each;
    each = each->nextInFocusChain();
  } while (each != content);
  return content;  // nothing in it takes the keyboard, as while nothing can be cancelled
}

}  // namespace

void MainWindow::connectAction(const char* id, void (MainWindow::*slot)()) {
  connect(m_actions.at(id), &QAction::triggered, this, [this, slot] { (this->*slot)(); });
}

void MainWindow::makeActions() {
  for (const CommandInfo& command : commandTable()) {
    QAction* made = nullptr;
    if (std::strncmp(command.id, "panel.", 6) == 0) {
      const auto found = m_docks.find(command.id + 6);
      if (found == m_docks.end()) continue;
      // A hidden panel comes forward; one that is hidden behind another tab does too.
      made = new QAction(this);
      made->setCheckable(true);
      QDockWidget* panel = found->second;
      connect(made, &QAction::triggered, this, [this, panel, made] {
        dockToggled(panel);
        made->setChecked(panel->isVisible());
      });
      connect(panel, &QDockWidget::visibilityChanged, made, &QAction::setChecked);
    } else {
      made = new QAction(this);
    }
    made->setObjectName(QString::fromLatin1(command.id));
    made->setText(commandText(command));
    made->setShortcut(commandShortcut(command));
    made->setStatusTip(commandHelp(command));
    addAction(made);
    m_actions[command.id] = made;
  }

  connectAction("file.open-text", &MainWindow::chooseText);
  connectAction("file.paste", &MainWindow::pasteText);
  connectAction("file.open-sample", &MainWindow::openSample);
  connectAction("file.open-model", &MainWindow::chooseModel);
  connectAction("file.open-gguf", &MainWindow::chooseGguf);
  connectAction("file.open-demo", &MainWindow::openDemo);
  connect(action("file.model"), &QAction::triggered, this, [this] {
    auto* dialog = new ModelDialog(m_explorer->session(), this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
  });
  connect(action("file.reading"), &QAction::triggered, this, [this] {
    auto* dialog = new ReadingDialog(m_explorer->session(), m_explorer->parameters()->undoStack(), this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
  });
  connectAction("file.open-session", &MainWindow::chooseSession);
  connectAction("file.save-session", &MainWindow::saveSessionNow);
  connectAction("file.save-session-as", &MainWindow::saveSessionAs);
  connect(action("file.export-figure"), &QAction::triggered, this, &MainWindow::exportFigure);
  connectAction("file.export-tokens", &MainWindow::exportTokens);
  connect(action("file.quit"), &QAction::triggered, this, &QWidget::close);

  QUndoStack* undo = m_explorer->parameters()->undoStack();
  const auto wireUndo = [this](const char* id, auto can, auto text, auto slot, QUndoStack* stack) {
    QAction* made = action(id);
    made->setEnabled(false);
    connect(stack, can, made, &QAction::setEnabled);
    connect(stack, text, made, [made, base = made->text()](const QString& what) {
      made->setText(what.isEmpty() ? base : tr("%1 “%2”").arg(base, what));
    });
    connect(made, &QAction::triggered, stack, slot);
  };
  wireUndo("edit.undo", &QUndoStack::canUndoChanged, &QUndoStack::undoTextChanged, &QUndoStack::undo, undo);
  wireUndo("edit.redo", &QUndoStack::canRedoChanged, &QUndoStack::redoTextChanged, &QUndoStack::redo, undo);
  action("edit.redo")->setShortcuts({commandShortcut(commandInfo("edit.redo")), QKeySequence(Qt::CTRL | Qt::Key_Y)});
  connect(action("edit.reset"), &QAction::triggered, m_explorer->parameters(), &ParameterSet::resetAll);
  connectAction("edit.copy-metrics", &MainWindow::copyMetrics);
  connectAction("edit.copy-mask", &MainWindow::copyRanges);
  connect(action("edit.find"), &QAction::triggered, this, [this] {
    dock(QStringLiteral("text"))->show();
    dock(QStringLiteral("text"))->raise();
    m_text->openFind();
  });
  connect(action("edit.find-next"), &QAction::triggered, m_text, &TextPanel::findNext);
  connect(action("edit.find-previous"), &QAction::triggered, m_text, &TextPanel::findPrevious);

  connect(action("run.start"), &QAction::triggered, m_explorer->history(), &RunHistory::run);
  connect(action("run.compare"), &QAction::triggered, m_explorer->history(), &RunHistory::compareWithDense);
  connect(action("run.generate"), &QAction::triggered, this, [this] {
    if (auto* open = findChild<GenerationDialog*>()) {
      open->raise();
      open->activateWindow();
      return;
    }
    auto* dialog = new GenerationDialog(m_explorer->generation(), this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
  });
  connect(action("run.cancel"), &QAction::triggered, m_explorer, &Explorer::cancel);
  connectAction("run.pin", &MainWindow::pinLastRun);
  action("run.compare-after")->setCheckable(true);
  connect(action("run.compare-after"), &QAction::toggled, m_explorer->history(), &RunHistory::setCompareAfterRun);

  ViewState* view = m_explorer->view();
  const auto step = [this, view](const char* id, int layers, int heads) {
    connect(action(id), &QAction::triggered, this, [this, view, layers, heads] {
      view->setLayer(std::clamp(view->layer() + layers, 0, std::max(0, m_explorer->whatIf()->layers() - 1)));
      view->setHead(std::clamp(view->head() + heads, 0, std::max(0, m_explorer->session()->heads() - 1)));
    });
  };
  step("view.next-layer", 1, 0);
  step("view.previous-layer", -1, 0);
  step("view.next-head", 0, 1);
  step("view.previous-head", 0, -1);
  connect(action("view.show-all"), &QAction::triggered, this, [this] { m_matrix->matrix()->fitView(); });
  connect(action("view.clear-selection"), &QAction::triggered, this, [view] {
    view->selectRow(-1);
    view->selectKeys(0, 0);
  });
  connect(action("go.to"), &QAction::triggered, this, [this] {
    auto* dialog = new GoToDialog(m_explorer, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->open();
  });
  connect(action("go.next-row"), &QAction::triggered, m_losses, [this] { m_losses->goToRow(1); });
  connect(action("go.previous-row"), &QAction::triggered, m_losses, [this] { m_losses->goToRow(-1); });
  connect(action("go.next-head"), &QAction::triggered, m_losses, &LossPanel::goToNextHead);
  connect(action("go.next-token"), &QAction::triggered, m_losses, &LossPanel::goToNextToken);
  connectAction("view.restore-layout", &MainWindow::restoreDefaultLayout);

  m_themes = new QActionGroup(this);
  int theme = 0;
  for (const char* id : {"theme.system", "theme.light", "theme.dark"}) {
    action(id)->setCheckable(true);
    m_themes->addAction(action(id));
    connect(action(id), &QAction::triggered, this, [this, theme] { setTheme(static_cast<Theme>(theme)); });
    ++theme;
  }
  // "?" as well as F1.
  action("help.shortcuts")
      ->setShortcuts({commandShortcut(commandInfo("help.shortcuts")), QKeySequence(Qt::Key_Question)});
  connectAction("help.shortcuts", &MainWindow::showShortcuts);
  connectAction("help.about", &MainWindow::showAbout);
}

ExportDialog* MainWindow::exportFigure() {
  auto* dialog = new ExportDialog(m_explorer, this);
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->show();
  return dialog;
}

void MainWindow::makeMenus() {
  QMenu* menu = nullptr;
  QString group;
  for (const CommandInfo& command : commandTable()) {
    const auto found = m_actions.find(command.id);
    if (found == m_actions.end()) continue;
    if (const QString name = commandGroup(command); name != group) {
      group = name;
      menu = menuBar()->addMenu(name);
      menu->setToolTipsVisible(true);
    }
    // Separators before the first of a set of commands that belong together.
    for (const char* first : {"file.open-model", "file.open-session", "file.quit", "edit.reset", "edit.copy-metrics",
                              "edit.find", "run.cancel", "run.pin", "panel.chunks", "view.show-all", "theme.system",
                              "go.next-row", "view.restore-layout", "help.about"}) {
      if (std::strcmp(command.id, first) == 0) menu->addSeparator();
    }
    menu->addAction(found->second);
    if (std::strcmp(command.id, "file.paste") == 0) {
      m_recent = menu->addMenu(tr("Open &recent"));
    }
  }
}

// Comes forward and takes the keyboard; goes if it had it already.
void MainWindow::dockToggled(QDockWidget* panel) {
  const QWidget* keyboard = panel->isFloating() ? QApplication::focusWidget() : focusWidget();
  if (panel->isVisible() && panel->isAncestorOf(keyboard)) {
    panel->hide();
    return;
  }
  panel->show();
  panel->raise();
  firstToFocus(panel->widget())->setFocus(Qt::ShortcutFocusReason);
}

void MainWindow::updateActions() {
  Engine* engine = m_explorer->engine();
  const bool busy = engine->isBusy(JobKind::kPrefill) || engine->isBusy(JobKind::kCompare) ||
                    engine->isBusy(JobKind::kGenerate) || engine->isBusy(JobKind::kLoadModel) ||
                    engine->isBusy(JobKind::kLoadDocument) || engine->isBusy(JobKind::kNeedle) ||
                    engine->isBusy(JobKind::kSweep) || engine->isBusy(JobKind::kSuite) ||
                    engine->isBusy(JobKind::kLongBench) || engine->isBusy(JobKind::kMultiples);
  action("run.cancel")->setEnabled(busy);
  const bool open = m_explorer->session()->document() != nullptr;
  action("run.generate")->setEnabled(open);
  action("file.export-tokens")->setEnabled(open);
  action("run.compare")->setEnabled(m_explorer->history()->current() != nullptr);
  action("go.to")->setEnabled(open);
  action("run.pin")->setEnabled(m_explorer->history()->current() != nullptr);
}

void MainWindow::chooseText() {
  const QString last = QSettings().value(QStringLiteral("recentTexts")).toStringList().value(0);
  const QString path =
      QFileDialog::getOpenFileName(this, tr("Open text"), folderOf(last),
                                   tr("Text (*.txt *.md *.rst *.tex *.csv *.json *.py *.cpp *.h);;All files (*)"));
  if (!path.isEmpty()) openText(path);
}

void MainWindow::chooseModel() {
  const QString last = QSettings().value(QStringLiteral("recentModels")).toStringList().value(0);
  const QString folder = QFileDialog::getExistingDirectory(this, tr("Open model folder"), folderOf(last));
  if (!folder.isEmpty()) openModelFolder(folder);
}

void MainWindow::chooseGguf() {
  const QString last = QSettings().value(QStringLiteral("recentModels")).toStringList().value(0);
  const QString file = QFileDialog::getOpenFileName(this, tr("Open GGUF model"), folderOf(last),
                                                    tr("GGUF models (*.gguf);;All files (*)"));
  if (!file.isEmpty()) openModelFolder(file);
}

void MainWindow::pasteText() {
  const QMimeData* mime = QApplication::clipboard()->mimeData();
  if (!mime || !mime->hasText() || mime->text().trimmed().isEmpty()) {
    m_messages->showError(tr("There is no text on the clipboard; copy some first."));
    return;
  }
  DocumentRequest request;
  request.text = mime->text().toUtf8();
  m_explorer->session()->openDocument(request);
}

void MainWindow::openSample() { m_explorer->session()->openDocument({}); }
void MainWindow::openDemo() { m_explorer->session()->openModel({}); }

void MainWindow::chooseSession() {
  const QString path = QFileDialog::getOpenFileName(this, tr("Open session"), folderOf(m_sessionPath),
                                                    tr("Sessions (*.dhsa-session);;All files (*)"));
  if (!path.isEmpty()) openSession(path);
}

void MainWindow::saveSessionNow() {
  if (m_sessionPath.isEmpty()) {
    saveSessionAs();
  } else {
    saveSession(m_sessionPath);
  }
}

void MainWindow::saveSessionAs() {
  QString path = QFileDialog::getSaveFileName(this, tr("Save session"), m_sessionPath, tr("Sessions (*.dhsa-session)"));
  if (path.isEmpty()) return;
  if (QFileInfo(path).suffix().isEmpty()) path += QStringLiteral(".dhsa-session");
  saveSession(path);
}

void MainWindow::exportTokens() {
  QString path = QFileDialog::getSaveFileName(this, tr("Export tokens"), QStringLiteral("tokens.csv"),
                                              tr("CSV (*.csv);;JSON (*.json)"));
  if (path.isEmpty()) return;
  if (QFileInfo(path).suffix().isEmpty()) path += QStringLiteral(".csv");
  saveTokens(path);
}

void MainWindow::saveTokens(const QString& path) {
  try {
    m_explorer->session()->exportTokens(path);
    m_messages->showNews(tr("Tokens written to %1.").arg(path));
  } catch (const Error& error) {
    m_messages->showError(QString::fromStdString(error.what()));
  }
}

void MainWindow::copyMetrics() {
  QApplication::clipboard()->setText(LayerModel(m_explorer).tabSeparated());
  m_messages->showNews(tr("Metrics of all layers copied as tab-separated text."));
}

void MainWindow::copyRanges() {
  const auto layer = m_explorer->whatIf()->layerInView();
  const qint64 row = m_explorer->view()->row();
  if (!layer || !layer->plan || row < 0 || row >= layer->plan->mask.rows()) {
    m_messages->showError(tr("Select a row first: click a token in the text or a row of the matrix."));
    return;
  }
  const KeyMask& mask = layer->plan->mask;
  std::vector<KeyRange> ranges;
  mask.row_ranges(mask.mask_head(m_explorer->view()->head(), m_explorer->session()->heads()), row, ranges);
  QString text = QStringLiteral("begin\tend\n");
  for (const KeyRange& range : ranges) text += QStringLiteral("%1\t%2\n").arg(range.begin).arg(range.end);
  QApplication::clipboard()->setText(text);
  m_messages->showNews(tr("%1 of row %2 copied; end is one past the last key.")
                           .arg(counted(static_cast<qint64>(ranges.size()), "range", "ranges"), formatCount(row)));
}

void MainWindow::pinLastRun() {
  const Run* run = m_explorer->history()->current();
  if (run) m_explorer->history()->runs()->setPinned(run->id, true);
}

void MainWindow::showShortcuts() {
  if (auto* open = findChild<ShortcutsDialog*>()) {
    open->raise();
    open->activateWindow();
    return;
  }
  auto* dialog = new ShortcutsDialog(this);
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->show();
}

void MainWindow::showAbout() {
  auto* about =
      new QMessageBox(QMessageBox::NoIcon, tr("About DHSA Explorer"),
                      tr("<h3>DHSA Explorer %1</h3><p>Gemma 2 prefill with Dynamic Hierarchical Sparse Attention "
                         "(arXiv 2510.24606), and a look at where attention is kept and lost.</p>"
                         "<p>Apache License 2.0</p>")
                          .arg(QApplication::applicationVersion()),
                      QMessageBox::Close, this);
  about->setIconPixmap(windowIcon().pixmap(64, 64));
  about->setAttribute(Qt::WA_DeleteOnClose);
  about->setModal(false);
  about->show();
}

void MainWindow::remember(const char* list, const QString& path) {
  QSettings settings;
  const QString key = QString::fromLatin1(list);
  QStringList paths = settings.value(key).toStringList();
  paths.removeAll(path);
  paths.prepend(path);
  settings.setValue(key, paths.mid(0, kRecent));
  fillRecent();
}

void MainWindow::fillRecent() {
  m_recent->clear();
  QSettings settings;
  const auto section = [&](const char* list, const QString& title, auto open) {
    const QStringList paths = settings.value(QString::fromLatin1(list)).toStringList();
    if (paths.isEmpty()) return;
    m_recent->addSection(title);
    for (const QString& path : paths) {
      QAction* entry = m_recent->addAction(QFileInfo(path).fileName().replace(u'&', QStringLiteral("&&")));
      entry->setToolTip(path);
      connect(entry, &QAction::triggered, this, [this, path, open] { (this->*open)(path); });
    }
  };
  section("recentTexts", tr("Texts"), &MainWindow::openText);
  section("recentModels", tr("Models"), &MainWindow::openModelFolder);
  section("recentSessions", tr("Sessions"), &MainWindow::openPath);
  m_recent->setToolTipsVisible(true);
  m_recent->setEnabled(!m_recent->isEmpty());
}

}  // namespace dhsa
