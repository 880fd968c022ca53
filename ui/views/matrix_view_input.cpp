// Mouse, keyboard, tooltips and speech of the matrix view.
#include <QApplication>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/plot/axis_ticks.h"
#include "ui/views/matrix_view.h"
#include "ui/views/spoken_value.h"
#include "ui/views/tool_tips.h"

namespace dhsa {

namespace {

constexpr double kZoomStep = 1.25;  // per wheel notch or key press
constexpr double kSplitGrip = 6;    // pixels either side of the split line

QString quoted(const MatrixView::TokenText& text, qint64 token) {
  if (!text) return {};
  QString words = text(token);
  words.replace(QLatin1Char('\n'), QChar(0x21b5));
  if (words.size() > 24) words = words.left(23) + QChar(0x2026);
  return QStringLiteral(" “%1”").arg(words);
}

}  // namespace

QString MatrixView::describe(MatrixCell cell) const {
  if (!cell.valid() || tokens() == 0 || cell.row >= tokens() || cell.key >= tokens()) return {};
  const CompareMode shown = mode();
  QString value;
  if (shown == CompareMode::A || shown == CompareMode::B) {
    value = m_picture.valueText(shown == CompareMode::B ? 1 : 0, cell.row, cell.key);
  } else {
    value =
        tr("A: %1, B: %2").arg(m_picture.valueText(0, cell.row, cell.key), m_picture.valueText(1, cell.row, cell.key));
    if (shown == CompareMode::Difference) {
      const double difference = static_cast<double>(m_picture.layer(0).source->at(cell.row, cell.key)) -
                                static_cast<double>(m_picture.layer(1).source->at(cell.row, cell.key));
      if (!std::isnan(difference)) value = tr("%1, A − B: %2").arg(value, valueLabel(difference));
    }
  }
  return tr("query %1%2 · key %3%4 · %5")
      .arg(indexLabel(static_cast<double>(cell.row)), quoted(m_tokenText, cell.row),
           indexLabel(static_cast<double>(cell.key)), quoted(m_tokenText, cell.key), value);
}

void MatrixView::say(MatrixCell cell) {
  const QString text = describe(cell);
  setSpokenValue(this, text.isEmpty() ? tr("No cell") : text);
  Q_EMIT statusText(text);  // how cells became pixels stands beside it, see MatrixPanel::reducerChanged
}

void MatrixView::sayAgain() {
  if (m_crosshair.valid() && (underMouse() || hasFocus())) say(m_crosshair);
}

void MatrixView::setSelectedRow(qint64 row) {
  row = row < 0 || row >= tokens() ? -1 : row;
  if (m_selectedRow == row) return;
  m_selectedRow = row;
  update();
}

void MatrixView::setSelectedKeys(KeySpan keys) {
  keys.begin = std::max<qint64>(0, keys.begin);
  keys.end = std::min(tokens(), keys.end);
  if (keys.empty()) keys = {};
  if (m_selectedKeys == keys) return;
  m_selectedKeys = keys;
  update();
}

void MatrixView::setMarks(const std::vector<qint64>& tokens) {
  m_marks = tokens;
  update();
}

void MatrixView::setCrosshair(MatrixCell cell) {
  if (!cell.valid() || cell.row >= tokens() || cell.key >= tokens()) cell = {};
  if (m_crosshair == cell) return;
  m_crosshair = cell;
  update();
  say(cell);
}

void MatrixView::showCrosshair(MatrixCell cell) {
  if (m_crosshair == cell) return;
  setCrosshair(cell);
  Q_EMIT hovered(m_crosshair.row, m_crosshair.key);
}

void MatrixView::selectRow(qint64 row) {
  if (m_selectedRow == row) return;
  setSelectedRow(row);
  Q_EMIT rowSelected(m_selectedRow);
}

void MatrixView::selectKeys(KeySpan keys) {
  const KeySpan before = m_selectedKeys;
  setSelectedKeys(keys);
  if (m_selectedKeys != before) Q_EMIT keyRangeSelected(m_selectedKeys.begin, m_selectedKeys.end);
}

void MatrixView::hoverAt(QPointF position) {
  const auto cell = cellAt(position);
  showCrosshair(cell && !QRectF(m_geometry.minimap).contains(position) ? *cell : MatrixCell{});
  const bool on_split = mode() == CompareMode::Split && panelAt(position) == 0 &&
                        std::abs(position.x() - plotRect(0).left() - m_split * plotRect(0).width()) <= kSplitGrip;
  setCursor(on_split                                        ? Qt::SplitHCursor
            : QRectF(m_geometry.minimap).contains(position) ? Qt::PointingHandCursor
            : cell                                          ? Qt::CrossCursor
                                                            : Qt::ArrowCursor);
}

void MatrixView::mousePressEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton || tokens() == 0) {
    QWidget::mousePressEvent(event);
    return;
  }
  m_pressed = event->position();
  m_pressedView = m_view;
  const int panel = panelAt(m_pressed);
  m_pressedPanel = std::max(0, panel);
  int strip = -1;
  for (int p = 0; p < m_geometry.panels; ++p)
    if (m_geometry.keyStrip[p].contains(m_pressed.toPoint()) || m_geometry.keyAxis[p].contains(m_pressed.toPoint()))
      strip = p;
  const QRectF plot = plotRect(m_pressedPanel);
  if (m_geometry.minimap.contains(m_pressed.toPoint())) {
    m_drag = Drag::Minimap;
    mouseMoveEvent(event);
  } else if (panel == 0 && mode() == CompareMode::Split &&
             std::abs(m_pressed.x() - plot.left() - m_split * plot.width()) <= kSplitGrip) {
    m_drag = Drag::Split;
  } else if (strip >= 0 || (panel >= 0 && event->modifiers().testFlag(Qt::ShiftModifier))) {
    if (strip >= 0) m_pressedPanel = strip;
    m_drag = Drag::Range;
    m_rangeAnchor =
        std::clamp<qint64>(static_cast<qint64>(std::floor(keyAt(m_pressed, m_pressedPanel))), 0, tokens() - 1);
    setSelectedKeys({m_rangeAnchor, m_rangeAnchor + 1});
  } else if (panel >= 0) {
    m_drag = Drag::MayPan;
  } else if (m_geometry.rowStrip.contains(m_pressed.toPoint()) || m_geometry.rowAxis.contains(m_pressed.toPoint())) {
    const auto row = static_cast<qint64>(std::floor(rowAt(m_pressed, 0)));
    if (row >= 0 && row < tokens()) selectRow(row);
  }
}

void MatrixView::mouseMoveEvent(QMouseEvent* event) {
  const QPointF at = event->position();
  const QRectF plot = plotRect(m_pressedPanel);
  if (m_drag == Drag::MayPan && (at - m_pressed).manhattanLength() >= QApplication::startDragDistance())
    m_drag = Drag::Pan;
  switch (m_drag) {
    case Drag::Pan:
      setCursor(Qt::ClosedHandCursor);
      moveView(m_pressedView.translated(-(at.x() - m_pressed.x()) / plot.width() * m_pressedView.width(),
                                        -(at.y() - m_pressed.y()) / plot.height() * m_pressedView.height()));
      break;
    case Drag::Split:
      setSplitPosition((at.x() - plot.left()) / plot.width());
      break;
    case Drag::Range: {
      const qint64 key =
          std::clamp<qint64>(static_cast<qint64>(std::floor(keyAt(at, m_pressedPanel))), 0, tokens() - 1);
      setSelectedKeys({std::min(m_rangeAnchor, key), std::max(m_rangeAnchor, key) + 1});
      break;
    }
    case Drag::Minimap: {
      const QRectF box = m_geometry.minimap;
      const auto whole = static_cast<double>(tokens());
      QRectF view = m_view;
      view.moveCenter({(at.x() - box.left()) / box.width() * whole, (at.y() - box.top()) / box.height() * whole});
      moveView(view);
      break;
    }
    case Drag::MayPan:
    case Drag::None:
      hoverAt(at);
      break;
  }
}

void MatrixView::mouseReleaseEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton) return;
  const Drag done = std::exchange(m_drag, Drag::None);
  if (done == Drag::MayPan) {
    if (const auto cell = cellAt(m_pressed)) {
      m_cursor = *cell;
      m_rangeAnchor = cell->key;
      showCrosshair(*cell);
      selectRow(cell->row);
    }
  } else if (done == Drag::Range) {
    Q_EMIT keyRangeSelected(m_selectedKeys.begin, m_selectedKeys.end);
  } else if (done == Drag::Pan) {
    hoverAt(event->position());
  }
}

void MatrixView::mouseDoubleClickEvent(QMouseEvent* event) {
  if (event->button() == Qt::LeftButton && panelAt(event->position()) >= 0) fitView();
}

void MatrixView::wheelEvent(QWheelEvent* event) {
  if (tokens() == 0) return;
  const QPoint turn = event->angleDelta();
  const bool sideways = event->modifiers().testFlag(Qt::ShiftModifier);
  const int delta = turn.y() != 0 ? turn.y() : turn.x();
  if (sideways || turn.y() == 0) {
    moveView(m_view.translated(-delta / 1200.0 * m_view.width(), 0));
  } else {
    zoom(std::pow(kZoomStep, delta / 120.0), event->position());
  }
  hoverAt(event->position());
  event->accept();
}

void MatrixView::leaveEvent(QEvent*) {
  if (!hasFocus() || !m_cursor.valid()) showCrosshair({});
}

void MatrixView::focusInEvent(QFocusEvent* event) {
  QWidget::focusInEvent(event);
  update();
}

void MatrixView::focusOutEvent(QFocusEvent* event) {
  QWidget::focusOutEvent(event);
  update();
}

void MatrixView::moveCursor(qint64 rows, qint64 keys, bool extend) {
  if (tokens() == 0) return;
  if (!m_cursor.valid()) {
    m_cursor = m_crosshair.valid()
                   ? m_crosshair
                   : MatrixCell{static_cast<qint64>(m_view.center().y()), static_cast<qint64>(m_view.center().x())};
  } else {
    m_cursor.row += rows;
    m_cursor.key += keys;
  }
  m_cursor.row = std::clamp<qint64>(m_cursor.row, 0, tokens() - 1);
  m_cursor.key = std::clamp<qint64>(m_cursor.key, 0, tokens() - 1);
  const QRectF before = m_view;
  ensureVisible(m_cursor);
  if (m_view != before) interact();
  showCrosshair(m_cursor);
  selectRow(m_cursor.row);
  if (extend) {
    if (m_rangeAnchor < 0) m_rangeAnchor = m_cursor.key - keys;
    selectKeys({std::min(m_rangeAnchor, m_cursor.key), std::max(m_rangeAnchor, m_cursor.key) + 1});
  } else {
    m_rangeAnchor = m_cursor.key;
  }
}

void MatrixView::keyPressEvent(QKeyEvent* event) {
  const bool pan = event->modifiers().testFlag(Qt::ControlModifier);
  const bool extend = event->modifiers().testFlag(Qt::ShiftModifier);
  const auto page = std::max<qint64>(1, static_cast<qint64>(m_view.height() / 8));
  const auto arrow = [&](int rows, int keys) {
    if (pan)
      moveView(m_view.translated(keys * m_view.width() / 10, rows * m_view.height() / 10));
    else
      moveCursor(rows, keys, extend && keys != 0);
  };
  const auto zoomAtCursor = [&](double factor) {
    QPointF centre = plotRect(0).center();
    if (m_cursor.valid() && plotRect(0).contains(cellRect(m_cursor).center())) centre = cellRect(m_cursor).center();
    zoom(factor, centre);
  };
  switch (event->key()) {
    case Qt::Key_Left:
      arrow(0, -1);
      break;
    case Qt::Key_Right:
      arrow(0, 1);
      break;
    case Qt::Key_Up:
      arrow(-1, 0);
      break;
    case Qt::Key_Down:
      arrow(1, 0);
      break;
    case Qt::Key_PageUp:
      moveCursor(-page, 0, false);
      break;
    case Qt::Key_PageDown:
      moveCursor(page, 0, false);
      break;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
      zoomAtCursor(kZoomStep);
      break;
    case Qt::Key_Minus:
      zoomAtCursor(1 / kZoomStep);
      break;
    case Qt::Key_Home:
      fitView();
      break;
    case Qt::Key_Escape:
      if (!m_selectedKeys.empty()) {
        selectKeys({});
      } else if (m_selectedRow >= 0) {
        selectRow(-1);
      } else {
        QWidget::keyPressEvent(event);
      }
      break;
    default:
      QWidget::keyPressEvent(event);
      return;
  }
}

bool MatrixView::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip) {
    const auto* help = static_cast<QHelpEvent*>(event);
    QString text;
    if (m_geometry.minimap.contains(help->pos())) {
      text = tr("The whole matrix. Click or drag to move.");
    } else if (const auto cell = cellAt(help->pos())) {
      text = describe(*cell).replace(QStringLiteral(" · "), QStringLiteral("\n"));
      text += QLatin1Char('\n') + tr("shown: %1").arg(reducerText());
    } else if (m_geometry.rowStrip.contains(help->pos())) {
      const auto& source = m_picture.layer(mode() == CompareMode::B ? 1 : 0).source;
      text = source && source->kind() == MatrixSource::Kind::kProbability
                 ? tr("Largest probability of each row among the keys in view. Click to select a row.")
                 : tr("Mean of each row over the keys in view. Click to select a row.");
    } else if (m_geometry.keyStrip[0].contains(help->pos()) || m_geometry.keyStrip[1].contains(help->pos())) {
      text = tr("Mean of each key over the rows in view. Drag to select keys.");
    }
    if (text.isEmpty()) {
      QToolTip::hideText();
      event->ignore();
    } else {
      QToolTip::showText(help->globalPos(), wrappedTip(text), this);
    }
    return true;
  }
  return QWidget::event(event);
}

}  // namespace dhsa
