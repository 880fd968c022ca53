#include "ui/models/run_model.h"

#include <QFont>
#include <QLocale>

#include "ui/models/format.h"

namespace dhsa {

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
          [this](int row) { Q_EMIT dataChanged(index(row, 0), index(row, kColumns - 1)); });
}

int RunModel::rowCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : m_runs->size(); }
int RunModel::columnCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : kColumns; }
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
    return QVariant(index.column() <= kMethod ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role == Qt::CheckStateRole && index.column() == kLabel) return run.pinned ? Qt::Checked : Qt::Unchecked;
  if (role == Qt::FontRole && run.pinned) {
    QFont font;
    font.setBold(true);
    return font;
  }
  if (role == Qt::ToolTipRole) {
    return tr("%1, %2 tokens, %3, %4. Peak of the process %5, before the run %6.")
        .arg(run.documentTitle)
        .arg(run.input.tokens)
        .arg(run.modelName, QLocale().toString(run.when, QLocale::ShortFormat), formatBytes(run.peakBytes),
             formatBytes(run.startBytes));
  }
  if (role != Qt::DisplayRole && role != Qt::EditRole) return {};
  switch (index.column()) {
    case kLabel:
      return run.label;
    case kMethod:
      return QString::fromUtf8(label_of(run.parameters.method));
    case kTokens:
      return formatCount(run.input.tokens);
    case kSeconds:
      return formatSeconds(run.seconds);
    case kSpeed: {
      const Run* dense = m_runs->dense(run.input);
      if (!dense || run.seconds <= 0) return QStringLiteral("–");
      return tr("%1×").arg(QLocale().toString(dense->seconds / run.seconds, 'f', 2));
    }
    case kMemory:
      return formatBytes(run.peakBytes);
    case kDensity:
      return formatPercent(run.density());
    case kRetained:
      return formatSampled(formatPercent(run.meanRetainedMass()), run.sampled());
    case kKl:
      return run.logits ? formatReal(run.logits->meanKl) : QStringLiteral("–");
    case kSameTop:
      return run.logits ? formatPercent(run.logits->sameTop) : QStringLiteral("–");
    default:
      return {};
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
    return QVariant(section <= kMethod ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role == Qt::DisplayRole) {
    switch (section) {
      case kLabel:
        return tr("Run");
      case kMethod:
        return tr("Method");
      case kTokens:
        return tr("Tokens");
      case kSeconds:
        return tr("Prefill");
      case kSpeed:
        return tr("Speed");
      case kMemory:
        return tr("Peak");
      case kDensity:
        return tr("Density");
      case kRetained:
        return tr("Mass");
      case kKl:
        return tr("KL");
      default:
        return tr("Same top");
    }
  }
  if (role == Qt::ToolTipRole) {
    switch (section) {
      case kLabel:
        return tr("Ticked: pinned, the run others are compared with. Double-click to rename.");
      case kSeconds:
        return tr("Sum of the prefill's stages");
      case kSpeed:
        return tr("Prefill time of dense on the same text, divided by this run's");
      case kMemory:
        return tr("Highest memory of the whole program during the run");
      case kDensity:
        return tr("Kept pairs as a share of causal pairs, inside the window on local layers, of all layers together");
      case kRetained:
        return tr(
            "Dense attention mass on kept keys, mean over layers; ≈ where layers are measured on some of their rows");
      case kKl:
        return tr("KL divergence of the logits from dense, nats per position");
      case kSameTop:
        return tr("Positions whose most likely next token is the same as with dense");
      default:
        return {};
    }
  }
  return {};
}

}  // namespace dhsa
