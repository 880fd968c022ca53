#include "ui/models/run_model.h"

#include <QFont>
#include <QLocale>
#include <algorithm>

#include "ui/models/format.h"

namespace dhsa {
namespace {

const std::vector<const Measure*>& shownMeasures() {
  static const std::vector<const Measure*> shown = [] {
    std::vector<const Measure*> list;
    for (const Measure& measure : measures()) {
      if (!measure.part) list.push_back(&measure);
    }
    return list;
  }();
  return shown;
}

const Measure& measureOf(int column) {
  return *shownMeasures()[static_cast<std::size_t>(column - RunModel::kMeasures)];
}

}  // namespace

int RunModel::columnOf(std::string_view key) {
  const auto& shown = shownMeasures();
  const auto found = std::find_if(shown.begin(), shown.end(), [&](const Measure* one) { return one->key == key; });
  return found == shown.end() ? -1 : kMeasures + static_cast<int>(found - shown.begin());
}

std::vector<int> RunModel::leaving() {
  // What a run is judged by stays longest.
  std::vector<int> last;
  for (const char* key : {"same_top", "density", "mean_kl_nats", "retained_mass"}) last.push_back(columnOf(key));
  std::vector<int> order;
  for (std::size_t i = shownMeasures().size(); i-- > 0;) {
    const int column = kMeasures + static_cast<int>(i);
    const std::string_view key = shownMeasures()[i]->key;
    if (key == "prefill_seconds" || key == "peak_bytes") continue;
    if (std::find(last.begin(), last.end(), column) == last.end()) order.push_back(column);
  }
  order.insert(order.end(), {kTokens, kMethod});
  order.insert(order.end(), last.begin(), last.end());
  return order;
}

RunModel::RunModel(RunList* runs, QObject* parent) : QAbstractTableModel(parent), m_runs(runs) {
  connect(runs, &RunList::aboutToAdd, this, [this](int index) { beginInsertRows({}, index, index); });
  connect(runs, &RunList::added, this, [this] {
    endInsertRows();
    // A new dense run gives the others something to be compared with.
    if (rowCount() > 1) Q_EMIT dataChanged(index(0, kSpeed), index(rowCount() - 1, kSpeed));
  });
  connect(runs, &RunList::aboutToRemove, this, [this](int index) { beginRemoveRows({}, index, index); });
  connect(runs, &RunList::removed, this, [this] { endRemoveRows(); });
  connect(runs, &RunList::changed, this,
          [this](int row) { Q_EMIT dataChanged(index(row, 0), index(row, columnCount() - 1)); });
}

int RunModel::rowCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : m_runs->size(); }
int RunModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kMeasures + static_cast<int>(shownMeasures().size());
}
bool RunModel::modelsDiffer() const {
  for (int index = 1; index < m_runs->size(); ++index) {
    if (m_runs->at(index).input.model != m_runs->at(0).input.model) return true;
  }
  return false;
}
int RunModel::idOf(const QModelIndex& index) const { return index.isValid() ? m_runs->at(index.row()).id : 0; }

Qt::ItemFlags RunModel::flags(const QModelIndex& index) const {
  Qt::ItemFlags flags = QAbstractTableModel::flags(index);
  if (index.column() == kLabel) flags |= Qt::ItemIsEditable | Qt::ItemIsUserCheckable;
  return flags;
}

QVariant RunModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const Run& run = m_runs->at(index.row());
  if (role == Qt::TextAlignmentRole) {
    return QVariant(index.column() <= kModel ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role == Qt::CheckStateRole && index.column() == kLabel) return run.pinned ? Qt::Checked : Qt::Unchecked;
  if (role == Qt::FontRole && run.pinned) {
    QFont font;
    font.setBold(true);
    return font;
  }
  const bool measured = index.column() >= kMeasures;
  const Measured* value = measured ? run.values.find(measureOf(index.column()).key) : nullptr;
  if (role == Qt::ToolTipRole) {
    if (value && value->sampled()) return sampledNote(measureOf(index.column()), *value);
    return tr("%1, %2 tokens, %3, %4. In use before the run: %5. The whole run took %6, measuring and answer included.")
        .arg(run.documentTitle, formatCount(run.input.tokens), run.modelLabel(),
             QLocale().toString(run.when, QLocale::ShortFormat), formatBytes(run.result.start_bytes),
             formatSeconds(run.elapsed));
  }
  if (role != Qt::DisplayRole && role != Qt::EditRole) return {};
  if (measured) return value ? formatMeasured(measureOf(index.column()), *value) : QStringLiteral("–");
  switch (index.column()) {
    case kLabel:
      return run.label;
    case kMethod:
      return QString::fromUtf8(label_of(run.parameters.method));
    case kModel:
      return run.modelLabel();
    case kTokens:
      return formatCount(run.input.tokens);
    default: {
      const Run* dense = m_runs->dense(run.input);
      if (!dense || run.result.seconds <= 0) return QStringLiteral("–");
      return tr("%1×").arg(QLocale().toString(dense->result.seconds / run.result.seconds, 'f', 2));
    }
  }
}

bool RunModel::setData(const QModelIndex& index, const QVariant& value, int role) {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid) || index.column() != kLabel) return false;
  const int id = idOf(index);
  if (role == Qt::CheckStateRole) {
    m_runs->setPinned(id, value.toInt() == Qt::Checked);
    return true;
  }
  if (role != Qt::EditRole || value.toString().trimmed().isEmpty()) return false;
  m_runs->rename(id, value.toString());
  return true;
}

QVariant RunModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return QVariant(section <= kModel ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (section >= kMeasures && role == Qt::DisplayRole) return measureHeading(measureOf(section));
  if (section >= kMeasures && role == Qt::ToolTipRole) return measureHelp(measureOf(section));
  if (role == Qt::DisplayRole) {
    switch (section) {
      case kLabel:
        return tr("Run");
      case kMethod:
        return tr("Method");
      case kModel:
        return tr("Model");
      case kTokens:
        return tr("Tokens");
      default:
        return tr("Speed");
    }
  }
  if (role == Qt::ToolTipRole && section == kLabel) {
    return tr("Ticked: pinned, the run others are compared with. Double-click to rename.");
  }
  if (role == Qt::ToolTipRole && section == kSpeed) {
    return tr(
        "Prefill time of dense on the same text, with the same model in the same type and on the same device, divided "
        "by this run's");
  }
  return {};
}

}  // namespace dhsa
