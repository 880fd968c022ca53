#include "ui/views/tool_tips.h"

#include <QAbstractItemView>
#include <QHeaderView>
#include <QHelpEvent>
#include <QToolTip>
#include <algorithm>

namespace dhsa {
namespace {

constexpr qsizetype kShort = 70;  // characters of a line

// What Qt would show for the place; empty where the widget sees to it itself.
QString tipAt(const QWidget* widget, const QPoint& position) {
  if (const auto* header = qobject_cast<const QHeaderView*>(widget->parentWidget())) {
    const int section = header->logicalIndexAt(position);
    const QString own = section < 0 || !header->model()
                            ? QString()
                            : header->model()->headerData(section, header->orientation(), Qt::ToolTipRole).toString();
    return own.isEmpty() ? header->toolTip() : own;
  }
  if (const auto* view = qobject_cast<const QAbstractItemView*>(widget->parentWidget())) {
    if (widget == view->viewport()) return view->indexAt(position).data(Qt::ToolTipRole).toString();
  }
  return widget->toolTip();
}

}  // namespace

QString wrappedTip(const QString& text) {
  if (Qt::mightBeRichText(text)) return text;
  const QStringList lines = text.split(u'\n');
  qsizetype longest = 0;
  for (const QString& line : lines) longest = std::max(longest, line.size());
  if (longest <= kShort) return text;
  return QStringLiteral("<qt>%1</qt>").arg(text.toHtmlEscaped().replace(u'\n', QStringLiteral("<br>")));
}

bool ToolTips::eventFilter(QObject* watched, QEvent* event) {
  auto* widget = event->type() == QEvent::ToolTip ? qobject_cast<QWidget*>(watched) : nullptr;
  if (widget == nullptr) return false;
  const auto* help = static_cast<QHelpEvent*>(event);
  const QString tip = tipAt(widget, help->pos());
  const QString wrapped = wrappedTip(tip);
  if (wrapped == tip) return false;
  QToolTip::showText(help->globalPos(), wrapped, widget);
  return true;
}

}  // namespace dhsa
