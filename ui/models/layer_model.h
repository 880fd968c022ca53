// Layers, and under each its heads, with the figures of their masks.
#pragma once

#include <QAbstractItemModel>

namespace dhsa {

class Explorer;

class LayerModel : public QAbstractItemModel {
  Q_OBJECT

 public:
  enum Column { kName, kDensity, kRetained, kOracle, kIou, kError, kPlan, kAttend, kColumns };
  static constexpr int kShareRole = Qt::UserRole + 1;

  explicit LayerModel(const Explorer* explorer, QObject* parent = nullptr);

  [[nodiscard]] QModelIndex index(int row, int column, const QModelIndex& parent = {}) const override;
  [[nodiscard]] QModelIndex parent(const QModelIndex& index) const override;
  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
  // All layers as tab-separated text with a heading line.
  [[nodiscard]] QString tabSeparated() const;

 private:
  void reset();
  [[nodiscard]] double value(const QModelIndex& index) const;  // NaN where unknown
  const Explorer* m_explorer;
  int m_layers = 0;  // as last announced to the views
  int m_heads = 0;
};

}  // namespace dhsa
