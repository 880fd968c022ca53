// Mouse and keys of the text view, and what it says of a token under them.
#include <QAccessible>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QScrollBar>
#include <QToolTip>
#include <algorithm>

#include "ui/state/view_state.h"
#include "ui/views/text_view.h"
#include "ui/views/tool_tips.h"

namespace dhsa {

void TextView::mouseMoveEvent(QMouseEvent* event) {
  const qint64 token = tokenAt(event->position().toPoint());
  m_view->hover(m_view->row(), token);
  Q_EMIT tokenDescribed(describeToken(token));
  if (m_pressed >= 0 && token >= 0 && token != m_pressed) {
    m_view->selectKeys(std::min(m_pressed, token), std::max(m_pressed, token) + 1);
  }
}

void TextView::mousePressEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton) return;
  m_pressed = tokenAt(event->position().toPoint());
  m_view->selectKeys(0, 0);
}

void TextView::mouseReleaseEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton) return;
  const qint64 token = tokenAt(event->position().toPoint());
  if (token >= 0 && token == m_pressed) m_view->selectRow(token == m_view->row() ? -1 : token);
  m_pressed = -1;
  m_view->hover(m_view->row(), token);  // the row it is looked at from is another
  describeAgain();
}

void TextView::moveRow(qint64 token) {
  if (!m_document) return;
  const qint64 to = std::clamp<qint64>(token, 0, m_document->tokens() - 1);
  m_view->selectRow(to);
  scrollToToken(to);
  Q_EMIT tokenDescribed(describeToken(to));
  setAccessibleDescription(describeToken(to));
  QAccessibleEvent changed(this, QAccessible::DescriptionChanged);
  QAccessible::updateAccessibility(&changed);
}

void TextView::keyPressEvent(QKeyEvent* event) {
  if (!m_document) return;
  const qint64 row = m_view->row();
  const auto byLines = [&](int lines) {
    const QRect now = tokenRect(std::max<qint64>(row, 0));
    if (row < 0 || now.isNull()) {
      moveRow(std::max<qint64>(0, tokenAt(QPoint(margin(), margin()))));
      return;
    }
    const std::size_t line = lineOfPiece(pieceOfToken(row));
    const auto target = std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(line) + lines, 0,
                                                   static_cast<std::ptrdiff_t>(m_lines.size()) - 1);
    const qint64 token =
        tokenAt(now.center() + QPoint(0, static_cast<int>(target - static_cast<std::ptrdiff_t>(line)) * lineHeight()));
    moveRow(token >= 0 ? token : m_pieces[lineEnd(static_cast<std::size_t>(target)) - 1].token);
  };
  const int page = std::max(1, viewport()->height() / lineHeight() - 1);
  switch (event->key()) {
    case Qt::Key_Left:
      moveRow(row < 0 ? 0 : row - 1);
      break;
    case Qt::Key_Right:
      moveRow(row + 1);
      break;
    case Qt::Key_Up:
      byLines(-1);
      break;
    case Qt::Key_Down:
      byLines(1);
      break;
    case Qt::Key_PageUp:
      byLines(-page);
      break;
    case Qt::Key_PageDown:
      byLines(page);
      break;
    case Qt::Key_Home:
      moveRow(0);
      break;
    case Qt::Key_End:
      moveRow(m_document->tokens() - 1);
      break;
    default:
      QAbstractScrollArea::keyPressEvent(event);
  }
}

// What is known of a token comes after the row or layer that it is known of.
void TextView::describeAgain() {
  const qint64 token = m_view->hoveredKey();
  if (token >= 0 && viewport()->underMouse()) {
    Q_EMIT tokenDescribed(describeToken(token));
  } else if (m_view->row() >= 0 && hasFocus()) {
    Q_EMIT tokenDescribed(describeToken(m_view->row()));
  }
}

bool TextView::viewportEvent(QEvent* event) {
  if (event->type() == QEvent::Leave) m_view->hover(-1, -1);
  if (event->type() == QEvent::ToolTip) {
    auto* help = static_cast<QHelpEvent*>(event);
    const qint64 token = tokenAt(help->pos());
    if (token >= 0) QToolTip::showText(help->globalPos(), wrappedTip(describeToken(token)), this, tokenRect(token));
    return true;
  }
  return QAbstractScrollArea::viewportEvent(event);
}

}  // namespace dhsa
