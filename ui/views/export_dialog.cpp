#include "ui/views/export_dialog.h"

#include <QApplication>
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
#include <QThread>
#include <QVBoxLayout>

#include "core/files/atomic_write.h"
#include "ui/figures/figure_files.h"
#include "ui/state/explorer.h"

namespace dhsa {
namespace {

QString q(const char* text) { return QString::fromUtf8(text); }

}  // namespace

ExportDialog::ExportDialog(Explorer* explorer, QWidget* parent) : QDialog(parent), m_explorer(explorer) {
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
  m_layer = pick("exportLayer");
  m_layer->addItem(tr("Layer %1, in view").arg(explorer->view()->layer()), QString::number(explorer->view()->layer()));
  m_layer->addItem(tr("All layers, one file each"), QStringLiteral("all"));
  m_venue = pick("exportVenue");
  for (const Venue& venue : venues()) m_venue->addItem(q(venue.label), q(venue.key));
  m_columns = pick("exportColumns");
  m_columns->addItem(tr("Full width"), QStringLiteral("full"));
  m_columns->addItem(tr("One column"), QStringLiteral("one"));
  m_map = pick("exportMap");
  for (const std::string& map : figure_option("map").choices) {
    m_map->addItem(QString::fromStdString(map), QString::fromStdString(map));
  }
  auto* form = new QFormLayout;
  form->addRow(tr("&Show"), m_what);
  form->addRow(tr("&Layer"), m_layer);
  form->addRow(tr("&Venue"), m_venue);
  form->addRow(tr("&Width"), m_columns);
  form->addRow(tr("&Colours"), m_map);
  m_message = new QLabel(this);
  m_message->setObjectName(QStringLiteral("exportMessage"));
  m_message->setWordWrap(true);
  m_message->setMinimumHeight(4 * fontMetrics().height());
  m_message->setAlignment(Qt::AlignTop);
  m_busy = new QProgressBar(this);
  m_busy->setRange(0, 0);
  m_busy->setAccessibleName(tr("Progress"));
  m_save = new QPushButton(tr("&Save…"), this);
  m_save->setDefault(true);
  m_copyFigure = new QPushButton(tr("Copy &figure"), this);
  m_copyData = new QPushButton(tr("Copy &data"), this);
  auto* close = new QPushButton(tr("Close"), this);
  connect(m_save, &QPushButton::clicked, this, &ExportDialog::choosePath);
  connect(m_copyFigure, &QPushButton::clicked, this, &ExportDialog::copyFigure);
  connect(m_copyData, &QPushButton::clicked, this, &ExportDialog::copyData);
  connect(close, &QPushButton::clicked, this, &QDialog::close);
  auto* left = new QVBoxLayout;
  left->addLayout(form);
  left->addWidget(m_busy);
  left->addWidget(m_message);
  left->addStretch();
  for (QPushButton* button : {m_save, m_copyFigure, m_copyData, close}) left->addWidget(button);
  m_preview = new QLabel(this);
  m_preview->setObjectName(QStringLiteral("exportPreview"));
  m_preview->setAlignment(Qt::AlignCenter);
  m_preview->setAccessibleName(tr("Preview at true size"));
  auto* scroll = new QScrollArea(this);
  scroll->setWidget(m_preview);
  scroll->setWidgetResizable(true);
  auto* row = new QHBoxLayout(this);
  row->addLayout(left);
  row->addWidget(scroll, 1);
  refresh();
}

ExportDialog::~ExportDialog() {
  if (m_cancel) m_cancel->cancel();
  if (m_thread) m_thread->wait();
}

FigureSpec ExportDialog::spec() const {
  FigureSpec spec;
  const int layer = m_explorer->view()->layer();
  for (const QString& what : m_what->currentData().toString().split(u',')) {
    const FigureKind kind = figure_kind_of(what.toStdString());
    const bool layered = figure_kind(kind).from == FigureKindInfo::From::kLayer;
    spec.panels.push_back({kind, layered ? layer : -1, figure_kind(kind).per_head ? m_explorer->view()->head() : -1});
  }
  spec.venue = m_venue->currentData().toString().toStdString();
  spec.columns = venue_of(spec).column > 0 ? m_columns->currentData().toString().toStdString() : "full";
  spec.map = m_map->currentData().toString().toStdString();
  return spec;
}

std::shared_ptr<const FigureMaterial> ExportDialog::material() const {
  auto material = std::make_shared<FigureMaterial>();
  if (!m_explorer->document() || !m_explorer->model()) return nullptr;
  material->document = &m_explorer->document()->content;
  const Gemma2Config& config = m_explorer->model()->weights->config();
  material->query_heads = config.heads;
  material->local = config.local_layer;
  for (int layer = 0; layer < m_explorer->layers(); ++layer) {
    FigureMaterial::Layer one;
    if (const auto view = m_explorer->layer(layer)) {
      one.plan = view->plan;
      one.captured = view->captured;
    }
    material->layers.push_back(std::move(one));
  }
  return material;
}

void ExportDialog::refresh() {
  if (m_thread) {
    m_again = true;
    m_cancel->cancel();
    return;
  }
  const auto from = material();
  if (!from) {
    m_message->setText(tr("Nothing has run yet; run a text first."));
    m_busy->hide();
    return;
  }
  const FigureSpec wanted = spec();
  m_cancel = std::make_shared<CancelToken>();
  m_busy->show();
  for (QPushButton* button : {m_save, m_copyFigure, m_copyData}) button->setEnabled(false);
  auto made = std::make_shared<std::shared_ptr<const FigureData>>();
  auto fault = std::make_shared<QString>();
  m_thread = QThread::create([from, wanted, cancel = m_cancel, made, fault, document = m_explorer->document()] {
    try {
      *made = std::make_shared<const FigureData>(make_figure_data(wanted, *from, false, {}, cancel.get()));
    } catch (const std::exception& error) {
      *fault = QString::fromUtf8(error.what());
    }
  });
  connect(m_thread, &QThread::finished, this, [this, wanted, made, fault] {
    m_thread->deleteLater();
    m_thread = nullptr;
    m_busy->hide();
    if (std::exchange(m_again, false)) {
      refresh();
      return;
    }
    m_data = *made;
    m_shown = wanted;
    m_message->setText(*fault);
    if (m_data) {
      showPreview();
    } else {
      m_preview->clear();
    }
    for (QPushButton* button : {m_save, m_copyFigure, m_copyData}) button->setEnabled(m_data != nullptr);
  });
  m_thread->start();
}

void ExportDialog::showPreview() {
  try {
    const double dpr = devicePixelRatioF();
    QImage image = figureImage(*m_data, m_shown, logicalDpiX() / 72.0 * dpr);
    image.setDevicePixelRatio(dpr);
    m_preview->setPixmap(QPixmap::fromImage(image));
  } catch (const Error& error) {
    m_message->setText(QString::fromUtf8(error.what()));
    m_preview->clear();
    m_data = nullptr;
  }
}

FigureOrigin ExportDialog::origin(const FigureSpec& spec, const QString& path) const {
  const auto document = m_explorer->document();
  const auto model = m_explorer->model();
  FigureOrigin origin;
  origin.text = document->path.toStdString();
  if (document->path.isEmpty() && !document->sample) {
    // Pasted text has no file yet that the command could name.
    const QString text =
        QFileInfo(path).path() + QLatin1Char('/') + QFileInfo(path).completeBaseName() + QStringLiteral(".txt");
    write_file(text.toStdU16String(), document->source.toStdString());
    origin.text = QFileInfo(text).fileName().toStdString();
  }
  origin.allow_long = document->allowLong;
  if (!model->embedded) origin.model = model->folder.toStdString();
  origin.ran_with = m_explorer->ranWith();
  origin.parameters = origin.ran_with;
  for (const FigurePanel& panel : spec.panels) {
    const auto view = panel.layer >= 0 ? m_explorer->layer(panel.layer) : m_explorer->layerInView();
    if (view) origin.parameters = view->parameters;
  }
  origin.version = QCoreApplication::applicationVersion().toStdString();
  origin.document_facts = {{"name", document->title.toStdString()},
                           {"sha256", document->sha256.toStdString()},
                           {"tokens", document->tokens()}};
  origin.model_facts = {{"name", model->name.toStdString()}, {"fingerprint", model->weights->fingerprint()}};
  return origin;
}

void ExportDialog::writeOne(FigureSpec spec, const FigureMaterial& from, const QString& path) {
  const FigureData figure = make_figure_data(spec, from, false, {}, nullptr);
  FigureFiles files;
  files.path = path.toStdU16String();
  files.arrays = arrays_of(figure);
  files.csv = csv_of(figure);
  const nlohmann::json drawing = describeFigure(figure, spec);
  files.json = companion_json(origin(spec, path), spec, figure, files, drawing);
  const QString suffix = QFileInfo(path).suffix().toLower();
  files.figure = suffix == QStringLiteral("svg")   ? figureSvg(figure, spec, files.json)
                 : suffix == QStringLiteral("png") ? figurePng(figure, spec, files.json)
                                                   : figurePdf(figure, spec, files.json);
  write_figure_files(files);
}

bool ExportDialog::saveTo(const QString& path) {
  const auto from = material();
  if (!from) return false;
  try {
    int count = 1;
    if (m_layer->currentData().toString() == QStringLiteral("all")) {
      count = m_explorer->layers();
      for (int layer = 0; layer < count; ++layer) {
        FigureSpec one = spec();
        for (FigurePanel& panel : one.panels) panel.layer = panel.layer < 0 ? -1 : layer;
        const QFileInfo info(path);
        writeOne(one, *from,
                 QStringLiteral("%1/%2-%3.%4").arg(info.path(), info.completeBaseName()).arg(layer).arg(info.suffix()));
      }
    } else {
      writeOne(spec(), *from, path);
    }
    m_message->setText(count == 1 ? tr("Figure saved, with its data and description.")
                                  : tr("%1 figures saved, with their data and descriptions.").arg(count));
    return true;
  } catch (const std::exception& error) {
    m_message->setText(QString::fromUtf8(error.what()));
    return false;
  }
}

void ExportDialog::choosePath() {
  QString path =
      QFileDialog::getSaveFileName(this, tr("Save figure"), m_what->currentText().toLower() + QStringLiteral(".pdf"),
                                   tr("PDF (*.pdf);;SVG (*.svg);;PNG (*.png)"));
  if (path.isEmpty()) return;
  if (QFileInfo(path).suffix().isEmpty()) path += QStringLiteral(".pdf");
  saveTo(path);
}

void ExportDialog::copyFigure() {
  if (!m_data) return;
  QApplication::clipboard()->setImage(figureImage(*m_data, m_shown, static_cast<double>(m_shown.dpi) / 72));
  m_message->setText(tr("Figure copied, %1 dpi.").arg(m_shown.dpi));
}

void ExportDialog::copyData() {
  if (!m_data) return;
  std::string text = csv_of(*m_data);
  if (text.empty()) text = describeFigure(*m_data, m_shown).dump(2) + "\n";
  QApplication::clipboard()->setText(QString::fromStdString(text));
  m_message->setText(tr("Data copied."));
}

}  // namespace dhsa
