#include "ui/views/bar_delegate.h"

#include <QPainter>
#include <algorithm>

#include "ui/views/theme.h"

namespace dhsa {

void BarDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const {
  const QVariant share = index.data(m_role);
  if (share.isValid() && !(option.state & QStyle::State_Selected)) {
    const Colours colours(option.palette);
    const QRectF cell = QRectF(option.rect).adjusted(2, 2, -2, -2);
    const double length = cell.width() * std::clamp(share.toDouble(), 0.0, 1.0);
    painter->fillRect(QRectF(cell.right() - length, cell.top(), length, cell.height()),
                      mixed(option.palette.color(QPalette::Base), colours.accent, 0.28));
  }
  QStyledItemDelegate::paint(painter, option, index);
}

}  // namespace dhsa
