#include "ui/views/needle_map.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/views/axis_ticks.h"
#include "ui/views/matrix_furniture.h"
#include "ui/views/spoken_value.h"

namespace dhsa {

namespace {

// Cividis: a found needle must look found to everyone.
constexpr ColourMapId kMap = ColourMapId::Cividis;

QString percent(double share) { return QString::number(std::lround(share * 100)); }

}  // namespace

NeedleMap::NeedleMap(QWidget* parent) : QWidget(parent), m_titles{tr("Dense"), tr("Sparse")} {
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setAccessibleName(tr("Needle test"));
  setAccessibleDescription(
      tr("Depth of the needle down, length of the document across; dense on the left, sparse on the right."));
  setSpokenValue(this, tr("No cell"));
  m_theme = ViewTheme::of(palette());
}

void NeedleMap::setGrid(std::vector<qint64> lengths, std::vector<double> depths) {
  m_lengths = std::move(lengths);
  m_depths = std::move(depths);
  for (auto& values : m_values)
    values.assign(m_lengths.size() * m_depths.size(), std::numeric_limits<double>::quiet_NaN());
  m_running = {};
  m_focus = {Side::Dense, 0, 0};
  place();
}

void NeedleMap::setTitles(const QString& dense, const QString& sparse) {
  m_titles = {dense, sparse};
  update();
}

void NeedleMap::setValue(Side side, int length, int depth, double value) {
  if (length < 0 || depth < 0 || length >= static_cast<int>(m_lengths.size()) ||
      depth >= static_cast<int>(m_depths.size()))
    return;
  m_values[index(side)][static_cast<std::size_t>(depth) * m_lengths.size() + static_cast<std::size_t>(length)] = value;
  update();
}

void NeedleMap::setRunning(Side side, int length, int depth) {
  m_running = {side, length, depth};
  update();
}

double NeedleMap::value(Side side, int length, int depth) const {
  return m_values[index(side)][static_cast<std::size_t>(depth) * m_lengths.size() + static_cast<std::size_t>(length)];
}

void NeedleMap::place() {
  const QFontMetricsF metrics(smallFont(font()));
  const double left = metrics.horizontalAdvance(QStringLiteral("100 %")) + 16 + metrics.height();
  const double right = 16 + 40 + metrics.height() + 10;
  const double top = QFontMetricsF(font()).height() + 10;
  const double bottom = 2 * metrics.height() + 10;
  const double between = 18;
  const double width = std::max(10.0, (this->width() - left - right - between) / 2);
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
  const double v = value(cell.side, cell.length, cell.depth);
  const bool running = m_running.side == cell.side && m_running.length == cell.length && m_running.depth == cell.depth;
  return tr("%1 · %2 tokens · depth %3 % · %4")
      .arg(m_titles[index(cell.side)],
           indexLabel(static_cast<double>(m_lengths[static_cast<std::size_t>(cell.length)])),
           percent(m_depths[static_cast<std::size_t>(cell.depth)]),
           !std::isnan(v) ? tr("found %1 %").arg(percent(v))
           : running      ? tr("running")
                          : tr("not run"));
}

void NeedleMap::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(rect(), m_theme.window);
  if (m_lengths.empty() || m_depths.empty()) {
    painter.setPen(m_theme.quiet);
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap, tr("No needle test run yet"));
    return;
  }
  const ColourMap map(kMap);
  const ValueScale scale(ColourScale::Linear, 0, 1, false);
  const QFont small = smallFont(font());
  QStringList depths, lengths;
  for (const double depth : m_depths) depths << tr("%1 %", "depth in percent").arg(percent(depth));
  for (const qint64 length : m_lengths) lengths << indexLabel(static_cast<double>(length));
  QFont bold = font();
  bold.setBold(true);
  for (std::size_t side = 0; side < 2; ++side) {
    const CellGrid& grid = m_grids[side];
    grid.draw(
        painter, m_theme, small, map, scale,
        [&](int row, int column) { return value(side == 0 ? Side::Dense : Side::Sparse, column, row); },
        [&](int row, int column) { return percent(value(side == 0 ? Side::Dense : Side::Sparse, column, row)); });
    grid.drawLabels(painter, m_theme, small, side == 0 ? depths : QStringList(), lengths,
                    side == 0 ? tr("depth of the needle") : QString(), tr("length in tokens"));
    painter.setFont(bold);
    painter.setPen(m_theme.text);
    painter.drawText(QRectF(grid.area.left(), 2, grid.area.width(), grid.area.top() - 4),
                     Qt::AlignLeft | Qt::AlignVCenter,
                     QFontMetricsF(bold).elidedText(m_titles[side], Qt::ElideRight, grid.area.width()));
  }
  const QRectF& last = m_grids[1].area;
  ValueScale percents(ColourScale::Linear, 0, 100, false);
  drawColourBar(painter, m_theme, small, QRectF(last.right() + 12, last.top(), 60, last.height()), map, percents,
                tr("needles found, %"));
  if (m_running.length >= 0)
    m_grids[index(m_running.side)].outline(painter, m_theme, m_running.depth, m_running.length, m_theme.selection);
  if (hasFocus()) {
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(palette().color(QPalette::Highlight), 2, Qt::DotLine));
    painter.drawRect(m_grids[index(m_focus.side)].cell(m_focus.depth, m_focus.length).adjusted(2, 2, -3, -3));
  }
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
  for (const Side side : {Side::Dense, Side::Sparse}) {
    cell.side = side;
    if (m_grids[index(side)].hit(position, cell.depth, cell.length)) return true;
  }
  return false;
}

bool NeedleMap::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip) {
    const auto* help = static_cast<QHelpEvent*>(event);
    Cell cell;
    if (hit(help->pos(), cell))
      QToolTip::showText(help->globalPos(), describe(cell), this);
    else
      QToolTip::hideText();
    return true;
  }
  return QWidget::event(event);
}

void NeedleMap::moveTo(Side side, int length, int depth) {
  if (m_lengths.empty() || m_depths.empty()) return;
  const int last = static_cast<int>(m_lengths.size()) - 1;
  // Past the right edge of dense lies the left edge of sparse.
  if (side == Side::Dense && length > last) {
    side = Side::Sparse;
    length = 0;
  } else if (side == Side::Sparse && length < 0) {
    side = Side::Dense;
    length = last;
  }
  m_focus = {side, std::clamp(length, 0, last), std::clamp(depth, 0, static_cast<int>(m_depths.size()) - 1)};
  const QString text = describe(m_focus);
  setSpokenValue(this, text);
  Q_EMIT statusText(text);
  update();
}

void NeedleMap::mousePressEvent(QMouseEvent* event) {
  Cell cell;
  if (event->button() != Qt::LeftButton || !hit(event->position(), cell)) return;
  moveTo(cell.side, cell.length, cell.depth);
  Q_EMIT cellChosen(cell.side == Side::Sparse, cell.length, cell.depth);
}

void NeedleMap::mouseMoveEvent(QMouseEvent* event) {
  Cell cell;
  Q_EMIT statusText(hit(event->position(), cell) ? describe(cell) : QString());
}

void NeedleMap::keyPressEvent(QKeyEvent* event) {
  switch (event->key()) {
    case Qt::Key_Left:
      moveTo(m_focus.side, m_focus.length - 1, m_focus.depth);
      break;
    case Qt::Key_Right:
      moveTo(m_focus.side, m_focus.length + 1, m_focus.depth);
      break;
    case Qt::Key_Up:
      moveTo(m_focus.side, m_focus.length, m_focus.depth - 1);
      break;
    case Qt::Key_Down:
      moveTo(m_focus.side, m_focus.length, m_focus.depth + 1);
      break;
    case Qt::Key_Return:
    case Qt::Key_Enter:
      if (!m_lengths.empty() && !m_depths.empty())
        Q_EMIT cellChosen(m_focus.side == Side::Sparse, m_focus.length, m_focus.depth);
      break;
    default:
      QWidget::keyPressEvent(event);
  }
}

}  // namespace dhsa
