// The rows of all layers and heads that lose most dense attention to the mask, and to which dropped key.
#pragma once

#include <QAbstractTableModel>
#include <QTimer>
#include <optional>
#include <vector>

#include "core/analysis/metrics.h"

namespace dhsa {

class Explorer;

class LossModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { kDropped, kLayer, kHead, kRow, kKey, kKeyMass, kHeadDropped, kColumns };
  static constexpr int kShareRole = Qt::UserRole + 1;
  static constexpr int kSortRole = Qt::UserRole + 2;
  struct Loss {
    int layer = 0;
    LostRow row;
  };

  explicit LossModel(const Explorer* explorer, QObject* parent = nullptr);

  [[nodiscard]] const Loss& at(int row) const { return m_losses[static_cast<std::size_t>(row)]; }
  // Of an earlier plan it may be the same row, with another loss.
  [[nodiscard]] std::optional<int> find(int layer, int head, std::int64_t row) const;
  void update();  // now, where a layer has changed since

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  [[nodiscard]] QString tokenText(std::int64_t token) const;
  [[nodiscard]] const Measured& headDropped(const Loss& loss) const;

  const Explorer* m_explorer;
  std::vector<Loss> m_losses;
  std::vector<std::vector<Measured>> m_heads;  // [layers][heads] dropped mass
  bool m_stale = false;                        // a layer has changed since
  QTimer m_soon;                               // a slider changes layer after layer
};

}  // namespace dhsa
