#include "ui/models/chunk_model.h"

#include <QLocale>
#include <algorithm>
#include <cmath>

#include "ui/models/format.h"

namespace dhsa {

void ChunkModel::setLayer(std::shared_ptr<const OpenDocument> document, std::shared_ptr<const MeasuredLayer> layer) {
  beginResetModel();
  m_document = std::move(document);
  m_layer = std::move(layer);
  m_sums.clear();
  m_mostReceived = 0;
  const int rows = rowCount();
  m_sums.resize(static_cast<std::size_t>(rows));
  for (int row = 0; row < rows && !m_layer->metrics.importance.received_mass.empty(); ++row) {
    Sums& sums = m_sums[static_cast<std::size_t>(row)];
    for (auto token = static_cast<std::size_t>(beginOf(row)); token < static_cast<std::size_t>(endOf(row)); ++token) {
      sums.received += static_cast<double>(m_layer->metrics.importance.received_mass[token]);
      sums.retention += static_cast<double>(m_layer->metrics.importance.retention[token]);
    }
    sums.retention /= static_cast<double>(endOf(row) - beginOf(row));
    m_mostReceived = std::max(m_mostReceived, sums.received);
  }
  endResetModel();
}

int ChunkModel::rowCount(const QModelIndex& parent) const {
  if (parent.isValid() || !m_layer || !m_layer->plan || !m_document) return 0;
  return std::max(0, static_cast<int>(m_layer->plan->trace.boundaries.size()) - 1);
}

int ChunkModel::columnCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : kColumns; }

qint64 ChunkModel::beginOf(int row) const { return m_layer->plan->trace.boundaries[static_cast<std::size_t>(row)]; }
qint64 ChunkModel::endOf(int row) const { return m_layer->plan->trace.boundaries[static_cast<std::size_t>(row) + 1]; }

QVariant ChunkModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const int row = index.row();
  const qint64 begin = beginOf(row);
  const qint64 end = endOf(row);
  const Sums& sums = m_sums[static_cast<std::size_t>(row)];
  const auto& scores = m_layer->plan->trace.boundary_scores;
  const auto last = static_cast<std::size_t>(end - 1);
  const double score = last < scores.size() ? static_cast<double>(scores[last]) : std::nan("");
  if (role == Qt::TextAlignmentRole) {
    return QVariant(index.column() == kText ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role == kShareRole) {
    if (index.column() == kReceived && m_mostReceived > 0) return sums.received / m_mostReceived;
    if (index.column() == kRetention) return sums.retention;
    return {};
  }
  if (role == kSortRole) {
    switch (index.column()) {
      case kLength:
        return end - begin;
      case kScore:
        return score;
      case kReceived:
        return sums.received;
      case kRetention:
        return sums.retention;
      default:
        return row;
    }
  }
  if (role == Qt::ToolTipRole && index.column() == kReceived && m_layer->row_step() > 1) {
    return tr("≈: one row in %1, drawn at random").arg(formatCount(m_layer->row_step()));
  }
  if (role != Qt::DisplayRole && role != Qt::ToolTipRole) return {};
  switch (index.column()) {
    case kIndex:
      return row;
    case kTokens:
      return QStringLiteral("%1–%2").arg(begin).arg(end - 1);
    case kLength:
      return end - begin;
    case kScore:
      return std::isnan(score) ? QStringLiteral("–") : QLocale().toString(score, 'f', 3);
    case kReceived:
      return QString((m_layer->row_step() > 1 ? QStringLiteral("≈ ") : QString()) + formatReal(sums.received, 2));
    case kRetention:
      return formatPercent(sums.retention);
    default: {
      const auto from = m_document->begin[static_cast<std::size_t>(begin)];
      const auto to = m_document->begin[static_cast<std::size_t>(end)];
      return m_document->shown.mid(from, std::min<qsizetype>(to - from, role == Qt::DisplayRole ? 160 : 600))
          .simplified();
    }
  }
}

QVariant ChunkModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return QVariant(section == kText ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role == Qt::DisplayRole) {
    switch (section) {
      case kIndex:
        return tr("#");
      case kTokens:
        return tr("Tokens");
      case kLength:
        return tr("Length");
      case kScore:
        return tr("Score");
      case kReceived:
        return tr("Received");
      case kRetention:
        return tr("Kept by");
      default:
        return tr("Text");
    }
  }
  if (role == Qt::ToolTipRole) {
    switch (section) {
      case kIndex:
        return tr("Number of the chunk");
      case kTokens:
        return tr("First and last token of the chunk");
      case kLength:
        return tr("Tokens in the chunk");
      case kScore:
        return tr("Score of the boundary that ends the chunk; – where it ends for another reason");
      case kReceived:
        return tr("Dense attention the chunk's tokens receive from all later rows, summed");
      case kRetention:
        return tr("Share of later rows that keep the chunk's tokens, averaged");
      default:
        return {};
    }
  }
  return {};
}

}  // namespace dhsa
