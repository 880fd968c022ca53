// Layers, and under each its heads, with the figures of their masks.
#pragma once

#include <QAbstractItemModel>
#include <string_view>
#include <vector>

#include "core/analysis/values.h"

namespace dhsa {

class Explorer;

class LayerModel : public QAbstractItemModel {
  Q_OBJECT

 public:
  // The name, a column for each measure of a mask, and the times of planning and attention.
  static constexpr int kName = 0;
  [[nodiscard]] static int columnOf(std::string_view measure);
  // Columns in the order in which a narrow table does without them.
  [[nodiscard]] static std::vector<int> leaving();
  static constexpr int kShareRole = Qt::UserRole + 1;

  explicit LayerModel(const Explorer* explorer, QObject* parent = nullptr);

  [[nodiscard]] QModelIndex index(int row, int column, const QModelIndex& parent = {}) const override;
  [[nodiscard]] QModelIndex parent(const QModelIndex& index) const override;
  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
  // All layers as tab-separated text with a heading line; each says of which parameters it is.
  [[nodiscard]] QString tabSeparated() const;

 private:
  void reset();
  [[nodiscard]] static int layerOf(const QModelIndex& index);
  // What parameters the cell belongs to, where they are not the present ones.
  [[nodiscard]] QString outdated(const QModelIndex& index) const;
  [[nodiscard]] const Measured* measured(const QModelIndex& index) const;  // null where it is not known
  const Explorer* m_explorer;
  int m_layers = 0;  // as last announced to the views
  int m_heads = 0;
};

}  // namespace dhsa
