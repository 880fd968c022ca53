#include "ui/views/performance_panel.h"

#include <QGridLayout>
#include <QHelpEvent>
#include <QLabel>
#include <QLocale>
#include <QPainter>
#include <QProgressBar>
#include <QPushButton>
#include <QScrollArea>
#include <QToolTip>
#include <algorithm>
#include <array>

#include "core/base/memory.h"
#include "ui/models/format.h"
#include "ui/state/explorer.h"
#include "ui/views/metrics_panel.h"
#include "ui/views/theme.h"

namespace dhsa {
namespace {

// Stages of a layer, in the order they run; embedding and logits belong to none.
constexpr std::array kLayerStages = {Stage::kQkv, Stage::kPlan, Stage::kAttend, Stage::kOutput, Stage::kMlp};

QString stageLabel(Stage stage) {
  switch (stage) {
    case Stage::kEmbed:
      return StageBars::tr("embed");
    case Stage::kQkv:
      return StageBars::tr("q, k, v");
    case Stage::kPlan:
      return StageBars::tr("plan");
    case Stage::kAttend:
      return StageBars::tr("attend");
    case Stage::kOutput:
      return StageBars::tr("output");
    case Stage::kMlp:
      return StageBars::tr("MLP");
    case Stage::kLogits:
      return StageBars::tr("logits");
  }
  return {};
}

}  // namespace

StageBars::StageBars(const Explorer* explorer, QWidget* parent) : QWidget(parent), m_explorer(explorer) {
  setObjectName(QStringLiteral("stageBars"));
  setAccessibleName(tr("Time of each stage in each layer"));
  setMouseTracking(true);
}

int StageBars::legendHeight() const { return 2 * fontMetrics().height() + 4; }
// Never less than the numbers need: where there is no room for all layers, they scroll.
int StageBars::rowHeight() const {
  const int layers = std::max(1, m_explorer->whatIf()->layers());
  return std::clamp((height() - legendHeight()) / layers, fontMetrics().height() - 2, fontMetrics().height() + 5);
}
QSize StageBars::sizeHint() const {
  return {260, legendHeight() + std::max(1, m_explorer->whatIf()->layers()) * (fontMetrics().height() + 2)};
}
QSize StageBars::minimumSizeHint() const {
  return {160, legendHeight() + std::max(1, m_explorer->whatIf()->layers()) * (fontMetrics().height() - 2)};
}

// Of the run under way; afterwards of the run in view, not of the dense one it was compared with.
std::span<const StageReport> StageBars::stages() const {
  const RunProgress& progress = m_explorer->history()->progress();
  const Run* run = m_explorer->history()->current();
  return progress.running || !run ? progress.stages : run->result.trace.stages;
}

double StageBars::layerSeconds(int layer) const {
  double sum = 0;
  for (const StageReport& report : stages()) {
    if (report.layer == layer) sum += report.seconds;
  }
  return sum;
}

void StageBars::paintEvent(QPaintEvent* /*event*/) {
  QPainter painter(this);
  const Colours colours(palette());
  const RunProgress& progress = m_explorer->history()->progress();
  const std::span<const StageReport> reports = stages();
  const int layers = progress.layers > 0 ? progress.layers : m_explorer->whatIf()->layers();
  const QFontMetrics metrics(font());
  const int labels = metrics.horizontalAdvance(QStringLiteral("00")) + 8;

  const Run* dense = m_explorer->history()->dense();
  const Run* run = m_explorer->history()->current();
  const bool isDense = progress.running ? progress.dense : run && run->parameters.method == Method::kDense;
  if (isDense) dense = nullptr;

  std::vector<std::array<double, kStageCount>> seconds(static_cast<std::size_t>(layers));
  for (const StageReport& report : reports) {
    if (report.layer >= 0 && report.layer < layers) {
      seconds[static_cast<std::size_t>(report.layer)][static_cast<std::size_t>(report.stage)] += report.seconds;
    }
  }
  double longest = 1e-3;
  for (int layer = 0; layer < layers; ++layer) {
    double total = 0;
    for (const double s : seconds[static_cast<std::size_t>(layer)]) total += s;
    longest = std::max(longest, total);
    if (dense) {
      double denseTotal = 0;
      for (const Stage stage : kLayerStages) denseTotal += dense->result.trace.stage_seconds(stage, layer);
      longest = std::max(longest, denseTotal);
    }
  }

  const int row = rowHeight();
  const double times = metrics.horizontalAdvance(QStringLiteral("000 ms")) + 6;
  const double room = width() - labels - times - 4;
  for (int layer = 0; layer < layers; ++layer) {
    const int top = legendHeight() + layer * row;
    painter.setPen(layer == m_explorer->view()->layer() ? palette().color(QPalette::WindowText) : colours.faint);
    painter.drawText(QRect(0, top, labels - 6, row), Qt::AlignRight | Qt::AlignVCenter, QString::number(layer));
    double x = labels;
    double total = 0;
    const double thickness = std::max(2, row - 4);
    painter.fillRect(QRectF(x, top + (row - thickness) / 2, room, thickness),
                     mixed(palette().color(QPalette::Window), colours.grid, 0.5));
    for (const Stage stage : kLayerStages) {
      const double s = seconds[static_cast<std::size_t>(layer)][static_cast<std::size_t>(stage)];
      total += s;
      const double length = s / longest * room;
      painter.fillRect(QRectF(x, top + (row - thickness) / 2, length, thickness),
                       colours.stage[static_cast<std::size_t>(stage)]);
      // A seam tells neighbours apart where their colours do not.
      if (length > 2)
        painter.fillRect(QRectF(x + length - 0.7, top + (row - thickness) / 2, 0.7, thickness), palette().window());
      x += length;
    }
    if (progress.running && progress.layer == layer) {
      painter.fillRect(QRectF(x, top + (row - thickness) / 2, 4, thickness), palette().color(QPalette::WindowText));
    }
    if (dense) {
      double denseTotal = 0;
      for (const Stage stage : kLayerStages) denseTotal += dense->result.trace.stage_seconds(stage, layer);
      const double at = labels + denseTotal / longest * room;
      painter.fillRect(QRectF(at - 1, top + 1, 2, row - 2), palette().color(QPalette::WindowText));
    }
    if (total > 0) {
      painter.setPen(colours.faint);
      painter.drawText(QRectF(width() - times, top, times, row), Qt::AlignRight | Qt::AlignVCenter,
                       formatSeconds(total));
    }
  }

  // Legend.
  double x = 2;
  int top = 0;
  const auto entry = [&](const QString& text, const QColor& colour, double swatch) {
    const double length = 13 + metrics.horizontalAdvance(text);
    if (x + length > width()) {
      x = 2;
      top += metrics.height();
    }
    painter.fillRect(QRectF(x, top + 3, swatch, metrics.height() - 6), colour);
    painter.setPen(colours.faint);
    painter.drawText(QRectF(x + 12, top, length, metrics.height()), Qt::AlignLeft | Qt::AlignVCenter, text);
    x += length + 8;
  };
  for (const Stage stage : kLayerStages) entry(stageLabel(stage), colours.stage[static_cast<std::size_t>(stage)], 9);
  if (dense) entry(tr("dense, whole layer"), palette().color(QPalette::WindowText), 2);
}

bool StageBars::event(QEvent* event) {
  if (event->type() != QEvent::ToolTip) return QWidget::event(event);
  auto* help = static_cast<QHelpEvent*>(event);
  const int layer = (help->pos().y() - legendHeight()) / rowHeight();
  if (help->pos().y() < legendHeight() || layer >= m_explorer->whatIf()->layers()) {
    QToolTip::hideText();
    return true;
  }
  QStringList lines{tr("Layer %1: %2").arg(layer).arg(formatSeconds(layerSeconds(layer)))};
  for (const StageReport& report : stages()) {
    if (report.layer == layer)
      lines << QStringLiteral("%1  %2").arg(stageLabel(report.stage), formatSeconds(report.seconds));
  }
  QToolTip::showText(help->globalPos(), lines.join(u'\n'), this);
  return true;
}

PerformancePanel::PerformancePanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_heading(new QLabel(this)),
      m_progress(new QProgressBar(this)),
      m_cancel(new QPushButton(tr("Cancel"), this)),
      m_time(new MetricTile(tr("Elapsed"),
                            tr("Elapsed: wall-clock time of the run, with what is measured, answered and drawn in "
                               "between. Prefill: the sum of its stages alone, what methods are compared by."),
                            this)),
      m_remaining(new MetricTile(tr("Remaining"),
                                 tr("Estimated from the last two layers; after a run: dense prefill time "
                                    "divided by this one, and the time of dense"),
                                 this)),
      m_resident(new MetricTile(tr("Resident"), tr("Memory of the whole program now, and the highest since it started"),
                                this)),
      m_peak(new MetricTile(
          tr("Peak of run"),
          tr("Most memory in use during the prefill, and during the dense one. What the window keeps and measures of "
             "a run is not in it."),
          this)),
      m_bars(new StageBars(explorer, this)) {
  setObjectName(QStringLiteral("performancePanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(8, 6, 6, 4);
  layout->setSpacing(5);
  m_heading->setObjectName(QStringLiteral("performanceHeading"));
  m_heading->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  auto* top = new QHBoxLayout;
  m_progress->setRange(0, 1000);
  m_progress->setTextVisible(false);
  m_progress->setFixedHeight(10);
  m_progress->setAccessibleName(tr("Progress of the run"));
  m_cancel->setObjectName(QStringLiteral("cancel"));
  m_cancel->setAccessibleName(tr("Cancel the run"));
  m_cancel->setToolTip(tr("Stop the run; what is shown stays (Shift+F5)"));
  top->addWidget(m_progress, 1);
  top->addWidget(m_cancel);
  layout->addWidget(m_heading);
  layout->addLayout(top);
  for (MetricTile* tile : {m_time, m_remaining, m_resident, m_peak}) tile->setCompact();
  auto* figures = new QVBoxLayout;
  figures->setSpacing(1);
  for (MetricTile* tile : {m_time, m_remaining, m_resident, m_peak}) figures->addWidget(tile);
  layout->addLayout(figures);
  auto* scroll = new QScrollArea(this);
  scroll->setObjectName(QStringLiteral("stageScroll"));
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  scroll->setWidgetResizable(true);
  scroll->setWidget(m_bars);
  scroll->setMinimumHeight(m_bars->legendHeight() + 4 * fontMetrics().height());
  layout->addWidget(scroll, 1);
  m_time->setObjectName(QStringLiteral("elapsed"));
  m_remaining->setObjectName(QStringLiteral("remaining"));
  m_resident->setObjectName(QStringLiteral("resident"));
  m_peak->setObjectName(QStringLiteral("peak"));

  connect(m_cancel, &QPushButton::clicked, explorer, &Explorer::cancel);
  connect(explorer->history(), &RunHistory::progressChanged, this, &PerformancePanel::refresh);
  connect(explorer, &Explorer::busyChanged, this, &PerformancePanel::refresh);
  connect(explorer->history(), &RunHistory::currentChanged, this, &PerformancePanel::refresh);
  connect(explorer->whatIf(), &WhatIf::layersReset, m_bars, &QWidget::updateGeometry);
  connect(explorer->history()->runs(), &RunList::added, this, &PerformancePanel::refresh);
  refresh();
}

void PerformancePanel::refresh() {
  const RunProgress& progress = m_explorer->history()->progress();
  Engine* engine = m_explorer->engine();
  const bool loading = engine->isBusy(JobKind::kLoadModel) || engine->isBusy(JobKind::kLoadDocument);
  const bool comparing = engine->isBusy(JobKind::kCompare);
  m_cancel->setEnabled(progress.running || loading || comparing || engine->isBusy(JobKind::kPrefill));
  const Run* dense = m_explorer->history()->dense();
  const Run* run = m_explorer->history()->current();

  if (progress.running) {
    const QString what = progress.dense ? tr("Dense") : tr("Prefill");
    m_heading->setToolTip(progress.dense
                              ? tr("Dense prefill of %1 tokens, to compare with").arg(formatCount(progress.tokens))
                              : tr("Prefill of %1 tokens").arg(formatCount(progress.tokens)));
    m_heading->setText(progress.layer >= 0 ? tr("<b>%1</b> · layer %2 of %3 · %4")
                                                 .arg(what)
                                                 .arg(progress.layer + 1)
                                                 .arg(progress.layers)
                                                 .arg(stageLabel(progress.stage))
                                           : tr("<b>%1</b> · %2").arg(what, stageLabel(progress.stage)));
  } else if (loading) {
    m_heading->setText(engine->isBusy(JobKind::kLoadModel) ? tr("<b>Loading the model</b>")
                                                           : tr("<b>Reading the text</b>"));
  } else if (comparing) {
    m_heading->setText(tr("<b>Comparing logits with dense</b>"));
  } else if (run) {
    m_heading->setText(tr("<b>%1</b> · %2 tokens").arg(run->label.toHtmlEscaped(), formatCount(run->input.tokens)));
  } else {
    m_heading->setText(tr("<b>No run yet</b>"));
  }
  if (loading || (comparing && !progress.running)) {
    m_progress->setRange(0, 0);
  } else {
    m_progress->setRange(0, 1000);
    m_progress->setValue(progress.running || run ? static_cast<int>(progress.fraction() * 1000) : 0);
  }

  m_time->setCaption(progress.running ? tr("Elapsed") : tr("Prefill"));
  m_remaining->setCaption(progress.running ? tr("Remaining") : tr("Speed"));
  m_peak->setCaption(progress.running ? tr("Peak so far") : tr("Run\u2019s peak"));
  if (progress.running) {
    m_time->setValue(formatSeconds(progress.elapsed), -1, {});
  } else if (run) {
    m_time->setValue(formatSeconds(run->result.seconds), -1, tr("elapsed %1").arg(formatSeconds(run->elapsed)));
  } else {
    m_time->setValue(QStringLiteral("–"), -1, {});
  }
  if (progress.running) {
    m_remaining->setValue(progress.remaining <= 0 ? QStringLiteral("–") : formatSeconds(progress.remaining), -1, {});
  } else if (run && dense && run->parameters.method != Method::kDense && run->result.seconds > 0) {
    m_remaining->setValue(tr("%1×").arg(QLocale().toString(dense->result.seconds / run->result.seconds, 'f', 2)), -1,
                          tr("dense %1").arg(formatSeconds(dense->result.seconds)));
  } else {
    m_remaining->setValue(QStringLiteral("–"), -1, {});
  }
  const std::int64_t resident = resident_bytes();
  // The kernel's own highest starts anew with every measured run.
  m_highest = std::max({m_highest, resident, peak_resident_bytes()});
  m_resident->setValue(formatBytes(resident), -1, tr("most %1").arg(formatBytes(m_highest)));
  if (progress.running) {
    m_peak->setValue(formatBytes(std::max(progress.peakBytes, resident_bytes())), -1, {});
  } else if (run) {
    const bool fits = dense && dense->id != run->id;
    m_peak->setValue(formatBytes(run->result.peak_bytes), -1,
                     fits ? tr("dense %1").arg(formatBytes(dense->result.peak_bytes)) : QString());
  } else {
    m_peak->setValue(QStringLiteral("–"), -1, {});
  }
  m_bars->update();
}

}  // namespace dhsa
