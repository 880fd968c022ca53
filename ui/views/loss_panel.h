// Where attention is lost, worst first: a sortable list to walk through with one key.
#pragma once

#include <QWidget>
#include <optional>

#include "ui/models/loss_model.h"

class QLabel;
class QSortFilterProxyModel;
class QTreeView;

namespace dhsa {

class Explorer;

class LossPanel : public QWidget {
  Q_OBJECT

 public:
  explicit LossPanel(Explorer* explorer, QWidget* parent = nullptr);

 public Q_SLOTS:
  void goToRow(int step);  // down (1) or up (-1) the list as it is sorted; wraps around
  void goToNextHead();     // next in the order of the heads' dropped mass, and its worst row
  void goToNextToken();    // next dropped but important key of the selected row, then of the next row in the list

 Q_SIGNALS:
  void message(const QString& sentence, bool failed);

 private:
  void refresh();
  void goTo(const QModelIndex& index);  // of the sorted list
  [[nodiscard]] bool isEmpty();         // and says why there is nothing to go to

  Explorer* m_explorer;
  LossModel* m_model;
  QSortFilterProxyModel* m_sorted;
  QTreeView* m_table;
  QLabel* m_note;
  std::optional<LossModel::Loss> m_current;  // gone to last
  bool m_tokenAwaited = false;               // the row's keys are being looked at
};

}  // namespace dhsa
