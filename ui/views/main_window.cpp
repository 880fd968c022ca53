#include "ui/views/main_window.h"

#include <unistd.h>

#include <QApplication>
#include <QClipboard>
#include <QCloseEvent>
#include <QComboBox>
#include <QDockWidget>
#include <QFile>
#include <QFileDialog>
#include <QFileInfo>
#include <QKeyEvent>
#include <QLabel>
#include <QLoggingCategory>
#include <QMimeData>
#include <QPainter>
#include <QProgressBar>
#include <QSettings>
#include <QStatusBar>
#include <QVBoxLayout>
#include <ctime>
#include <utility>

#include "core/base/memory.h"
#include "ui/models/format.h"
#include "ui/models/layer_model.h"
#include "ui/state/commands.h"
#include "ui/state/longbench_test.h"
#include "ui/state/needle_test.h"
#include "ui/state/suite_test.h"
#include "ui/state/sweep_run.h"
#include "ui/views/benchmark_panels.h"
#include "ui/views/chunk_panel.h"
#include "ui/views/experiment_frame.h"
#include "ui/views/export_dialog.h"
#include "ui/views/importance_panel.h"
#include "ui/views/loss_panel.h"
#include "ui/views/matrix_panel.h"
#include "ui/views/message_bar.h"
#include "ui/views/metrics_panel.h"
#include "ui/views/multiples_panel.h"
#include "ui/views/needle_panel.h"
#include "ui/views/parameters_panel.h"
#include "ui/views/performance_panel.h"
#include "ui/views/runs_panel.h"
#include "ui/views/sweep_panel.h"
#include "ui/views/text_panel.h"
#include "ui/views/text_view.h"
#include "ui/views/tool_tips.h"

namespace dhsa {
namespace {

// Layouts saved by another arrangement of docks are not restored.
constexpr int kLayoutVersion = 4;
constexpr QSize kFrame(16, 48);  // at most, around a window
// A model that takes more than this is loaded only once a person has seen how much.
constexpr qint64 kAskAboveBytes = qint64{1} << 30;

// Start of this process after boot, in clock ticks; negative where the system does not tell.
long long startTicks() {
  QFile stat(QStringLiteral("/proc/self/stat"));
  if (!stat.open(QIODevice::ReadOnly)) return -1;
  const QByteArray text = stat.readAll();
  // The name in brackets may hold blanks; the start is the twentieth field after it.
  const QList<QByteArray> fields = text.mid(text.lastIndexOf(')') + 2).split(' ');
  return fields.size() > 19 ? fields[19].toLongLong() : -1;
}

// One line, with an ellipsis where there is no room for all of it.
class ElidedLabel : public QLabel {
 public:
  using QLabel::QLabel;

 protected:
  void paintEvent(QPaintEvent* /*event*/) override {
    QPainter painter(this);
    painter.drawText(contentsRect(), Qt::AlignLeft | Qt::AlignVCenter,
                     fontMetrics().elidedText(text(), Qt::ElideRight, contentsRect().width()));
  }
};

QString sessionSuffix() { return QStringLiteral("dhsa-session"); }

}  // namespace

MainWindow::MainWindow(const StartOptions& options, QWidget* parent)
    : QMainWindow(parent),
      m_options(options),
      m_explorer(new Explorer(this)),
      m_messages(new MessageBar(this)),
      m_needle(new NeedleTest(m_explorer)),
      m_sweep(new SweepRun(m_explorer)),
      m_suite(new SuiteTest(m_explorer)),
      m_longBench(new LongBenchTest(m_explorer)) {
  setObjectName(QStringLiteral("mainWindow"));
  setAcceptDrops(true);
  setDockOptions(AnimatedDocks | AllowNestedDocks | AllowTabbedDocks);
  setTabPosition(Qt::AllDockWidgetAreas, QTabWidget::North);
  setDocumentMode(true);
  // The frame takes its part of a small screen.
  resize(QSize(1280, 800).boundedTo(screen()->availableSize() - kFrame));
  makeDocks();
  makeActions();
  makeMenus();
  makeStatusBar();
  wire();
  restoreDefaultLayout();

  QSettings settings;
  if (m_options.fresh) settings.clear();
  setTheme(static_cast<Theme>(settings.value(QStringLiteral("theme"), 0).toInt()));
  action("run.compare-after")->setChecked(settings.value(QStringLiteral("compareAfterRun"), true).toBool());
  if (settings.contains(QStringLiteral("geometry"))) {
    restoreGeometry(settings.value(QStringLiteral("geometry")).toByteArray());
    fitScreen();
  }
  m_layoutRestored = restoreState(settings.value(QStringLiteral("state")).toByteArray(), kLayoutVersion);
  qApp->installEventFilter(this);
  qApp->installEventFilter(new ToolTips(this));
  fillRecent();
  updateTitle();
  updateActions();
}

// Panels before the state they show: one that floats is still laid out anew while its own window closes.
MainWindow::~MainWindow() {
  for (const auto& [id, dock] : m_docks) delete dock;
}

QAction* MainWindow::action(const char* id) const { return m_actions.at(id); }

QDockWidget* MainWindow::dock(const QString& name) const {
  const auto found = m_docks.find(name.toStdString());
  return found == m_docks.end() ? nullptr : found->second;
}

QDockWidget* MainWindow::addPanel(const char* id, const QString& title, QWidget* content) {
  auto* dock = new QDockWidget(title, this);
  dock->setObjectName(QString::fromLatin1(id));
  dock->setAccessibleName(title);
  dock->setWidget(content);
  m_docks[id] = dock;
  return dock;
}

void MainWindow::makeDocks() {
  // Docks only: the matrix is one of them.
  setCentralWidget(nullptr);
  setContextMenuPolicy(Qt::NoContextMenu);
  m_text = new TextPanel(m_explorer);
  m_matrix = new MatrixPanel(m_explorer);
  m_multiples = new MultiplesPanel(m_explorer);
  m_importance = new ImportancePanel(m_explorer);
  m_parameters = new ParametersPanel(m_explorer->parameters());
  m_runs = new RunsPanel(m_explorer);
  m_losses = new LossPanel(m_explorer);
  addPanel("text", tr("Text"), m_text);
  addPanel("chunks", tr("Chunks"), new ChunkPanel(m_explorer));
  addPanel("matrix", tr("Matrix"), m_matrix);
  addPanel("multiples", tr("Small multiples"), m_multiples);
  addPanel("importance", tr("Importance"), m_importance);
  addPanel("runs", tr("Runs"), m_runs);
  addPanel("losses", tr("Losses"), m_losses);
  addPanel("parameters", tr("Parameters"), m_parameters);
  addPanel("metrics", tr("Metrics"), new MetricsPanel(m_explorer));
  addPanel("performance", tr("Performance"), new PerformancePanel(m_explorer));
  makeExperiments();
}

void MainWindow::makeExperiments() {
  auto* needle = new NeedlePanel(m_needle);
  auto* sweep = new SweepPanel(m_sweep);
  addPanel("needle", tr("Needle test"), needle);
  auto* suite = new SuitePanel(m_suite);
  auto* longBench = new LongBenchPanel(m_longBench);
  addPanel("sweeps", tr("Sweeps"), sweep);
  addPanel("ruler", tr("RULER"), suite);
  addPanel("longbench", tr("LongBench"), longBench);
  connect(needle, &NeedlePanel::statusText, this, [this](const QString& text) { m_cell->setText(text); });
  connect(sweep, &SweepPanel::statusText, this, [this](const QString& text) { m_cell->setText(text); });
  for (const auto& [frame, figure] : {std::pair{needle->frame(), "needle"}, std::pair{sweep->frame(), "budget"},
                                      std::pair{suite->frame(), "scores"}, std::pair{longBench->frame(), "scores"}}) {
    connect(frame, &ExperimentFrame::question, m_messages,
            [this](const QString& sentence, const QString& action, const std::function<void()>& act) {
              m_messages->ask(sentence, {action, act});
            });
    connect(
        frame, &ExperimentFrame::figureWanted, this,
        [this, kind = QString::fromLatin1(figure)](const QString& path) { exportFigure()->showResults(kind, path); });
  }
  const auto showSample = [this](qint64 token, const QString& evidence) {
    for (const char* id : {"matrix", "text"}) {
      m_docks.at(id)->show();
      m_docks.at(id)->raise();
    }
    m_text->find(evidence);
    if (token >= 0) m_explorer->view()->show(token, -1, token);
  };
  connect(m_needle, &NeedleTest::promptOpened, this, [showSample](qint64 token) { showSample(token, {}); });
  for (SampleOpener* opener : {m_suite->opener(), m_longBench->opener()})
    connect(opener, &SampleOpener::opened, this, showSample);
}

void MainWindow::restoreDefaultLayout() {
  for (auto& [id, dock] : m_docks) {
    dock->setFloating(false);  // one that is no longer the window's would stay afloat
    removeDockWidget(dock);
  }
  const auto at = [this](const char* id) { return m_docks.at(id); };
  addDockWidget(Qt::LeftDockWidgetArea, at("text"));
  splitDockWidget(at("text"), at("matrix"), Qt::Horizontal);
  splitDockWidget(at("matrix"), at("parameters"), Qt::Horizontal);
  splitDockWidget(at("text"), at("performance"), Qt::Vertical);
  splitDockWidget(at("matrix"), at("importance"), Qt::Vertical);
  splitDockWidget(at("parameters"), at("metrics"), Qt::Vertical);
  tabifyDockWidget(at("text"), at("chunks"));
  tabifyDockWidget(at("importance"), at("losses"));
  tabifyDockWidget(at("losses"), at("runs"));
  tabifyDockWidget(at("matrix"), at("multiples"));
  tabifyDockWidget(at("multiples"), at("needle"));
  tabifyDockWidget(at("needle"), at("sweeps"));
  tabifyDockWidget(at("sweeps"), at("ruler"));
  tabifyDockWidget(at("ruler"), at("longbench"));
  for (auto& [id, dock] : m_docks) dock->show();
  for (const char* front : {"text", "matrix", "importance"}) at(front)->raise();
  const int width = std::max(this->width(), 900);
  const int height = std::max(this->height(), 600);
  resizeDocks({at("text"), at("matrix"), at("parameters")}, {width * 21 / 100, width * 54 / 100, width * 25 / 100},
              Qt::Horizontal);
  resizeDocks({at("text"), at("performance")}, {height * 57 / 100, height * 43 / 100}, Qt::Vertical);
  resizeDocks({at("matrix"), at("importance")}, {height * 68 / 100, height * 32 / 100}, Qt::Vertical);
  resizeDocks({at("parameters"), at("metrics")}, {height * 50 / 100, height * 50 / 100}, Qt::Vertical);
}

void MainWindow::showEvent(QShowEvent* event) {
  QMainWindow::showEvent(event);
  // Sizes of docks are only kept from here on; before, nothing is laid out.
  if (!m_layoutRestored) {
    m_layoutRestored = true;
    restoreDefaultLayout();
  }
}

void MainWindow::makeStatusBar() {
  const auto apart = [](QLabel* label) { label->setContentsMargins(8, 0, 8, 0); };
  m_cell = new ElidedLabel(this);
  m_cell->setObjectName(QStringLiteral("cellStatus"));
  m_cell->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  m_cell->setAccessibleName(tr("Cell under the pointer"));
  m_reducer = new QLabel(this);
  m_reducer->setObjectName(QStringLiteral("reducerStatus"));
  m_reducer->setToolTip(tr("What one pixel of the matrix stands for, in queries × keys"));
  m_busy = new QProgressBar(this);
  m_busy->setObjectName(QStringLiteral("busy"));
  m_busy->setAccessibleName(tr("Progress"));
  m_busy->setFixedSize(120, 12);
  m_busy->setTextVisible(false);
  m_busy->hide();
  m_memory = new QLabel(this);
  m_memory->setObjectName(QStringLiteral("memoryStatus"));
  m_memory->setToolTip(tr("Memory of the program now, and free on the machine"));
  apart(m_cell);
  apart(m_reducer);
  apart(m_memory);
  statusBar()->addWidget(m_cell, 1);
  statusBar()->addPermanentWidget(m_busy);
  statusBar()->addPermanentWidget(m_reducer);
  statusBar()->addPermanentWidget(m_memory);
  m_statusTimer.setInterval(1000);
  connect(&m_statusTimer, &QTimer::timeout, this, &MainWindow::updateStatus);
  m_statusTimer.start();
  updateStatus();
}

void MainWindow::updateStatus() {
  m_memory->setText(tr("%1 used · %2 free").arg(formatBytes(resident_bytes()), formatBytes(available_bytes())));
  const RunProgress& progress = m_explorer->history()->progress();
  if (m_matrix) m_reducer->setText(m_matrix->matrix()->reducerText());
  Engine* engine = m_explorer->engine();
  const bool loading = engine->isBusy(JobKind::kLoadModel) || engine->isBusy(JobKind::kLoadDocument);
  m_busy->setVisible(progress.running || loading);
  if (loading && !progress.running) {
    m_busy->setRange(0, 0);
  } else {
    m_busy->setRange(0, 1000);
    m_busy->setValue(static_cast<int>(progress.fraction() * 1000));
  }
}

void MainWindow::wire() {
  connect(m_explorer, &Explorer::message, this, [this](const QString& sentence, bool failed) {
    if (failed) {
      m_messages->showError(sentence);
    } else {
      m_messages->showNews(sentence);
    }
  });
  connect(m_explorer->session(), &Session::documentCut, this, [this](const QString& sentence) {
    m_messages->ask(sentence, {tr("Use the whole text"), [this] {
                                 DocumentRequest request = m_explorer->session()->request();
                                 request.reading.allow_long = true;
                                 m_explorer->session()->openDocument(request);
                               }});
  });
  connect(m_explorer->session(), &Session::chatOffered, this, [this](const QString& sentence) {
    m_messages->ask(sentence, {tr("Read it as a chat"), [this] {
                                 DocumentRequest request = m_explorer->session()->request();
                                 request.reading.chat = "on";
                                 m_explorer->session()->openDocument(request);
                               }});
  });
  connect(m_explorer->session(), &Session::modelInspected, this,
          [this](const QString& folder, qint64 bytes, qint64 available) {
            const QString name = QFileInfo(folder).fileName();
            if (bytes > available) {
              m_messages->showError(
                  tr("The model \"%1\" takes %2 in memory, but only %3 are free; close other programs or take a "
                     "smaller model.")
                      .arg(name, formatBytes(bytes), formatBytes(available)));
            } else if (bytes > kAskAboveBytes) {
              m_messages->ask(tr("The model \"%1\" will take %2 of %3 free memory.")
                                  .arg(name, formatBytes(bytes), formatBytes(available)),
                              {tr("Load it"), [this, folder] { m_explorer->session()->openModel(folder); }});
            } else {
              m_messages->showNews(tr("Loading the model \"%1\": %2 of %3 free memory.")
                                       .arg(name, formatBytes(bytes), formatBytes(available)));
              m_explorer->session()->openModel(folder);
            }
          });
  connect(m_explorer->session(), &Session::modelChanged, this, [this] {
    const auto model = m_explorer->session()->model();
    if (!model->embedded) remember("recentModels", model->folder);
    m_parameters->setModelFolder(model->folder);
    updateTitle();
  });
  connect(m_explorer->session(), &Session::documentChanged, this, [this] {
    m_messages->clear();  // what was said of the text before
    const auto document = m_explorer->session()->document();
    if (!document->path.isEmpty()) remember("recentTexts", document->path);
    m_parameters->setTokens(document->tokens());
    updateTitle();
    // What a session had in store was for the text before.
    m_whatIfAfterRun.reset();
    m_zoomAfterLayer = {};
  });
  connect(m_explorer->history(), &RunHistory::runFinished, this, [this] {
    if (m_whatIfAfterRun) {
      const auto parameters = std::move(m_whatIfAfterRun);
      m_explorer->parameters()->restore(*parameters);
    }
  });
  connect(m_explorer->whatIf(), &WhatIf::layerChanged, this, [this](int layer) {
    if (m_zoomAfterLayer.isEmpty() || layer != m_explorer->view()->layer()) return;
    m_explorer->view()->setZoom(std::exchange(m_zoomAfterLayer, {}));
  });
  connect(m_explorer->whatIf(), &WhatIf::layerChanged, this, &MainWindow::logFirstPicture,
          static_cast<Qt::ConnectionType>(Qt::QueuedConnection | Qt::SingleShotConnection));
  const auto whatIf = [this] {
    const auto layer = m_explorer->whatIf()->layerInView();
    m_parameters->setWhatIf(layer && m_explorer->parameters()->values() != m_explorer->whatIf()->ranWith());
  };
  connect(m_explorer->whatIf(), &WhatIf::layerChanged, this, whatIf);
  connect(m_explorer->parameters(), &ParameterSet::changed, this, whatIf);
  connect(m_explorer->history(), &RunHistory::progressChanged, this, [this] {
    m_parameters->setRunning(m_explorer->history()->progress().running && !m_explorer->history()->progress().dense);
    updateStatus();
  });
  connect(m_explorer, &Explorer::busyChanged, this, [this] {
    updateActions();
    updateStatus();
  });
  connect(m_explorer->history(), &RunHistory::currentChanged, this, &MainWindow::updateActions);
  connect(m_parameters, &ParametersPanel::runRequested, m_explorer->history(), &RunHistory::run);
  connect(m_parameters, &ParametersPanel::cancelRequested, m_explorer, &Explorer::cancel);
  connect(m_runs, &RunsPanel::message, m_explorer, &Explorer::message);
  connect(m_text, &TextPanel::described, m_cell, &QLabel::setText);
  connect(m_matrix, &MatrixPanel::statusText, m_cell, &QLabel::setText);
  connect(m_importance, &ImportancePanel::statusText, m_cell, &QLabel::setText);
  connect(m_multiples, &MultiplesPanel::statusText, m_cell, &QLabel::setText);
  connect(m_docks.at("multiples"), &QDockWidget::visibilityChanged, m_multiples, &MultiplesPanel::setSeen);
  connect(m_multiples, &MultiplesPanel::figureWanted, this,
          [this](const QString& what, bool byLayer) { exportFigure()->showMultiples(what, byLayer); });
  connect(m_losses, &LossPanel::message, m_explorer, &Explorer::message);
  connect(m_matrix, &MatrixPanel::reducerChanged, m_reducer, &QLabel::setText);
  // What a panel said of the place under the pointer goes with the panel.
  for (const auto& [id, dock] : m_docks) {
    connect(dock, &QDockWidget::visibilityChanged, m_cell, [this](bool visible) {
      if (!visible) m_cell->clear();
      if (m_messages->isVisible()) m_messages->raise();  // a dock that comes forward lies over it
    });
  }
  // Nor does it hold for what is selected elsewhere.
  const auto away = [this] {
    if (m_explorer->view()->hoveredRow() < 0 && m_explorer->view()->hoveredKey() < 0) m_cell->clear();
  };
  connect(m_explorer->view(), &ViewState::rowSelected, m_cell, away);
  connect(m_explorer->view(), &ViewState::keysSelected, m_cell, away);
}

// QT_LOGGING_RULES="dhsa.start=true" says how long the program took from its start to the first picture of a layer.
void MainWindow::logFirstPicture() {
  static const QLoggingCategory start("dhsa.start", QtWarningMsg);
  if (!start.isDebugEnabled()) return;
  m_matrix->matrix()->repaint();
  const auto ticks = startTicks();
  if (ticks < 0) return;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double seconds = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9 -
                         static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  qCDebug(start, "first picture %.0f ms after the start of the process", seconds * 1000);
}

void MainWindow::setTheme(Theme theme) {
  applyTheme(theme);
  QSettings().setValue(QStringLiteral("theme"), static_cast<int>(theme));
  const char* const ids[] = {"theme.system", "theme.light", "theme.dark"};
  action(ids[static_cast<int>(theme)])->setChecked(true);
}

void MainWindow::start() {
  if (!m_options.session.isEmpty() && openSession(m_options.session)) return;
  DocumentRequest request;
  request.path = m_options.text;
  m_explorer->session()->start(m_options.model, request);
}

void MainWindow::openPath(const QString& path) {
  const QFileInfo info(path);
  if (info.isDir() || info.suffix() == QLatin1String("gguf")) {
    openModelFolder(path);
  } else if (info.suffix() == sessionSuffix()) {
    openSession(path);
  } else {
    openText(path);
  }
}

void MainWindow::openText(const QString& path) {
  DocumentRequest request;
  request.path = path;
  m_explorer->session()->openDocument(request);
}

void MainWindow::openModelFolder(const QString& folder) { m_explorer->session()->inspectModel(folder); }

void MainWindow::closeEvent(QCloseEvent* event) {
  const QList<QPair<Experiment*, QString>> unsaved = unsavedResults();
  if (!m_closeAnyway && !unsaved.isEmpty()) {
    event->ignore();
    QStringList names;
    for (const auto& [experiment, name] : unsaved)
      names << (experiment->isRunning() ? tr("%1, which still runs,").arg(name) : name);
    m_messages->ask(tr("The results of %1 are not saved.").arg(names.join(tr(" and "))),
                    {tr("Close anyway"),
                     [this] {
                       m_closeAnyway = true;
                       close();
                     }},
                    {tr("Save and close…"), [this] {
                       if (saveResults()) close();
                     }});
    return;
  }
  QSettings settings;
  settings.setValue(QStringLiteral("geometry"), saveGeometry());
  settings.setValue(QStringLiteral("state"), saveState(kLayoutVersion));
  settings.setValue(QStringLiteral("compareAfterRun"), m_explorer->history()->compareAfterRun());
  QMainWindow::closeEvent(event);
}

QList<QPair<Experiment*, QString>> MainWindow::unsavedResults() const {
  QList<QPair<Experiment*, QString>> unsaved;
  if (!m_needle->isSaved()) unsaved << qMakePair(m_needle, tr("the needle test"));
  if (!m_sweep->isSaved()) unsaved << qMakePair(m_sweep, tr("the sweep"));
  if (!m_suite->isSaved()) unsaved << qMakePair(m_suite, tr("RULER"));
  return unsaved;
}

bool MainWindow::saveResults() {
  for (const auto& [experiment, name] : unsavedResults()) {
    const QString path =
        QFileDialog::getSaveFileName(this, tr("Save the results of %1").arg(name), {}, tr("Results (*.json)"));
    if (path.isEmpty() || !experiment->save(path)) return false;
  }
  return true;
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  const QMimeData* mime = event->mimeData();
  const bool local = mime->hasUrls() && mime->urls().size() == 1 && mime->urls().front().isLocalFile();
  if (local || (!mime->hasUrls() && mime->hasText())) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
  const QMimeData* mime = event->mimeData();
  event->acceptProposedAction();
  if (mime->hasUrls()) {
    openPath(mime->urls().front().toLocalFile());
  } else {
    DocumentRequest request;
    request.text = mime->text().toUtf8();
    m_explorer->session()->openDocument(request);
  }
}

void MainWindow::updateTitle() {
  const auto document = m_explorer->session()->document();
  const auto model = m_explorer->session()->model();
  setWindowTitle(document && model ? tr("%1 – %2 – DHSA Explorer").arg(document->title, model->name)
                                   : tr("DHSA Explorer"));
}

bool MainWindow::saveSession(const QString& path) {
  const auto document = m_explorer->session()->document();
  const auto model = m_explorer->session()->model();
  if (!document || !model) {
    m_messages->showError(tr("There is nothing to save yet; wait until the text is open."));
    return false;
  }
  SessionFile session;
  session.file = m_sessionFile;
  session.documentPath = document->path;
  if (document->path.isEmpty() && !document->sample) session.documentText = document->source;
  session.documentSha = document->sha256;
  session.reading = document->reading;
  session.modelFolder = model->embedded ? QString() : model->folder;
  session.modelFingerprint = model->fingerprint;
  session.modelOptions = model->weights->options();
  session.parameters = m_explorer->parameters()->values();
  session.runParameters = m_explorer->whatIf()->ranWith();
  const ViewState* view = m_explorer->view();
  session.layer = view->layer();
  session.head = view->head();
  session.row = view->row();
  session.keysBegin = view->keysBegin();
  session.keysEnd = view->keysEnd();
  session.zoom = view->zoom();
  session.shading = m_text->shading();
  session.matrix = m_matrix->settings();
  session.geometry = saveGeometry();
  session.windowState = saveState(kLayoutVersion);
  try {
    session.save(path);
  } catch (const Error& error) {
    m_messages->showError(QString::fromStdString(error.what()));
    return false;
  }
  m_sessionPath = path;
  m_messages->showNews(tr("Session saved to %1.").arg(path));
  remember("recentSessions", path);
  return true;
}

bool MainWindow::openSession(const QString& path) {
  SessionFile session;
  try {
    session = SessionFile::load(path);
  } catch (const Error& error) {
    m_messages->showError(QString::fromStdString(error.what()));
    return false;
  }
  DocumentRequest request;
  request.path = session.documentPath;
  request.text = session.documentText;
  request.reading = session.reading;
  remember("recentSessions", path);
  const auto model = m_explorer->session()->model();
  ModelOptions options = session.modelOptions;
  if (!cuda_available()) options.device = Device::kCpu;
  const bool sameModel =
      model && (session.modelFolder.isEmpty() ? model->embedded : model->folder == session.modelFolder) &&
      model->weights->options().compute == options.compute && model->weights->options().device == options.device;
  const auto then = [this, session, path] {
    m_sessionPath = path;
    apply(session);
  };
  if (sameModel) {
    m_explorer->session()->openDocument(request, then);
  } else {
    m_explorer->session()->start(session.modelFolder, request, options, then);
  }
  return true;
}

void MainWindow::apply(const SessionFile& session) {
  m_sessionFile = session.file;
  const auto document = m_explorer->session()->document();
  if (!session.documentSha.isEmpty() && session.documentSha != document->sha256) {
    m_messages->showError(
        tr("\"%1\" has changed since the session was saved; the selection may not fit.").arg(document->title));
  } else if (!session.modelFingerprint.isEmpty() &&
             session.modelFingerprint != m_explorer->session()->model()->fingerprint) {
    m_messages->showError(tr("The model in \"%1\" is not the one the session was saved with; figures will differ.")
                              .arg(m_explorer->session()->model()->folder));
  } else if (session.modelOptions.device != m_explorer->session()->model()->weights->options().device) {
    m_messages->showError(tr("The session computed on CUDA, which is not there now; it goes on on the CPU."));
  }
  m_explorer->parameters()->restore(session.runParameters);
  if (session.parameters != session.runParameters) {
    m_whatIfAfterRun = std::make_unique<SparsityParameters>(session.parameters);
  }
  ViewState* view = m_explorer->view();
  if (session.layer < m_explorer->whatIf()->layers()) view->setLayer(session.layer);
  if (session.head < m_explorer->session()->heads()) view->setHead(session.head);
  const qint64 tokens = document->tokens();
  view->selectRow(session.row < tokens ? session.row : -1);
  if (session.keysEnd <= tokens) view->selectKeys(session.keysBegin, session.keysEnd);
  m_text->setShading(session.shading);
  m_matrix->applySettings(session.matrix);
  if (m_matrix->wantsPinnedRun() && !m_explorer->history()->comparison()) {
    // Behind what is said of the text, not instead of it.
    QTimer::singleShot(0, this, [this] {
      const QString said = m_messages->isVisible() ? m_messages->text() + u' ' : QString();
      m_messages->showNews(said + tr("The session showed the mask of a pinned run; runs are not saved with it: pin one "
                                     "(Ctrl+B) to compare again."));
    });
  }
  m_zoomAfterLayer = session.zoom;  // there is no matrix to zoom into yet
  restoreWindow(session.geometry, session.windowState);
}

// The geometry may be of a larger screen than this one.
void MainWindow::fitScreen() {
  if (isMaximized() || isFullScreen()) return;
  const QRect room = screen()->availableGeometry();
  const QSize frame = frameGeometry().size() - size();  // none yet before it is shown
  const QSize most = room.size() - frame;
  if (width() <= most.width() && height() <= most.height()) return;
  resize(size().boundedTo(most));
  move(std::clamp(x(), room.left(), std::max(room.left(), room.right() + 1 - width() - frame.width())),
       std::clamp(y(), room.top(), std::max(room.top(), room.bottom() + 1 - height() - frame.height())));
}

// A window that is shown and told the geometry of a maximised one keeps the contents' old size within the new frame: it
// is told its state instead, and the panels are laid out again once it has its size.
void MainWindow::restoreWindow(const QByteArray& geometry, const QByteArray& state) {
  QWidget saved;
  const bool known = !geometry.isEmpty() && saved.restoreGeometry(geometry);
  if (known && !isVisible()) {
    restoreGeometry(geometry);
    fitScreen();
  } else if (known && saved.isMaximized()) {
    m_stateAfterResize = isMaximized() ? QByteArray() : state;
    showMaximized();
  } else if (known) {
    if (isMaximized() || isFullScreen()) showNormal();
    const QSize before = size();
    restoreGeometry(geometry);
    if (size() != before) fitScreen();
  }
  if (!state.isEmpty()) restoreState(state, kLayoutVersion);
}

void MainWindow::resizeEvent(QResizeEvent* event) {
  QMainWindow::resizeEvent(event);
  if (m_stateAfterResize.isEmpty()) return;
  QTimer::singleShot(0, this,
                     [this, state = std::exchange(m_stateAfterResize, {})] { restoreState(state, kLayoutVersion); });
}

bool MainWindow::eventFilter(QObject* watched, QEvent* event) {
  // Escape in a choice closes it, or does nothing; it is not for the selection.
  if (event->type() == QEvent::ShortcutOverride && static_cast<QKeyEvent*>(event)->key() == Qt::Key_Escape &&
      (qobject_cast<QComboBox*>(watched) || QApplication::activePopupWidget())) {
    event->accept();
    return true;
  }
  return QMainWindow::eventFilter(watched, event);
}

}  // namespace dhsa
