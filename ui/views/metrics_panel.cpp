#include "ui/views/metrics_panel.h"

#include <QAccessible>
#include <QGridLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLocale>
#include <QPainter>
#include <QTreeView>
#include <algorithm>
#include <array>
#include <cmath>

#include "ui/models/format.h"
#include "ui/models/layer_model.h"
#include "ui/state/explorer.h"
#include "ui/views/bar_delegate.h"
#include "ui/views/fitting_columns.h"
#include "ui/views/theme.h"

namespace dhsa {
namespace {

struct MetricEntry {
  const char* name;
  const char* caption;
  const char* help;
  const char* measure;
};

constexpr std::array kMetrics = {
    MetricEntry{"density", QT_TRANSLATE_NOOP("dhsa::MetricsPanel", "Density"),
                QT_TRANSLATE_NOOP("dhsa::MetricsPanel",
                                  "Kept pairs as a share of all pairs that causality and the window allow. Lower is "
                                  "cheaper."),
                "density"},
    MetricEntry{"retained", QT_TRANSLATE_NOOP("dhsa::MetricsPanel", "Retained mass"),
                QT_TRANSLATE_NOOP("dhsa::MetricsPanel",
                                  "Dense attention mass on the kept keys, averaged over rows and heads. Higher is "
                                  "better."),
                "retained_mass"},
    MetricEntry{"oracle", QT_TRANSLATE_NOOP("dhsa::MetricsPanel", "Of oracle"),
                QT_TRANSLATE_NOOP("dhsa::MetricsPanel",
                                  "Retained mass as a share of what each row's own best keys, as many, would retain."),
                "of_oracle"},
    MetricEntry{"iou", QT_TRANSLATE_NOOP("dhsa::MetricsPanel", "IoU with oracle"),
                QT_TRANSLATE_NOOP("dhsa::MetricsPanel",
                                  "Intersection over union of the kept keys and each row's own best keys."),
                "iou"},
    MetricEntry{"error", QT_TRANSLATE_NOOP("dhsa::MetricsPanel", "Output error"),
                QT_TRANSLATE_NOOP("dhsa::MetricsPanel",
                                  "Norm of the difference between sparse and dense attention output, relative to "
                                  "dense, mean over heads. Lower is better."),
                "output_error"},
    MetricEntry{"worst-rows", QT_TRANSLATE_NOOP("dhsa::MetricsPanel", "Worst 1 % of rows"),
                QT_TRANSLATE_NOOP("dhsa::MetricsPanel", "Retained mass of the worst hundredth of all rows and heads."),
                "worst_rows_mass"},
};

}  // namespace

MetricTile::MetricTile(const QString& caption, const QString& help, QWidget* parent)
    : QWidget(parent), m_caption(caption) {
  setAccessibleName(caption);
  setToolTip(help);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void MetricTile::setCompact() {
  m_compact = true;
  updateGeometry();
}

QSize MetricTile::sizeHint() const {
  const int line = fontMetrics().height();
  return {fontMetrics().horizontalAdvance(QStringLiteral("Worst 1 % of rows")) + 8,
          m_compact ? line * 13 / 10 : line * 5 / 2 + 8};
}

void MetricTile::setValue(const QString& value, double share, const QString& difference) {
  m_value = value;
  m_share = share;
  m_difference = difference;
  setAccessibleDescription(difference.isEmpty() ? value : tr("%1, %2 against the pinned run").arg(value, difference));
  update();
}

void MetricTile::setCaption(const QString& caption) {
  m_caption = caption;
  setAccessibleName(caption);
  update();
}

void MetricTile::setDimmed(bool dimmed) {
  m_dimmed = dimmed;
  update();
}

void MetricTile::paintEvent(QPaintEvent* /*event*/) {
  QPainter painter(this);
  const Colours colours(palette());
  if (m_dimmed) painter.setOpacity(0.5);
  const QFontMetrics small(font());
  painter.setPen(colours.faint);
  if (m_compact) {
    // Caption, value and comparison on one line, in columns.
    const int columns[] = {small.horizontalAdvance(QStringLiteral("Remaining")) + 10,
                           small.horizontalAdvance(QStringLiteral("0000.0 MiB")) + 14};
    const auto cell = [&](int left, const QString& text) {
      painter.drawText(QRect(left, 0, width() - left, height()), Qt::AlignLeft | Qt::AlignVCenter,
                       small.elidedText(text, Qt::ElideRight, width() - left));
    };
    cell(0, m_caption);
    painter.setPen(colours.accent);
    cell(columns[0] + columns[1], m_difference);
    QFont bold = font();
    bold.setWeight(QFont::DemiBold);
    painter.setFont(bold);
    painter.setPen(palette().color(QPalette::WindowText));
    painter.drawText(QRect(columns[0], 0, columns[1], height()), Qt::AlignLeft | Qt::AlignVCenter, m_value);
    return;
  }
  painter.drawText(QRect(0, 0, width(), small.height()), Qt::AlignLeft | Qt::AlignVCenter,
                   small.elidedText(m_caption, Qt::ElideRight, width()));
  QFont large = font();
  large.setPointSizeF(font().pointSizeF() * 1.3);
  large.setWeight(QFont::DemiBold);
  const QFontMetrics metrics(large);
  const int top = small.height();
  painter.setFont(large);
  painter.setPen(palette().color(QPalette::WindowText));
  painter.drawText(QRect(0, top, width(), metrics.height()), Qt::AlignLeft | Qt::AlignVCenter, m_value);
  if (!m_difference.isEmpty()) {
    painter.setFont(font());
    painter.setPen(colours.accent);
    const int from = metrics.horizontalAdvance(m_value) + 6;
    painter.drawText(QRect(from, top, width() - from, metrics.height()), Qt::AlignLeft | Qt::AlignVCenter,
                     m_difference);
  }
  if (m_share >= 0) {
    const QRectF bar(0, height() - 5, width() - 10, 3);
    painter.setPen(Qt::NoPen);
    painter.setBrush(colours.grid);
    painter.drawRoundedRect(bar, 1.5, 1.5);
    painter.setBrush(colours.accent);
    painter.drawRoundedRect(QRectF(bar.left(), bar.top(), bar.width() * std::clamp(m_share, 0.0, 1.0), bar.height()),
                            1.5, 1.5);
  }
}

MetricsPanel::MetricsPanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_model(new LayerModel(explorer, this)),
      m_heading(new QLabel(this)),
      m_logits(new QLabel(this)),
      m_table(new QTreeView(this)) {
  setObjectName(QStringLiteral("metricsPanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(8, 6, 4, 4);
  layout->setSpacing(5);
  m_heading->setObjectName(QStringLiteral("metricsHeading"));
  m_heading->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  layout->addWidget(m_heading);

  auto* grid = new QGridLayout;
  grid->setHorizontalSpacing(10);
  grid->setVerticalSpacing(4);
  for (std::size_t i = 0; i < kMetrics.size(); ++i) {
    auto* tile = new MetricTile(tr(kMetrics[i].caption), tr(kMetrics[i].help), this);
    tile->setObjectName(QStringLiteral("metric-") + QString::fromLatin1(kMetrics[i].name));
    grid->addWidget(tile, static_cast<int>(i) / 2, static_cast<int>(i) % 2);
    m_tiles.push_back(tile);
  }
  layout->addLayout(grid);

  m_logits->setObjectName(QStringLiteral("logits"));
  m_logits->setWordWrap(true);
  m_logits->setToolTip(
      tr("Logits of the last run against those of a dense run: mean KL divergence in nats, and the share "
         "of positions whose most likely next token is the same."));
  layout->addWidget(m_logits);

  m_table->setObjectName(QStringLiteral("layerTable"));
  m_table->setAccessibleName(tr("Metrics of all layers and heads"));
  m_table->setModel(m_model);
  m_table->setUniformRowHeights(true);
  m_table->setAlternatingRowColors(true);
  m_table->setFrameShape(QFrame::NoFrame);
  m_table->setIndentation(12);
  m_table->setItemDelegate(new BarDelegate(LayerModel::kShareRole, m_table));
  m_table->header()->setMinimumSectionSize(36);
  // Times stand in the bars of the run as well, and the figures of the layer in view in the tiles.
  new FittingColumns(
      m_table, m_table->header(),
      {LayerModel::kPlan, LayerModel::kAttend, LayerModel::kOracle, LayerModel::kError, LayerModel::kIou},
      LayerModel::kName, fontMetrics().horizontalAdvance(QStringLiteral("00 global")) + 28);
  m_table->setMinimumHeight(fontMetrics().height() * 4);
  layout->addWidget(m_table, 1);

  connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this, [this](const QModelIndex& index) {
    if (!index.isValid()) return;
    const QModelIndex top = index.parent();
    m_explorer->view()->setLayer(top.isValid() ? top.row() : index.row());
    if (top.isValid()) m_explorer->view()->setHead(index.row());
  });
  connect(explorer->whatIf(), &WhatIf::layersReset, this, &MetricsPanel::refresh);
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, [this](int layer) {
    if (layer == m_explorer->view()->layer()) refresh();
  });
  connect(explorer->whatIf(), &WhatIf::staleChanged, this, [this](bool stale) {
    for (MetricTile* tile : m_tiles) tile->setDimmed(stale);
  });
  connect(explorer->view(), &ViewState::layerChanged, this, [this](int layer) {
    const QModelIndex now = m_table->currentIndex();
    const int shown = now.parent().isValid() ? now.parent().row() : now.row();
    if (shown != layer) m_table->setCurrentIndex(m_model->index(layer, 0));
    refresh();
  });
  connect(explorer->history()->runs(), &RunList::pinnedChanged, this, &MetricsPanel::refresh);
  connect(explorer->history()->runs(), &RunList::changed, this, &MetricsPanel::refreshLogits);
  connect(explorer->history(), &RunHistory::currentChanged, this, &MetricsPanel::refreshLogits);
  connect(explorer, &Explorer::busyChanged, this, &MetricsPanel::refreshLogits);
  connect(explorer->parameters(), &ParameterSet::changed, this, &MetricsPanel::refreshLogits);
  refresh();
  refreshLogits();
}

void MetricsPanel::refresh() {
  const auto layer = m_explorer->whatIf()->layerInView();
  const int index = m_explorer->view()->layer();
  QString heading = tr("<b>Layer %1</b>").arg(index);
  if (layer && layer->plan) {
    heading += layer->plan->mask.window() > 0 ? tr(" · local, window %1").arg(formatCount(layer->plan->mask.window()))
                                              : tr(" · global");
    if (layer->metrics) {
      heading += layer->rowStep > 1 ? tr(" · one row in %1").arg(layer->rowStep) : tr(" · all rows");
    }
    if (layer->whatIf) heading += tr(" · <i>what-if</i>");
  }
  m_heading->setText(heading);
  m_heading->setToolTip(
      layer && layer->whatIf
          ? tr("Re-planned on the queries and keys of the last run; run again (F5) to let the changed "
               "layers act on those after them.")
          : tr("Figures of the layer in view; they follow every change of a parameter."));

  const Run* pinned = m_explorer->history()->comparison();
  const MaskMetrics* against = nullptr;
  if (pinned && static_cast<std::size_t>(index) < pinned->metrics.size() &&
      pinned->metrics[static_cast<std::size_t>(index)]) {
    against = &*pinned->metrics[static_cast<std::size_t>(index)];
  }
  // Sampled figures differ from exact ones of the same mask.
  const bool alike = against && layer && pinned->rowSteps[static_cast<std::size_t>(index)] == layer->rowStep;
  for (std::size_t i = 0; i < kMetrics.size(); ++i) {
    const bool isError = kMetrics[i].measure == std::string_view("output_error");
    if (!layer || !layer->metrics) {
      m_tiles[i]->setValue(QStringLiteral("–"), isError ? -1 : 0, {});
      continue;
    }
    const double value = layer->metrics->value(kMetrics[i].measure);
    QString difference;
    if (against) {
      const double change = value - against->value(kMetrics[i].measure);
      const QString sign = change < 0 ? QStringLiteral("−") : QStringLiteral("+");
      difference = (alike ? QString() : QStringLiteral("≈ ")) + sign +
                   (isError ? formatReal(std::abs(change), 2) : QLocale().toString(std::abs(change) * 100, 'f', 1));
    }
    const bool sampled = layer->metrics->values.at(kMetrics[i].measure).sampled();
    m_tiles[i]->setValue(formatSampled(isError ? formatReal(value) : formatPercent(value), sampled),
                         isError ? -1 : value, difference);
    m_tiles[i]->setToolTip(sampled
                               ? tr("%1 ≈: measured on one row in %2.").arg(tr(kMetrics[i].help)).arg(layer->rowStep)
                               : tr(kMetrics[i].help));
  }
}

void MetricsPanel::refreshLogits() {
  const Run* run = m_explorer->history()->current();
  // Another run than the one the present parameters would make.
  const bool old = run && m_explorer->parameters()->values() != run->parameters;
  QString text;
  if (run && run->parameters.method == Method::kDense) {
    text = tr("Logits: this run is dense.");
  } else if (run && run->logits) {
    text = tr("<b>Logits</b> KL %1 nats · same top token %2 (%3 positions)")
               .arg(formatReal(run->logits->meanKl), formatPercent(run->logits->sameTop))
               .arg(run->logits->positions);
  } else if (m_explorer->engine()->isBusy(JobKind::kCompare)) {
    text = tr("Logits: comparing with dense…");
  } else if (run) {
    text = tr("Logits: not compared with dense yet (F6).");
  } else {
    text = tr("Logits: after the first run.");
  }
  if (run && !run->answer.isEmpty())
    text += QStringLiteral("<br>") + tr("<b>Answer</b> %1").arg(run->answer.toHtmlEscaped());
  m_logits->setEnabled(!old);
  m_logits->setText(old ? tr("<i>Of the last run, %1:</i> ").arg(run->label.toHtmlEscaped()) + text : text);
}

}  // namespace dhsa
