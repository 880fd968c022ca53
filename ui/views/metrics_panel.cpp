#include "ui/views/metrics_panel.h"

#include <QAccessible>
#include <QGridLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLocale>
#include <QPainter>
#include <QTreeView>
#include <algorithm>
#include <cmath>

#include "ui/models/format.h"
#include "ui/models/layer_model.h"
#include "ui/state/explorer.h"
#include "ui/views/bar_delegate.h"
#include "ui/views/fitting_columns.h"
#include "ui/views/theme.h"

namespace dhsa {
namespace {

// Of the layer in view.
const std::vector<Measure>& tileMeasures() {
  static const std::vector<Measure> list = layer_measures();
  return list;
}

QString keyOf(const Measure& measure) {
  return QString::fromLatin1(measure.key.data(), static_cast<qsizetype>(measure.key.size()));
}

// "Worst head (2)"
QString worstHeadCaption(const Measure& measure, const MeasuredLayer& layer) {
  const auto& heads = layer.metrics.heads;
  if (heads.empty()) return measureLabel(measure);
  const auto worst = std::min_element(heads.begin(), heads.end(), [](const Values& a, const Values& b) {
    return a.value("retained_mass") < b.value("retained_mass");
  });
  return QStringLiteral("%1 (%2)").arg(measureLabel(measure)).arg(worst - heads.begin());
}

// The change against another value: "+1.2", and "≈ +1.2" where one of them is sampled.
QString formatChange(const Measured& value, const Measured& against) {
  const double change = value.value - against.value;
  const QString sign = change < 0 ? QStringLiteral("−") : QStringLiteral("+");
  const bool exact = !value.sampled() && !against.sampled();
  return (exact ? QString() : QStringLiteral("≈ ")) + sign + QLocale().toString(std::abs(change) * 100, 'f', 1);
}

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
          m_compact ? line * 13 / 10 : line * 9 / 4 + 7};
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
    // Caption, value and comparison on one line, the last at the right edge.
    const int left = small.horizontalAdvance(QStringLiteral("Remaining")) + 10;
    QFont bold = font();
    bold.setWeight(QFont::DemiBold);
    const int room = width() - left - QFontMetrics(bold).horizontalAdvance(m_value) - 8;
    painter.drawText(rect(), Qt::AlignLeft | Qt::AlignVCenter, m_caption);
    painter.setPen(colours.accent);
    painter.drawText(rect(), Qt::AlignRight | Qt::AlignVCenter, small.elidedText(m_difference, Qt::ElideRight, room));
    painter.setFont(bold);
    painter.setPen(palette().color(QPalette::WindowText));
    painter.drawText(rect().adjusted(left, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter, m_value);
    return;
  }
  QFont large = font();
  large.setWeight(QFont::DemiBold);
  large.setPointSizeF(font().pointSizeF() * 1.3);
  if (QFontMetrics(large).horizontalAdvance(m_value) > width()) large.setPointSizeF(font().pointSizeF());
  const QFontMetrics metrics(large);
  const int line = QFontMetrics(font()).height() * 13 / 10;
  // Beside the value where there is room, else beside the caption.
  const int change = m_difference.isEmpty() ? 0 : small.horizontalAdvance(m_difference) + 6;
  const bool below = metrics.horizontalAdvance(m_value) + change <= width();
  const int caption = width() - (below ? 0 : change);
  painter.drawText(QRect(0, 0, caption, small.height()), Qt::AlignLeft | Qt::AlignVCenter,
                   small.elidedText(m_caption, Qt::ElideRight, caption));
  painter.setPen(colours.accent);
  painter.drawText(below ? QRect(metrics.horizontalAdvance(m_value) + 6, small.height(), change, line)
                         : QRect(caption, 0, change, small.height()),
                   (below ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter, m_difference);
  painter.setFont(large);
  painter.setPen(palette().color(QPalette::WindowText));
  painter.drawText(QRect(0, small.height(), width(), line), Qt::AlignLeft | Qt::AlignVCenter, m_value);
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
  for (std::size_t i = 0; i < tileMeasures().size(); ++i) {
    const Measure& measure = tileMeasures()[i];
    auto* tile = new MetricTile(measureLabel(measure), measureHelp(measure), this);
    tile->setObjectName(QStringLiteral("metric-") + keyOf(measure));
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
  new FittingColumns(m_table, m_table->header(), LayerModel::leaving(), {LayerModel::kName},
                     fontMetrics().horizontalAdvance(QStringLiteral("00 global")) + 28);
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
    refresh();
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
  const bool whatIf = m_explorer->whatIf()->isWhatIf(index);
  const QString outdated = m_explorer->whatIf()->outdatedNote(index);
  if (layer) {
    heading += layer->plan->mask.window() > 0 ? tr(" · local, window %1").arg(formatCount(layer->plan->mask.window()))
                                              : tr(" · global");
    heading += layer->metrics.values.sampled() ? tr(" · ≈ one row in %1").arg(formatCount(layer->row_step()))
                                               : tr(" · all rows");
    if (!layer->captured && !outdated.isEmpty())
      heading += tr(" · <i>of the last run</i>");
    else if (whatIf)
      heading += tr(" · <i>what-if</i>");
  }
  m_heading->setText(heading);
  m_heading->setToolTip(
      !outdated.isEmpty() ? outdated
      : whatIf            ? tr("Re-planned on the queries and keys of the last run; run again (F5) to let the changed "
                                          "layers act on those after them.")
                          : tr("Figures of the layer in view; they follow every change of a parameter."));

  const Run* pinned = m_explorer->history()->comparison();
  const bool known = pinned && static_cast<std::size_t>(index) < pinned->result.metrics.size();
  for (std::size_t i = 0; i < tileMeasures().size(); ++i) {
    const Measure& measure = tileMeasures()[i];
    const Measured* value = layer ? layer->metrics.values.find(measure.key) : nullptr;
    const Measured* against =
        known ? pinned->result.metrics[static_cast<std::size_t>(index)].values.find(measure.key) : nullptr;
    if (!value) {
      m_tiles[i]->setValue(QStringLiteral("–"), 0, {});
      continue;
    }
    QStringList help{measureHelp(measure), sampledNote(measure, *value)};
    if (against && (value->sampled() || against->sampled())) {
      help << tr("The pinned run: %1. %2")
                  .arg(formatMeasured(measure, *against),
                       against->sampled() ? sampledNote(measure, *against) : tr("All rows."));
    }
    help.removeAll(QString());
    if (measure.key == "worst_head_mass") m_tiles[i]->setCaption(worstHeadCaption(measure, *layer));
    m_tiles[i]->setValue(formatMeasured(measure, *value), value->value,
                         against ? formatChange(*value, *against) : QString());
    m_tiles[i]->setToolTip(help.join(u' '));
  }
}

void MetricsPanel::refreshLogits() {
  const Run* run = m_explorer->history()->current();
  // Another run than the one the present parameters would make.
  const bool old = run && m_explorer->parameters()->values() != run->parameters;
  QString text;
  if (run && run->parameters.method == Method::kDense) {
    text = tr("Logits: this run is dense.");
  } else if (run && run->result.logits) {
    const LogitCloseness& logits = *run->result.logits;
    text = tr("<b>Logits</b> KL %1 nats · same top token %2 (%3)")
               .arg(formatMeasured(measure("mean_kl_nats"), logits.mean_kl),
                    formatMeasured(measure("same_top"), logits.same_top),
                    logits.mean_kl.sampled()
                        ? tr("%1 of %2 positions").arg(formatCount(logits.positions), formatCount(run->input.tokens))
                        : tr("all %1 positions").arg(formatCount(logits.positions)));
  } else if (m_explorer->engine()->isBusy(JobKind::kCompare)) {
    text = tr("Logits: comparing with dense…");
  } else if (run) {
    text = tr("Logits: not compared with dense yet (F6).");
  } else {
    text = tr("Logits: after the first run.");
  }
  if (run && !run->answer.isEmpty())
    text += QStringLiteral("<br>") + tr("<b>Answer</b> %1").arg(run->answer.toHtmlEscaped());
  const Run* dense = m_explorer->history()->dense();
  if (run && dense && dense != run && !dense->answer.isEmpty())
    text += tr(" · <b>dense's</b> %1").arg(dense->answer.toHtmlEscaped());
  m_logits->setEnabled(!old);
  m_logits->setText(old ? tr("<i>Of the last run, %1:</i> ").arg(run->label.toHtmlEscaped()) + text : text);
}

}  // namespace dhsa
