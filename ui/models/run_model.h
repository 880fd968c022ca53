// The finished runs; labels can be edited, one run can be pinned (check box).
#pragma once

#include <QAbstractTableModel>
#include <string_view>
#include <vector>

#include "ui/state/run.h"

namespace dhsa {

class RunModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { kLabel, kMethod, kModel, kTokens, kSpeed, kMeasures };  // and a column for each measure that is no part
  // -1 where the measure has no column.
  [[nodiscard]] static int columnOf(std::string_view measure);
  // Columns in the order in which a narrow table does without them.
  [[nodiscard]] static std::vector<int> leaving();

  explicit RunModel(RunList* runs, QObject* parent = nullptr);

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  bool setData(const QModelIndex& index, const QVariant& value, int role = Qt::EditRole) override;
  [[nodiscard]] Qt::ItemFlags flags(const QModelIndex& index) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
  // In itself, its type or its device: then the table says of each run which it was.
  [[nodiscard]] bool modelsDiffer() const;
  [[nodiscard]] int idOf(const QModelIndex& index) const;  // run id; 0 for none

 private:
  RunList* m_runs;
};

}  // namespace dhsa
