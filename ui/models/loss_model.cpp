#include "ui/models/loss_model.h"

#include <QGuiApplication>
#include <QPalette>
#include <QStringList>
#include <algorithm>
#include <utility>

#include "ui/models/format.h"
#include "ui/state/explorer.h"

namespace dhsa {
namespace {

constexpr int kSoonMs = 100;

}  // namespace

LossModel::LossModel(const Explorer* explorer, QObject* parent) : QAbstractTableModel(parent), m_explorer(explorer) {
  m_soon.setSingleShot(true);
  m_soon.setInterval(kSoonMs);
  connect(&m_soon, &QTimer::timeout, this, &LossModel::update);
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, [this] {
    m_stale = true;
    if (!m_soon.isActive()) m_soon.start();
  });
  // Rows of another text, or of heads that are no more, must not be gone to.
  connect(explorer->whatIf(), &WhatIf::layersReset, this, [this] {
    m_stale = true;
    update();
  });
  connect(explorer->parameters(), &ParameterSet::changed, this, [this] {
    if (rowCount() > 0) Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, kColumns - 1));
  });
}

void LossModel::update() {
  if (!std::exchange(m_stale, false)) return;
  m_soon.stop();
  beginResetModel();
  m_losses.clear();
  m_heads.assign(static_cast<std::size_t>(m_explorer->whatIf()->layers()), {});
  for (int index = 0; index < m_explorer->whatIf()->layers(); ++index) {
    const auto layer = m_explorer->whatIf()->layer(index);
    if (!layer) continue;
    for (const Values& head : layer->metrics.heads) {
      Measured dropped = head.at("retained_mass");
      dropped.value = 1 - dropped.value;
      m_heads[static_cast<std::size_t>(index)].push_back(dropped);
    }
    for (const LostRow& row : layer->metrics.lost_rows) m_losses.push_back({index, row});
  }
  endResetModel();
}

std::optional<int> LossModel::find(int layer, int head, std::int64_t row) const {
  const auto found = std::find_if(m_losses.begin(), m_losses.end(), [&](const Loss& loss) {
    return loss.layer == layer && loss.row.head == head && loss.row.row == row;
  });
  if (found == m_losses.end()) return std::nullopt;
  return static_cast<int>(found - m_losses.begin());
}

int LossModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_losses.size());
}

int LossModel::columnCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : kColumns; }

QString LossModel::tokenText(std::int64_t token) const {
  const auto document = m_explorer->session()->document();
  return document && token < document->tokens()
             ? QStringLiteral("%1 %2").arg(formatCount(token), document->tokenLabel(token))
             : formatCount(token);
}

const Measured& LossModel::headDropped(const Loss& loss) const {
  return m_heads[static_cast<std::size_t>(loss.layer)][static_cast<std::size_t>(loss.row.head)];
}

QVariant LossModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const Loss& loss = at(index.row());
  const Measure& retained = measure("retained_mass");
  switch (role) {
    case Qt::TextAlignmentRole: {
      const bool words = index.column() == kRow || index.column() == kKey;
      return QVariant((words ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
    }
    case kShareRole:
      return index.column() == kDropped   ? QVariant(loss.row.dropped_mass)
             : index.column() == kKeyMass ? QVariant(loss.row.key_mass)
                                          : QVariant();
    case Qt::ForegroundRole:
      return m_explorer->whatIf()->isOutdated(loss.layer)
                 ? QVariant(QGuiApplication::palette().brush(QPalette::Disabled, QPalette::Text))
                 : QVariant();
    case Qt::ToolTipRole: {
      QStringList notes{m_explorer->whatIf()->outdatedNote(loss.layer)};
      if (index.column() == kHeadDropped) notes << sampledNote(retained, headDropped(loss));
      notes.removeAll(QString());
      return notes.join(u' ');
    }
    case kSortRole:
      switch (index.column()) {
        case kDropped:
          return loss.row.dropped_mass;
        case kLayer:
          return loss.layer;
        case kHead:
          return loss.row.head;
        case kRow:
          return static_cast<qint64>(loss.row.row);
        case kKey:
          return static_cast<qint64>(loss.row.key);
        case kKeyMass:
          return loss.row.key_mass;
        default:
          return headDropped(loss).value;
      }
    case Qt::DisplayRole:
      switch (index.column()) {
        case kDropped:
          return formatPercent(loss.row.dropped_mass);
        case kLayer:
          return loss.layer;
        case kHead:
          return loss.row.head;
        case kRow:
          return tokenText(loss.row.row);
        case kKey:
          return tokenText(loss.row.key);
        case kKeyMass:
          return formatPercent(loss.row.key_mass);
        default:
          return formatMeasured(retained, headDropped(loss));
      }
    default:
      return {};
  }
}

QVariant LossModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  const bool help = role == Qt::ToolTipRole;
  if (role == Qt::TextAlignmentRole) {
    return QVariant((section == kRow || section == kKey ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole && !help) return {};
  switch (section) {
    case kDropped:
      return help ? tr("Dense attention of the row that the mask drops; exact") : tr("Dropped mass");
    case kLayer:
      return help ? QString() : tr("Layer");
    case kHead:
      return help ? tr("Query head") : tr("Head");
    case kRow:
      return help ? tr("The query: number and text of its token") : tr("Row");
    case kKey:
      return help ? tr("The dropped key that has most of the row's dense attention") : tr("Worst dropped key");
    case kKeyMass:
      return help ? tr("Dense attention of the row on that key; exact") : tr("Its mass");
    default:
      return help ? tr("Dropped mass of the layer's head, mean over its rows") : tr("Of the head");
  }
}

}  // namespace dhsa
