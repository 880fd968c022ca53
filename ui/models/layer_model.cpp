#include "ui/models/layer_model.h"

#include <QStringList>
#include <cmath>

#include "ui/models/format.h"
#include "ui/state/explorer.h"

namespace dhsa {
namespace {

// internalId of a head is its layer + 1; of a layer, 0.
constexpr quintptr kTop = 0;

}  // namespace

LayerModel::LayerModel(const Explorer* explorer, QObject* parent) : QAbstractItemModel(parent), m_explorer(explorer) {
  connect(explorer->whatIf(), &WhatIf::layersReset, this, &LayerModel::reset);
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, [this](int layer) {
    if (layer >= m_layers) return;
    const QModelIndex top = index(layer, 0);
    Q_EMIT dataChanged(top, index(layer, kColumns - 1));
    if (m_heads > 0) Q_EMIT dataChanged(index(0, 0, top), index(m_heads - 1, kColumns - 1, top));
  });
  connect(explorer->history(), &RunHistory::currentChanged, this, [this] {
    if (m_layers > 0) Q_EMIT dataChanged(index(0, 0), index(m_layers - 1, kColumns - 1));
  });
  reset();
}

void LayerModel::reset() {
  beginResetModel();
  m_layers = m_explorer->whatIf()->layers();
  m_heads = m_explorer->session()->heads();
  endResetModel();
}

QModelIndex LayerModel::index(int row, int column, const QModelIndex& parent) const {
  if (!hasIndex(row, column, parent)) return {};
  return createIndex(row, column, parent.isValid() ? static_cast<quintptr>(parent.row()) + 1 : kTop);
}

QModelIndex LayerModel::parent(const QModelIndex& index) const {
  if (!index.isValid() || index.internalId() == kTop) return {};
  return createIndex(static_cast<int>(index.internalId()) - 1, 0, kTop);
}

int LayerModel::rowCount(const QModelIndex& parent) const {
  if (!parent.isValid()) return m_layers;
  return parent.internalId() == kTop && parent.column() == 0 ? m_heads : 0;
}

int LayerModel::columnCount(const QModelIndex& /*parent*/) const { return kColumns; }

double LayerModel::value(const QModelIndex& index) const {
  const bool isHead = index.internalId() != kTop;
  const int layerIndex = isHead ? static_cast<int>(index.internalId()) - 1 : index.row();
  const double unknown = std::nan("");
  const auto layer = m_explorer->whatIf()->layer(layerIndex);
  if (!layer || !layer->metrics) return unknown;
  const MaskMetrics& metrics = *layer->metrics;
  if (isHead) {
    const auto head = static_cast<std::size_t>(index.row());
    if (head >= metrics.heads.size()) return unknown;
    if (index.column() == kRetained) return metrics.heads[head].value("retained_mass");
    if (index.column() == kError) return metrics.heads[head].value("output_error");
    return unknown;
  }
  const Run* run = m_explorer->history()->current();
  switch (index.column()) {
    case kDensity:
      return metrics.value("density");
    case kRetained:
      return metrics.value("retained_mass");
    case kOracle:
      return metrics.value("of_oracle");
    case kIou:
      return metrics.value("iou");
    case kError:
      return metrics.value("output_error");
    case kPlan:
      return run && run->trace ? run->trace->stage_seconds(Stage::kPlan, layerIndex) : unknown;
    case kAttend:
      return run && run->trace ? run->trace->stage_seconds(Stage::kAttend, layerIndex) : unknown;
    default:
      return unknown;
  }
}

QVariant LayerModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const bool isHead = index.internalId() != kTop;
  if (role == Qt::TextAlignmentRole) {
    return QVariant(index.column() == kName ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role == kShareRole) {
    if (index.column() != kRetained) return {};
    const double share = value(index);
    return std::isnan(share) ? QVariant() : QVariant(share);
  }
  const auto shown = m_explorer->whatIf()->layer(isHead ? static_cast<int>(index.internalId()) - 1 : index.row());
  const bool sampled = shown && shown->metrics && shown->rowStep > 1;
  const bool mayBe =
      index.column() == kRetained || index.column() == kOracle || index.column() == kIou || index.column() == kError;
  if (role == Qt::ToolTipRole && sampled && mayBe) {
    return tr("≈: measured on one row in %1; exact figures come for the layer in view").arg(shown->rowStep);
  }
  if (role != Qt::DisplayRole) return {};
  switch (index.column()) {
    case kName:
      if (isHead) return tr("Head %1").arg(index.row());
      if (const auto model = m_explorer->session()->model(); model && index.row() < model->weights->config().layers) {
        return model->weights->config().window_of(index.row()) > 0 ? tr("%1 local").arg(index.row())
                                                                   : tr("%1 global").arg(index.row());
      }
      return index.row();
    case kError:
      return formatSampled(formatReal(value(index)), sampled);
    case kPlan:
    case kAttend:
      return formatSeconds(value(index));
    default:
      return formatSampled(formatPercent(value(index)), sampled && mayBe);
  }
}

QVariant LayerModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return QVariant(section == kName ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role == Qt::DisplayRole) {
    switch (section) {
      case kName:
        return tr("Layer");
      case kDensity:
        return tr("Density");
      case kRetained:
        return tr("Mass");
      case kOracle:
        return tr("Of oracle");
      case kIou:
        return tr("IoU");
      case kError:
        return tr("Error");
      case kPlan:
        return tr("Plan");
      default:
        return tr("Attend");
    }
  }
  if (role == Qt::ToolTipRole) {
    switch (section) {
      case kDensity:
        return tr("Kept pairs as a share of all causal pairs");
      case kRetained:
        return tr("Dense attention mass on kept keys, averaged over rows and heads");
      case kOracle:
        return tr("Retained mass as a share of what each row's own best keys would retain");
      case kIou:
        return tr("Overlap with each row's own best keys: intersection over union");
      case kError:
        return tr("Relative error of the attention output against dense");
      case kPlan:
        return tr("Time the last run took to plan this layer's mask");
      case kAttend:
        return tr("Time the last run took for this layer's attention");
      default:
        return {};
    }
  }
  return {};
}

QString LayerModel::tabSeparated() const {
  QStringList lines{
      QStringLiteral("layer\tkind\tdensity\tretained_mass\tworst_head_mass\tworst_rows_mass\tof_oracle\tiou"
                     "\toutput_error\trow_step")};
  for (int i = 0; i < m_layers; ++i) {
    const auto layer = m_explorer->whatIf()->layer(i);
    if (!layer || !layer->metrics) continue;
    const MaskMetrics& m = *layer->metrics;
    QStringList cells{QString::number(i),
                      layer->plan->mask.window() > 0 ? QStringLiteral("local") : QStringLiteral("global")};
    for (const char* key :
         {"density", "retained_mass", "worst_head_mass", "worst_rows_mass", "of_oracle", "iou", "output_error"}) {
      cells << QString::number(m.value(key), 'g', 10);
    }
    cells << QString::number(layer->rowStep);
    lines << cells.join(u'\t');
  }
  return lines.join(u'\n') + u'\n';
}

}  // namespace dhsa
