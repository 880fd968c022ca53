// The chunks of the layer in view, one row each.
#pragma once

#include <QAbstractTableModel>
#include <memory>

#include "core/run/what_if.h"
#include "ui/state/document.h"

namespace dhsa {

class ChunkModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { kIndex, kTokens, kLength, kScore, kReceived, kRetention, kText, kColumns };
  static constexpr int kSortRole = Qt::UserRole;       // plain number behind the shown text
  static constexpr int kShareRole = Qt::UserRole + 1;  // 0 to 1 for in-cell bars, absent for other columns

  using QAbstractTableModel::QAbstractTableModel;

  void setLayer(std::shared_ptr<const OpenDocument> document, std::shared_ptr<const MeasuredLayer> layer);
  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
  [[nodiscard]] qint64 beginOf(int row) const;
  [[nodiscard]] qint64 endOf(int row) const;

 private:
  struct Sums {
    double received = 0;   // dense attention mass the chunk gets, summed over its tokens
    double retention = 0;  // mean over its tokens
  };
  std::shared_ptr<const OpenDocument> m_document;
  std::shared_ptr<const MeasuredLayer> m_layer;
  std::vector<Sums> m_sums;
  double m_mostReceived = 0;
};

}  // namespace dhsa
