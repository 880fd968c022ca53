#include "ui/views/needle_map.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>
#include <limits>

#include "ui/plot/axis_ticks.h"
#include "ui/views/matrix_axes.h"
#include "ui/views/spoken_value.h"
#include "ui/views/tool_tips.h"

namespace dhsa {

namespace {

QString percent(double share) { return QString::number(std::lround(share * 100)); }

}  // namespace

NeedleMap::NeedleMap(QWidget* parent) : QWidget(parent) {
  setObjectName(QStringLiteral("needleMap"));
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setAccessibleName(tr("Needle test"));
  setAccessibleDescription(tr(
      "Depth of the needle down, length of the prompt across, two methods side by side. Arrow keys move, Enter opens "
      "the cell's prompt."));
  setSpokenValue(this, tr("No cell"));
  m_scale.text = [](double value) { return QString::number(value); };
  m_theme = ViewTheme::of(palette());
}

void NeedleMap::setGrid(std::vector<qint64> lengths, std::vector<double> depths) {
  m_lengths = std::move(lengths);
  m_depths = std::move(depths);
  for (auto& values : m_values)
    values.assign(m_lengths.size() * m_depths.size(), std::numeric_limits<double>::quiet_NaN());
  m_running = {};
  if (m_selected.length >= static_cast<int>(m_lengths.size()) || m_selected.depth >= static_cast<int>(m_depths.size()))
    m_selected = {};
  place();
}

void NeedleMap::setTitles(const QString& left, const QString& right, bool single) {
  m_titles = {left, right};
  m_single = single;
  if (single) m_selected.side = Side::Left;
  place();
}

void NeedleMap::setScale(Scale scale) {
  m_scale = std::move(scale);
  update();
}

void NeedleMap::setValue(Side side, int length, int depth, double value) {
  if (length < 0 || depth < 0 || length >= static_cast<int>(m_lengths.size()) ||
      depth >= static_cast<int>(m_depths.size()))
    return;
  m_values[index(side)][static_cast<std::size_t>(depth) * m_lengths.size() + static_cast<std::size_t>(length)] = value;
  update();
}

void NeedleMap::setRunning(int length, int depth) {
  const Cell cell{Side::Left, length, depth};
  if (cell == m_running) return;
  m_running = cell;
  update();
}

double NeedleMap::value(Side side, int length, int depth) const {
  return m_values[index(side)][static_cast<std::size_t>(depth) * m_lengths.size() + static_cast<std::size_t>(length)];
}

void NeedleMap::place() {
  const QFontMetricsF metrics(smallFont(font()));
  const double left = metrics.horizontalAdvance(QStringLiteral("100 %")) + 16 + metrics.height();
  const double right = 16 + 44 + metrics.height() + 10;
  const double top = QFontMetricsF(font()).height() + 10;
  const double bottom = 2 * metrics.height() + 10;
  const double between = 18;
  const double room = this->width() - left - right;
  const double width = std::max(10.0, m_single ? room : (room - between) / 2);
  const double height = std::max(10.0, this->height() - top - bottom);
  for (std::size_t side = 0; side < 2; ++side)
    m_grids[side] = {static_cast<int>(m_depths.size()), static_cast<int>(m_lengths.size()),
                     QRectF(left + static_cast<double>(side) * (width + between), top, width, height)};
  update();
}

QString NeedleMap::describe(const Cell& cell) const {
  if (cell.length < 0 || cell.depth < 0 || cell.length >= static_cast<int>(m_lengths.size()) ||
      cell.depth >= static_cast<int>(m_depths.size()))
    return {};
  if (m_describe) return m_describe(cell);
  return m_scale.text(value(cell.side, cell.length, cell.depth));
}

void NeedleMap::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(rect(), m_theme.window);
  if (isEmpty()) {
    painter.setPen(m_theme.quiet);
    painter.drawText(rect().adjusted(20, 20, -20, -20), Qt::AlignCenter | Qt::TextWordWrap,
                     tr("No needle test yet.\nNumbers are hidden in long texts and asked for at their end; Start tells "
                        "at which depth and length a mask loses them."));
    return;
  }
  const ColourMap map(m_scale.map, m_theme.dark);
  const ValueScale scale(ColourScale::Linear, m_scale.low, m_scale.high, m_scale.diverging);
  const QFont small = smallFont(font());
  QStringList depths, lengths;
  for (const double depth : m_depths) depths << tr("%1 %", "depth in percent").arg(percent(depth));
  for (const qint64 length : m_lengths) lengths << indexLabel(static_cast<double>(length));
  QFont bold = font();
  bold.setBold(true);
  for (std::size_t side = 0; side < sides(); ++side) {
    const CellGrid& grid = m_grids[side];
    const Side which = side == 0 ? Side::Left : Side::Right;
    grid.draw(
        painter, m_theme, small, map, scale, [&](int row, int column) { return value(which, column, row); },
        [&](int row, int column) { return m_scale.text(value(which, column, row)); });
    grid.drawLabels(painter, m_theme, small, side == 0 ? depths : QStringList(), lengths,
                    side == 0 ? tr("depth of the needle") : QString(), tr("length in tokens"));
    painter.setFont(bold);
    painter.setPen(m_theme.text);
    painter.drawText(QRectF(grid.area.left(), 2, grid.area.width(), grid.area.top() - 4),
                     Qt::AlignLeft | Qt::AlignVCenter,
                     QFontMetricsF(bold).elidedText(m_titles[side], Qt::ElideRight, grid.area.width()));
    if (m_running.length >= 0) grid.outline(painter, m_theme, m_running.depth, m_running.length, m_theme.selection);
    if (m_selected.length >= 0 && m_selected.side == which) {
      painter.setBrush(Qt::NoBrush);
      const QRectF box = grid.cell(m_selected.depth, m_selected.length).adjusted(2, 2, -3, -3);
      painter.setPen(QPen(Qt::white, 4));
      painter.drawRect(box);
      painter.setPen(QPen(Qt::black, 2, hasFocus() ? Qt::DotLine : Qt::SolidLine));
      painter.drawRect(box);
    }
  }
  const QRectF& last = m_grids[sides() - 1].area;
  const double unit = m_scale.inPercent ? 100 : 1;
  drawColourBar(painter, m_theme, small, QRectF(last.right() + 12, last.top(), 60, last.height()), map,
                ValueScale(ColourScale::Linear, unit * m_scale.low, unit * m_scale.high, m_scale.diverging),
                m_scale.title);
}

void NeedleMap::resizeEvent(QResizeEvent*) { place(); }

void NeedleMap::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
    m_theme = ViewTheme::of(palette());
    place();
  }
  QWidget::changeEvent(event);
}

bool NeedleMap::hit(QPointF position, Cell& cell) const {
  for (std::size_t side = 0; side < sides() && !isEmpty(); ++side) {
    cell.side = side == 0 ? Side::Left : Side::Right;
    if (m_grids[side].hit(position, cell.depth, cell.length)) return true;
  }
  return false;
}

bool NeedleMap::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip) {
    const auto* help = static_cast<QHelpEvent*>(event);
    Cell cell;
    if (hit(help->pos(), cell))
      QToolTip::showText(help->globalPos(), wrappedTip(describe(cell)), this);
    else
      QToolTip::hideText();
    return true;
  }
  return QWidget::event(event);
}

void NeedleMap::select(const Cell& cell) {
  m_selected = cell;
  setSpokenValue(this, describe(cell));
  update();
}

void NeedleMap::moveTo(Side side, int length, int depth) {
  if (isEmpty()) return;
  const int last = static_cast<int>(m_lengths.size()) - 1;
  // Past the right edge of the left map lies the left edge of the right one.
  if (!m_single && side == Side::Left && length > last) {
    side = Side::Right;
    length = 0;
  } else if (side == Side::Right && length < 0) {
    side = Side::Left;
    length = last;
  }
  select({side, std::clamp(length, 0, last), std::clamp(depth, 0, static_cast<int>(m_depths.size()) - 1)});
  Q_EMIT statusText(describe(m_selected));
  Q_EMIT cellSelected();
}

void NeedleMap::mousePressEvent(QMouseEvent* event) {
  Cell cell;
  if (event->button() == Qt::LeftButton && hit(event->position(), cell)) moveTo(cell.side, cell.length, cell.depth);
}

void NeedleMap::mouseDoubleClickEvent(QMouseEvent* event) {
  Cell cell;
  if (event->button() == Qt::LeftButton && hit(event->position(), cell)) Q_EMIT cellOpened();
}

void NeedleMap::mouseMoveEvent(QMouseEvent* event) {
  Cell cell;
  const bool inside = hit(event->position(), cell);
  setCursor(inside ? Qt::PointingHandCursor : Qt::ArrowCursor);
  Q_EMIT statusText(inside ? describe(cell) : QString());
}

void NeedleMap::leaveEvent(QEvent*) { Q_EMIT statusText({}); }

void NeedleMap::focusInEvent(QFocusEvent* event) {
  QWidget::focusInEvent(event);
  if (m_selected.length < 0 && event->reason() != Qt::MouseFocusReason) moveTo(Side::Left, 0, 0);
}

void NeedleMap::keyPressEvent(QKeyEvent* event) {
  const Cell& at = m_selected;
  switch (event->key()) {
    case Qt::Key_Left:
      moveTo(at.side, at.length - 1, at.depth);
      break;
    case Qt::Key_Right:
      moveTo(at.side, at.length + 1, at.depth);
      break;
    case Qt::Key_Up:
      moveTo(at.side, at.length, at.depth - 1);
      break;
    case Qt::Key_Down:
      moveTo(at.side, at.length, at.depth + 1);
      break;
    case Qt::Key_Home:
      moveTo(Side::Left, 0, 0);
      break;
    case Qt::Key_End:
      moveTo(m_single ? Side::Left : Side::Right, static_cast<int>(m_lengths.size()) - 1,
             static_cast<int>(m_depths.size()) - 1);
      break;
    case Qt::Key_Return:
    case Qt::Key_Enter:
      if (at.length >= 0) Q_EMIT cellOpened();
      break;
    default:
      QWidget::keyPressEvent(event);
  }
}

}  // namespace dhsa
