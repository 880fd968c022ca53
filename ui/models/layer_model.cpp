#include "ui/models/layer_model.h"

#include <QGuiApplication>
#include <QPalette>
#include <QStringList>
#include <algorithm>

#include "core/sparsity/parameters_name.h"
#include "ui/models/format.h"
#include "ui/state/explorer.h"

namespace dhsa {
namespace {

// internalId of a head is its layer + 1; of a layer, 0.
constexpr quintptr kTop = 0;

const std::vector<Measure>& maskMeasures() {
  static const std::vector<Measure> list = layer_measures();
  return list;
}
int planColumn() { return 1 + static_cast<int>(maskMeasures().size()); }
int attendColumn() { return planColumn() + 1; }
bool isMeasure(int column) { return column > LayerModel::kName && column < planColumn(); }
const Measure& measureOf(int column) { return maskMeasures()[static_cast<std::size_t>(column - 1)]; }

}  // namespace

int LayerModel::columnOf(std::string_view key) {
  const auto& list = maskMeasures();
  const auto found = std::find_if(list.begin(), list.end(), [&](const Measure& one) { return one.key == key; });
  return found == list.end() ? -1 : 1 + static_cast<int>(found - list.begin());
}

std::vector<int> LayerModel::leaving() {
  // Times stand in the bars of the run as well; density and mass stay.
  std::vector<int> order{planColumn(), attendColumn()};
  for (int column = planColumn() - 1; column > 2; --column) order.push_back(column);
  return order;
}

LayerModel::LayerModel(const Explorer* explorer, QObject* parent) : QAbstractItemModel(parent), m_explorer(explorer) {
  connect(explorer->whatIf(), &WhatIf::layersReset, this, &LayerModel::reset);
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, [this](int layer) {
    if (layer >= m_layers) return;
    const QModelIndex top = index(layer, 0);
    Q_EMIT dataChanged(top, index(layer, columnCount() - 1));
    if (m_heads > 0) Q_EMIT dataChanged(index(0, 0, top), index(m_heads - 1, columnCount() - 1, top));
  });
  const auto everyLayer = [this] {
    if (m_layers > 0) Q_EMIT dataChanged(index(0, 0), index(m_layers - 1, columnCount() - 1));
  };
  connect(explorer->history(), &RunHistory::currentChanged, this, everyLayer);
  connect(explorer->parameters(), &ParameterSet::changed, this, everyLayer);
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

int LayerModel::columnCount(const QModelIndex& /*parent*/) const { return attendColumn() + 1; }

int LayerModel::layerOf(const QModelIndex& index) {
  return index.internalId() == kTop ? index.row() : static_cast<int>(index.internalId()) - 1;
}

QString LayerModel::outdated(const QModelIndex& index) const {
  if (isMeasure(index.column())) return m_explorer->whatIf()->outdatedNote(layerOf(index));
  const Run* run = m_explorer->history()->current();
  const bool time = index.column() >= planColumn();
  if (!time || !run || run->parameters == m_explorer->parameters()->values()) return {};
  return tr("Of the last run, under %1.").arg(QString::fromStdString(parameters_name(run->parameters)));
}

const Measured* LayerModel::measured(const QModelIndex& index) const {
  const bool isHead = index.internalId() != kTop;
  const auto layer = m_explorer->whatIf()->layer(layerOf(index));
  if (!layer || !isMeasure(index.column())) return nullptr;
  if (!isHead) return layer->metrics.values.find(measureOf(index.column()).key);
  const auto head = static_cast<std::size_t>(index.row());
  return head < layer->metrics.heads.size() ? layer->metrics.heads[head].find(measureOf(index.column()).key) : nullptr;
}

QVariant LayerModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const bool isHead = index.internalId() != kTop;
  if (role == Qt::TextAlignmentRole) {
    return QVariant(index.column() == kName ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  const Measured* value = measured(index);
  if (role == kShareRole) {
    return value && index.column() == columnOf("retained_mass") ? QVariant(value->value) : QVariant();
  }
  if (role == Qt::ForegroundRole && !outdated(index).isEmpty()) {
    return QGuiApplication::palette().brush(QPalette::Disabled, QPalette::Text);
  }
  if (role == Qt::ToolTipRole) {
    QStringList notes{outdated(index)};
    if (value && value->sampled()) {
      notes << tr("%1 Exact figures come for the layer in view.").arg(sampledNote(measureOf(index.column()), *value));
    }
    notes.removeAll(QString());
    return notes.join(u' ');
  }
  if (role != Qt::DisplayRole) return {};
  if (index.column() == kName) {
    if (isHead) return tr("Head %1").arg(index.row());
    const auto model = m_explorer->session()->model();
    if (!model || index.row() >= model->weights->config().layers) return index.row();
    return (model->weights->config().window_of(index.row()) > 0 ? tr("%1 local") : tr("%1 global")).arg(index.row());
  }
  if (isMeasure(index.column())) return value ? formatMeasured(measureOf(index.column()), *value) : QStringLiteral("–");
  const Run* run = m_explorer->history()->current();
  if (isHead || !run) return QStringLiteral("–");
  return formatSeconds(
      run->result.trace.stage_seconds(index.column() == planColumn() ? Stage::kPlan : Stage::kAttend, index.row()));
}

QVariant LayerModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return QVariant(section == kName ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role == Qt::DisplayRole) {
    if (section == kName) return tr("Layer");
    if (isMeasure(section)) return measureHeading(measureOf(section));
    return section == planColumn() ? tr("Plan") : tr("Attend");
  }
  if (role == Qt::ToolTipRole && section != kName) {
    if (isMeasure(section)) return measureHelp(measureOf(section));
    return section == planColumn() ? tr("Time the last run took to plan this layer's mask")
                                   : tr("Time the last run took for this layer's attention");
  }
  return {};
}

QString LayerModel::tabSeparated() const {
  QStringList heading{QStringLiteral("layer"), QStringLiteral("kind"), QStringLiteral("parameters")};
  const MeasureColumns columns(maskMeasures());
  for (const std::string& column : columns.headings()) heading << QString::fromStdString(column);
  QStringList lines{heading.join(u'\t')};
  for (int i = 0; i < m_layers; ++i) {
    const auto layer = m_explorer->whatIf()->layer(i);
    if (!layer) continue;
    QStringList cells{QString::number(i),
                      layer->plan->mask.window() > 0 ? QStringLiteral("local") : QStringLiteral("global"),
                      QString::fromStdString(parameters_name(layer->parameters))};
    for (const std::string& cell : columns.cells(layer->metrics.values)) {
      cells << QString::fromStdString(cell);
    }
    lines << cells.join(u'\t');
  }
  return lines.join(u'\n') + u'\n';
}

}  // namespace dhsa
