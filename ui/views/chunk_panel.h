// The chunks of the layer in view as a sortable list; choosing one selects its keys everywhere.
#pragma once

#include <QWidget>

class QLabel;
class QSortFilterProxyModel;
class QTreeView;

namespace dhsa {

class ChunkModel;
class Explorer;

class ChunkPanel : public QWidget {
  Q_OBJECT

 public:
  explicit ChunkPanel(Explorer* explorer, QWidget* parent = nullptr);

 private:
  void refresh();
  Explorer* m_explorer;
  ChunkModel* m_model;
  QSortFilterProxyModel* m_sorted;
  QTreeView* m_table;
  QLabel* m_empty;
};

}  // namespace dhsa
