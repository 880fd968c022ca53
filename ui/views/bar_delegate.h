// Draws a quiet bar behind a cell's text where the model gives a share from 0 to 1 under `role`.
#pragma once

#include <QStyledItemDelegate>

namespace dhsa {

class BarDelegate : public QStyledItemDelegate {
 public:
  BarDelegate(int role, QObject* parent) : QStyledItemDelegate(parent), m_role(role) {}
  void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;

 private:
  int m_role;
};

}  // namespace dhsa
