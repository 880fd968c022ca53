#include "ui/views/export_dialog.h"

#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QScrollArea>
#include <QSpinBox>
#include <QThread>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/resources.h"
#include "core/files/atomic_write.h"
#include "core/files/sha256.h"
#include "core/run/provenance.h"
#include "ui/figures/figure_files.h"
#include "ui/state/explorer.h"

namespace dhsa {
namespace {

QString q(const char* text) { return QString::fromUtf8(text); }

// Of a text written beside the figures: named by its content, so that it takes no other file's place.
QString pastedName(const OpenDocument& document) {
  const QString from = document.path.isEmpty() ? QStringLiteral("pasted") : QFileInfo(document.path).completeBaseName();
  return QStringLiteral("%1-%2.txt").arg(from, document.sha256.left(8));
}

// Where a layer's queries and keys were not kept, the command measures what the window could not.
std::string remarkOn(const FigureSpec& spec, const FigureMaterial& material) {
  for (const FigurePanel& panel : spec.panels) {
    const auto layer = static_cast<std::size_t>(std::max(panel.layer, 0));
    if (panel.layer < 0 || layer >= material.layers.size() || material.layers[layer].captured) continue;
    return "Queries and keys of layer " + std::to_string(panel.layer) +
           " were not kept by the run in the window, so that metrics are missing here; the command adds them.";
  }
  return {};
}

}  // namespace

ExportDialog::ExportDialog(Explorer* explorer, QWidget* parent)
    : QDialog(parent),
      m_explorer(explorer),
      m_layerInView(explorer->view()->layer()),
      m_headInView(explorer->view()->head()) {
  setWindowTitle(tr("Export figure"));
  setObjectName(QStringLiteral("exportDialog"));
  resize(860, 560);
  const auto pick = [this](const char* name) {
    auto* box = new QComboBox(this);
    box->setObjectName(q(name));
    connect(box, &QComboBox::currentIndexChanged, this, [this] { m_soon.start(); });
    return box;
  };
  m_soon.setSingleShot(true);
  m_soon.setInterval(60);
  connect(&m_soon, &QTimer::timeout, this, &ExportDialog::refresh);

  m_what = pick("exportWhat");
  for (const FigureKindInfo& kind : figure_kinds()) {
    if (kind.from != FigureKindInfo::From::kFile) m_what->addItem(q(kind.label), q(kind.key));
  }
  m_what->insertItem(3, tr("Dense against sparse"), QStringLiteral("dense,sparse"));
  m_what->addItem(tr("Latency and memory, from results"), QStringLiteral("latency,memory"));
  m_what->addItem(tr("Curves over the budget, from results"), QStringLiteral("budget"));
  m_what->addItem(tr("Needle test, from results"), QStringLiteral("needle"));
  m_what->addItem(tr("Table of scores, from results"), QStringLiteral("scores"));
  m_what->addItem(tr("Scores against budget, from results"), QStringLiteral("score-budget"));
  m_what->addItem(tr("Scores against length, from results"), QStringLiteral("score-length"));
  m_results = new QPushButton(tr("Choose a file…"), this);
  m_results->setObjectName(QStringLiteral("exportResults"));
  m_results->setToolTip(
      tr("What dhsa bench, sweep or needle wrote with --json and longbench with --out, or the panels of the window."));
  connect(m_results, &QPushButton::clicked, this, [this] {
    const QString path = QFileDialog::getOpenFileName(this, tr("Results to draw"), {}, tr("Results (*.json)"));
    if (!path.isEmpty()) setResults(path);
  });
  m_layer = pick("exportLayer");
  m_layer->addItem(tr("Layer %1, in view").arg(m_layerInView), QString::number(m_layerInView));
  m_layer->addItem(tr("All layers in one figure"), QStringLiteral("together"));
  m_layer->addItem(tr("All layers, one file each"), QStringLiteral("all"));
  m_head = pick("exportHead");
  m_head->addItem(m_headInView < 0 ? tr("Mean of all heads, in view") : tr("Head %1, in view").arg(m_headInView),
                  QString::number(m_headInView));
  m_head->addItem(tr("All heads in one figure"), QStringLiteral("together"));
  m_head->addItem(tr("All heads, one file each"), QStringLiteral("all"));
  m_venue = pick("exportVenue");
  for (const Venue& venue : venues()) m_venue->addItem(q(venue.label), q(venue.key));
  m_columns = pick("exportColumns");
  m_columns->addItem(tr("Full width"), QStringLiteral("full"));
  m_columns->addItem(tr("One column"), QStringLiteral("one"));
  m_map = pick("exportMap");
  for (const std::string& map : figure_options().at("map").choices) {
    m_map->addItem(QString::fromStdString(map), QString::fromStdString(map));
  }
  m_scale = pick("exportScale");
  for (const std::string& scale : figure_options().at("scale").choices) {
    m_scale->addItem(QString::fromStdString(scale), QString::fromStdString(scale));
  }
  m_part = pick("exportPart");
  m_part->addItem(tr("All tokens"), QStringLiteral("all"));
  m_part->addItem(tr("As zoomed in the matrix"), QStringLiteral("zoom"));
  m_part->setToolTip(tr("Rows and keys that the matrix shows now."));
  m_dpi = new QSpinBox(this);
  m_dpi->setObjectName(QStringLiteral("exportDpi"));
  const OptionInfo& dpi = figure_options().at("dpi");
  m_dpi->setRange(static_cast<int>(dpi.minimum), static_cast<int>(dpi.maximum));
  m_dpi->setSingleStep(50);
  m_dpi->setSuffix(tr(" dpi"));
  m_dpi->setValue(static_cast<int>(FigureSpec().dpi));
  m_dpi->setToolTip(QString::fromStdString(dpi.help));
  connect(m_dpi, &QSpinBox::valueChanged, this, [this] { m_soon.start(); });
  auto* form = new QFormLayout;
  form->addRow(tr("Sh&ow"), m_what);
  form->addRow(tr("Res&ults"), m_results);
  form->addRow(tr("&Layer"), m_layer);
  form->addRow(tr("&Head"), m_head);
  form->addRow(tr("&Venue"), m_venue);
  form->addRow(tr("&Width"), m_columns);
  form->addRow(tr("&Part"), m_part);
  form->addRow(tr("&Colours"), m_map);
  form->addRow(tr("Sc&ale"), m_scale);
  form->addRow(tr("&Resolution"), m_dpi);
  m_message = new QLabel(this);
  m_message->setObjectName(QStringLiteral("exportMessage"));
  m_message->setWordWrap(true);
  m_message->setMinimumHeight(4 * fontMetrics().height());
  m_message->setAlignment(Qt::AlignTop);
  m_busy = new QProgressBar(this);
  m_busy->setRange(0, 0);
  m_busy->setObjectName(QStringLiteral("exportProgress"));
  m_busy->setAccessibleName(tr("Progress"));
  m_cancelSaving = new QPushButton(tr("Cancel"), this);
  m_cancelSaving->setObjectName(QStringLiteral("exportCancel"));
  m_cancelSaving->hide();
  m_save = new QPushButton(tr("&Save…"), this);
  m_save->setDefault(true);
  m_copyFigure = new QPushButton(tr("Copy &figure"), this);
  m_copyFigure->setObjectName(QStringLiteral("exportCopyFigure"));
  m_copyData = new QPushButton(tr("Copy &data"), this);
  m_copyData->setObjectName(QStringLiteral("exportCopyData"));
  auto* close = new QPushButton(tr("Close"), this);
  connect(m_save, &QPushButton::clicked, this, &ExportDialog::choosePath);
  connect(m_copyFigure, &QPushButton::clicked, this, &ExportDialog::copyFigure);
  connect(m_copyData, &QPushButton::clicked, this, &ExportDialog::copyData);
  connect(m_cancelSaving, &QPushButton::clicked, this, &ExportDialog::cancel);
  connect(close, &QPushButton::clicked, this, &QDialog::close);
  auto* left = new QVBoxLayout;
  left->addLayout(form);
  left->addWidget(m_busy);
  left->addWidget(m_cancelSaving);
  left->addWidget(m_message);
  left->addStretch();
  for (QPushButton* button : {m_save, m_copyFigure, m_copyData, close}) left->addWidget(button);
  m_preview = new QLabel(this);
  m_preview->setObjectName(QStringLiteral("exportPreview"));
  m_preview->setAlignment(Qt::AlignCenter);
  m_preview->setAccessibleName(tr("Preview"));
  m_scroll = new QScrollArea(this);
  m_scroll->setWidget(m_preview);
  m_scroll->setWidgetResizable(true);
  m_fit = new QCheckBox(tr("Fi&t the preview to the window"), this);
  m_fit->setObjectName(QStringLiteral("exportFit"));
  m_fit->setToolTip(tr("Else it has the size that the figure will have on paper. Default: on."));
  m_fit->setChecked(true);
  connect(m_fit, &QCheckBox::toggled, this, &ExportDialog::placePreview);
  auto* right = new QVBoxLayout;
  right->addWidget(m_scroll, 1);
  right->addWidget(m_fit);
  auto* row = new QHBoxLayout(this);
  row->addLayout(left);
  row->addLayout(right, 1);
  connect(m_explorer->view(), &ViewState::zoomChanged, this, [this] {
    if (m_part->currentData().toString() == QStringLiteral("zoom")) m_soon.start();
  });
  connect(m_explorer->whatIf(), &WhatIf::layersReset, &m_soon, qOverload<>(&QTimer::start));
  connect(m_explorer->history(), &RunHistory::runFinished, &m_soon, qOverload<>(&QTimer::start));
  connect(m_explorer->whatIf(), &WhatIf::layerChanged, this, [this](int layer) {
    if (layer == m_layerInView) m_soon.start();
  });
  m_soon.stop();  // filling the lists started it
  refresh();
}

ExportDialog::~ExportDialog() {
  if (m_cancel) m_cancel->cancel();
  if (m_thread) {
    m_thread->wait();
    delete m_thread;
  }
}

FigureSpec ExportDialog::spec() const {
  FigureSpec spec;
  for (const QString& what : m_what->currentData().toString().split(u',')) {
    const FigureKind kind = figure_kind_of(what.toStdString());
    const bool layered = figure_kind(kind).from == FigureKindInfo::From::kLayer;
    const bool perHead = figure_kind(kind).per_head;
    const auto together = [](const QComboBox* box) {
      return box->currentData().toString() == QStringLiteral("together");
    };
    const bool layers = layered && together(m_layer);
    const bool heads = perHead && together(m_head);
    for (int layer = 0; layer < (layers ? m_explorer->whatIf()->layers() : 1); ++layer) {
      for (int head = 0; head < (heads ? m_explorer->session()->heads() : 1); ++head) {
        spec.panels.push_back({kind,
                               !layered ? -1
                               : layers ? layer
                                        : m_layerInView,
                               !perHead ? -1
                               : heads  ? head
                                        : m_headInView});
      }
    }
  }
  spec.venue = m_venue->currentData().toString().toStdString();
  spec.columns = venue_of(spec).column > 0 ? m_columns->currentData().toString().toStdString() : "full";
  spec.map = m_map->currentData().toString().toStdString();
  spec.scale = m_scale->currentData().toString().toStdString();
  spec.dpi = m_dpi->value();
  const QRectF zoom = m_explorer->view()->zoom();  // keys by rows
  if (m_part->currentData().toString() == QStringLiteral("zoom") && !zoom.isEmpty() &&
      m_explorer->session()->document()) {
    const auto tokens = static_cast<double>(m_explorer->session()->document()->tokens());
    const auto whole = [&](double value) { return static_cast<std::int64_t>(std::clamp(value, 0.0, tokens)); };
    spec.row_begin = whole(std::floor(zoom.top()));
    spec.row_end = whole(std::ceil(zoom.bottom()));
    spec.key_begin = whole(std::floor(zoom.left()));
    spec.key_end = whole(std::ceil(zoom.right()));
  }
  return spec;
}

void ExportDialog::showResults(const QString& what, const QString& path) {
  m_what->setCurrentIndex(std::max(0, m_what->findData(what)));
  setResults(path);
}

void ExportDialog::showMultiples(const QString& what, bool byLayer) {
  m_what->setCurrentIndex(std::max(0, m_what->findData(what)));
  QComboBox* over = byLayer ? m_layer : m_head;
  over->setCurrentIndex(over->findData(QStringLiteral("together")));
}

void ExportDialog::setResults(const QString& path) {
  m_resultsPath = path;
  m_results->setText(QFileInfo(path).fileName());
  m_soon.start();
}

std::shared_ptr<ExportDialog::Sources> ExportDialog::sources(QString& why) const {
  if (!needs_model(spec())) {
    auto sources = std::make_shared<Sources>();
    try {
      if (m_resultsPath.isEmpty()) throw Error(tr("Choose the file that holds the results.").toStdString());
      sources->material.files = {read_figure_file(m_resultsPath.toStdString())};
    } catch (const Error& error) {
      why = QString::fromUtf8(error.what());
      return nullptr;
    }
    return sources;
  }
  const auto inView = m_explorer->whatIf()->layer(m_layerInView);
  if (!m_explorer->session()->document() || !m_explorer->session()->model() || !inView) {
    why = tr("Nothing has run yet; run a text first.");
    return nullptr;
  }
  const Run* finished = m_explorer->history()->current();
  if (finished != nullptr && finished->parameters != m_explorer->whatIf()->ranWith()) {
    why = tr("The layers come from two runs with different parameters; let the run finish or run again (F5).");
    return nullptr;
  }
  auto sources = std::make_shared<Sources>();
  sources->document = m_explorer->session()->document();
  sources->model = m_explorer->session()->model();
  sources->parameters = inView->parameters;
  sources->ranWith = m_explorer->whatIf()->ranWith();
  FigureMaterial& material = sources->material;
  material.document = &sources->document->content;
  const Gemma2Config& config = sources->model->weights->config();
  material.query_heads = config.heads;
  material.local = config.local_layer;
  for (int layer = 0; layer < m_explorer->whatIf()->layers(); ++layer) {
    FigureMaterial::Layer one;
    const auto view = m_explorer->whatIf()->layer(layer);
    if (view) {
      one.plan = view->plan;
      one.captured = view->captured;
    }
    sources->plannedWith.push_back(view ? view->parameters : sources->parameters);
    material.layers.push_back(std::move(one));
  }
  return sources;
}

void ExportDialog::Sources::follow(FigureSpec& spec, const CancelToken* cancel) {
  if (!model) return;
  resolve_panels(spec, model->weights->config());
  std::set<int> layers;
  for (const FigurePanel& panel : spec.panels) {
    if (panel.layer >= 0) layers.insert(panel.layer);
    for (int layer = 0; panel.layer < 0 && layer < static_cast<int>(plannedWith.size()); ++layer) layers.insert(layer);
  }
  WhatIfSources kept;
  kept.document = document->content.info();
  kept.local = material.local;
  for (const FigureMaterial::Layer& layer : material.layers) kept.captured.push_back(layer.captured);
  for (const int layer : layers) {
    const auto at = static_cast<std::size_t>(layer);
    if (at >= plannedWith.size() || !material.layers[at].plan || plannedWith[at] == parameters) continue;
    if (!kept.predictor) kept.predictor = loadPredictor(parameters, *model);
    material.layers[at].plan = plan_layer(kept, layer, parameters, cancel);
    plannedWith[at] = parameters;
  }
}

bool ExportDialog::Sources::textIsOnDisk() const {
  if (!document || document->sample) return true;
  if (document->path.isEmpty()) return false;
  try {
    return sha256(read_text(document->path.toStdU16String())) == document->sha256.toStdString();
  } catch (const Error&) {
    return false;  // gone since
  }
}

FigureOrigin ExportDialog::Sources::origin(bool beside) const {
  FigureOrigin origin;
  for (const FigureFile& file : material.files) origin.files.push_back(file.path);
  if (!document) return origin;
  origin.text = beside ? pastedName(*document).toStdString() : document->path.toStdString();
  const std::string name = document->sample ? resource_path("documents/sample.txt").filename().string()
                                            : std::filesystem::path(origin.text).filename().string();
  origin.reading = document->reading;
  // As the command takes them, which needs none of its defaults said.
  const ModelOptions& options = model->weights->options();
  origin.device = name_of(options.device);
  if (options.device == Device::kCpu && options.compute != DType::kFloat32) origin.dtype = name_of(options.compute);
  if (!model->embedded) origin.model = model->folder.toStdString();
  origin.parameters = parameters;
  origin.ran_with = ranWith;
  describe_sources(origin, model->folder.toStdU16String(), *model->weights, document->content, name,
                   document->sha256.toStdString());
  return origin;
}

void ExportDialog::work(std::function<void()> onThread, std::function<void()> afterwards) {
  m_thread = QThread::create(std::move(onThread));
  connect(m_thread, &QThread::finished, this, [this, afterwards = std::move(afterwards)] {
    m_thread->deleteLater();
    m_thread = nullptr;
    m_busy->hide();
    afterwards();
  });
  m_busy->setRange(0, 0);
  m_busy->show();
  for (QPushButton* button : {m_save, m_copyFigure, m_copyData}) button->setEnabled(false);
  m_thread->start();
}

// Results are drawn from a file and know no layers; all else is drawn from what is open.
void ExportDialog::showWhatCounts() {
  const bool results = !needs_model(spec());
  m_results->setEnabled(results);
  for (QComboBox* box : {m_layer, m_head, m_part}) box->setEnabled(!results);
}

void ExportDialog::say(const QString& sentence, bool ofPreview) {
  m_message->setText(sentence);
  m_saysFault = ofPreview;
}

void ExportDialog::refresh() {
  if (m_thread) {
    m_again = true;
    if (!m_saving) m_cancel->cancel();
    return;
  }
  showWhatCounts();
  QString why;
  const auto from = sources(why);
  if (!from) {
    m_data = nullptr;
    m_preview->clear();
    say(why, true);
    m_busy->hide();
    for (QPushButton* button : {m_save, m_copyFigure, m_copyData}) button->setEnabled(false);
    return;
  }
  const FigureSpec wanted = spec();
  m_cancel = std::make_shared<CancelToken>();
  auto made = std::make_shared<std::shared_ptr<const FigureData>>();
  auto fault = std::make_shared<QString>();
  work(
      [from, wanted, cancel = m_cancel, made, fault] {
        try {
          FigureSpec spec = wanted;
          from->follow(spec, cancel.get());
          *made = std::make_shared<const FigureData>(make_figure_data(spec, from->material, false, {}, cancel.get()));
        } catch (const std::exception& error) {
          *fault = QString::fromUtf8(error.what());
        }
      },
      [this, wanted, made, fault] {
        if (std::exchange(m_again, false)) {
          refresh();
          return;
        }
        m_data = *made;
        m_shown = wanted;
        if (!fault->isEmpty() || m_saysFault) say(*fault, true);
        if (m_data) {
          showPreview();
        } else {
          m_preview->clear();
        }
        for (QPushButton* button : {m_save, m_copyFigure, m_copyData}) button->setEnabled(m_data != nullptr);
      });
}

void ExportDialog::showPreview() {
  try {
    const double dpr = devicePixelRatioF();
    FigureSpec shown = m_shown;
    shown.dpi = std::clamp<std::int64_t>(std::llround(logicalDpiX() * dpr), 50, std::max<std::int64_t>(50, shown.dpi));
    m_image = figureImage(*m_data, shown, logicalDpiX() / 72.0 * dpr);
    m_image.setDevicePixelRatio(dpr);
    placePreview();
  } catch (const Error& error) {
    say(QString::fromUtf8(error.what()), true);
    m_preview->clear();
    m_data = nullptr;
  }
}

void ExportDialog::placePreview() {
  if (!m_data || m_image.isNull()) return;
  const QSize room = m_scroll->maximumViewportSize() * m_image.devicePixelRatio();
  const bool tooLarge = m_image.width() > room.width() || m_image.height() > room.height();
  m_preview->setPixmap(QPixmap::fromImage(
      m_fit->isChecked() && tooLarge ? m_image.scaled(room, Qt::KeepAspectRatio, Qt::SmoothTransformation) : m_image));
}

void ExportDialog::resizeEvent(QResizeEvent* event) {
  QDialog::resizeEvent(event);
  placePreview();
}

std::vector<ExportDialog::Job> ExportDialog::jobs(const QString& path) const {
  const FigureSpec shown = spec();
  const auto any = [&](auto&& holds) { return std::any_of(shown.panels.begin(), shown.panels.end(), holds); };
  const bool byLayer = m_layer->currentData().toString() == QStringLiteral("all") &&
                       any([](const FigurePanel& panel) { return panel.layer >= 0; });
  const bool byHead = m_head->currentData().toString() == QStringLiteral("all") &&
                      any([](const FigurePanel& panel) { return figure_kind(panel.what).per_head; });
  const QFileInfo info(path);
  const int heads = m_explorer->session()->heads();
  std::vector<Job> all;
  for (int layer = 0; layer < (byLayer ? m_explorer->whatIf()->layers() : 1); ++layer) {
    for (int head = 0; head < (byHead ? heads : 1); ++head) {
      FigureSpec one = shown;
      for (FigurePanel& panel : one.panels) {
        if (byLayer && panel.layer >= 0) panel.layer = layer;
        if (byHead && figure_kind(panel.what).per_head) panel.head = head;
      }
      QString name = info.completeBaseName();
      if (byLayer) name += QStringLiteral("-layer%1").arg(layer);
      if (byHead) name += QStringLiteral("-head%1").arg(head);
      all.push_back({QStringLiteral("%1/%2.%3").arg(info.path(), name, info.suffix()), std::move(one)});
    }
  }
  return all;
}

void ExportDialog::setSaving(bool saving) {
  m_saving = saving;
  m_cancelSaving->setVisible(saving);
  for (QComboBox* box : {m_what, m_layer, m_head, m_venue, m_columns, m_part, m_map, m_scale}) box->setEnabled(!saving);
  m_dpi->setEnabled(!saving);
  m_results->setEnabled(!saving);
  if (!saving) showWhatCounts();
}

void ExportDialog::saveTo(const QString& path) {
  if (m_thread) return;
  QString why;
  const auto from = sources(why);
  if (!from) {
    say(why, false);
    return;
  }
  auto all = std::make_shared<std::vector<Job>>(jobs(path));
  auto saved = std::make_shared<int>(0);
  auto fault = std::make_shared<QString>();
  m_cancel = std::make_shared<CancelToken>();
  say(tr("Saving…"), false);
  setSaving(true);
  work(
      [this, all, saved, fault, from, cancel = m_cancel] {
        try {
          const QFileInfo first(all->front().path);
          const FigurePainter painter = figurePainter("." + first.suffix().toLower().toStdString());
          const bool beside = !from->textIsOnDisk();
          FigureOrigin origin = from->origin(beside);
          if (beside) {
            const QString text = first.path() + QLatin1Char('/') + pastedName(*from->document);
            write_file(text.toStdU16String(), from->document->source.toStdString());
          }
          for (Job& job : *all) {
            from->follow(job.spec, cancel.get());
            origin.remark = remarkOn(job.spec, from->material);
            write_figure_files(make_figure_files(origin, job.spec, from->material, job.path.toStdU16String(), &painter,
                                                 {}, cancel.get()));
            ++*saved;
            QMetaObject::invokeMethod(m_busy, [bar = m_busy, done = *saved] { bar->setValue(done); });
          }
        } catch (const std::exception& error) {
          *fault = QString::fromUtf8(error.what());
        }
      },
      [this, all, saved, fault] {
        setSaving(false);
        for (QPushButton* button : {m_save, m_copyFigure, m_copyData}) button->setEnabled(m_data != nullptr);
        const auto count = static_cast<int>(all->size());
        QString message = *fault;
        if (fault->isEmpty()) {
          message = count == 1 ? tr("Figure saved, with its data and description.")
                               : tr("%1 figures saved, with their data and descriptions.").arg(count);
        } else if (count > 1) {
          message += QLatin1Char(' ') + tr("%1 of %2 figures were saved before.").arg(*saved).arg(count);
        }
        say(message, false);
        if (std::exchange(m_again, false)) refresh();
      });
  if (all->size() > 1) m_busy->setRange(0, static_cast<int>(all->size()));
}

void ExportDialog::cancel() {
  if (m_saving) m_cancel->cancel();
}

void ExportDialog::choosePath() {
  QString kind = tr("PDF (*.pdf)");
  QString path =
      QFileDialog::getSaveFileName(this, tr("Save figure"), m_what->currentData().toString().replace(u',', u'-'),
                                   tr("PDF (*.pdf);;SVG (*.svg);;PNG (*.png)"), &kind);
  if (path.isEmpty()) return;
  if (QFileInfo(path).suffix().isEmpty()) path += kind.section(u'*', 1).chopped(1);
  saveTo(path);
}

void ExportDialog::copyFigure() {
  if (!m_data) return;
  try {
    QApplication::clipboard()->setImage(figureImage(*m_data, m_shown, static_cast<double>(m_shown.dpi) / 72));
    say(tr("Figure copied, %1 dpi.").arg(m_shown.dpi), false);
  } catch (const Error& error) {
    say(QString::fromUtf8(error.what()), false);
  }
}

void ExportDialog::copyData() {
  if (!m_data) return;
  try {
    QApplication::clipboard()->setText(QString::fromStdString(table_of(*m_data)));
    say(tr("The figure's numbers are copied."), false);
  } catch (const Error& error) {
    say(QString::fromUtf8(error.what()), false);
  }
}

}  // namespace dhsa
