#include "ui/views/cell_grid.h"

#include <QFontMetricsF>
#include <algorithm>
#include <cmath>

#include "ui/plot/axis_ticks.h"

namespace dhsa {

QRectF CellGrid::cell(int row, int column) const {
  const double width = area.width() / std::max(1, columns);
  const double height = area.height() / std::max(1, rows);
  return {area.left() + column * width, area.top() + row * height, width, height};
}

bool CellGrid::hit(QPointF position, int& row, int& column) const {
  if (!area.contains(position) || rows <= 0 || columns <= 0) return false;
  row = std::clamp(static_cast<int>((position.y() - area.top()) / area.height() * rows), 0, rows - 1);
  column = std::clamp(static_cast<int>((position.x() - area.left()) / area.width() * columns), 0, columns - 1);
  return true;
}

void CellGrid::draw(QPainter& painter, const ViewTheme& theme, const QFont& font, const ColourMap& map,
                    const ValueScale& scale, const std::function<double(int, int)>& value,
                    const std::function<QString(int, int)>& label) const {
  painter.save();
  painter.setFont(font);
  const QFontMetricsF metrics(font);
  const double gap = std::min(area.width() / std::max(1, columns), area.height() / std::max(1, rows)) >= 8 ? 1.0 : 0.0;
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const QRectF box = cell(row, column).adjusted(0, 0, -gap, -gap);
      const double v = value(row, column);
      if (std::isnan(v)) {
        painter.fillRect(box, theme.neutral);
        painter.fillRect(box, theme.hatchBrush());
        continue;
      }
      const QColor fill = QColor::fromRgb(map.at(scale.position(v)));
      painter.fillRect(box, fill);
      const QString text = label(row, column);
      if (text.isEmpty() || metrics.horizontalAdvance(text) + 1 > box.width() || metrics.height() > box.height() + 2)
        continue;
      const double light = 0.299 * fill.red() + 0.587 * fill.green() + 0.114 * fill.blue();
      painter.setPen(light > 140 ? QColor(20, 20, 24) : QColor(250, 250, 252));
      painter.drawText(box, Qt::AlignCenter, text);
    }
  }
  painter.restore();
}

void CellGrid::drawLabels(QPainter& painter, const ViewTheme& theme, const QFont& font, const QStringList& rowLabels,
                          const QStringList& columnLabels, const QString& rowTitle, const QString& columnTitle) const {
  painter.save();
  painter.setFont(font);
  const QFontMetricsF metrics(font);
  painter.setPen(theme.quiet);
  double widest = 0;
  for (const QString& text : rowLabels) widest = std::max(widest, metrics.horizontalAdvance(text));
  const int every_row = std::max(1, static_cast<int>(std::ceil((metrics.height() + 1) * rows / area.height())));
  for (int row = 0; row < std::min<int>(rows, static_cast<int>(rowLabels.size())); row += every_row) {
    const QRectF box = cell(row, 0);
    painter.drawText(QRectF(box.left() - widest - 6, box.center().y() - metrics.height() / 2, widest, metrics.height()),
                     Qt::AlignRight | Qt::AlignVCenter | Qt::TextDontClip, rowLabels[row]);
  }
  double wide = 0;
  for (const QString& text : columnLabels) wide = std::max(wide, metrics.horizontalAdvance(text));
  const int every_column = std::max(1, static_cast<int>(std::ceil((wide + 6) * columns / area.width())));
  for (int column = 0; column < std::min<int>(columns, static_cast<int>(columnLabels.size())); column += every_column) {
    const QRectF box = cell(rows - 1, column);
    painter.drawText(QRectF(box.center().x() - wide / 2, area.bottom() + 3, wide, metrics.height()),
                     Qt::AlignCenter | Qt::TextDontClip, columnLabels[column]);
  }
  painter.setPen(theme.text);
  painter.drawText(QRectF(area.left(), area.bottom() + 4 + metrics.height(), area.width(), metrics.height()),
                   Qt::AlignCenter | Qt::TextDontClip, columnTitle);
  if (!rowTitle.isEmpty()) {
    painter.translate(area.left() - widest - 12 - metrics.height() / 2, area.center().y());
    painter.rotate(-90);
    painter.drawText(QRectF(-area.height() / 2, -metrics.height() / 2, area.height(), metrics.height()),
                     Qt::AlignCenter | Qt::TextDontClip, rowTitle);
  }
  painter.restore();
}

void CellGrid::outline(QPainter& painter, const ViewTheme& theme, int row, int column, const QColor& colour) const {
  const QRectF box = cell(row, column).adjusted(0.5, 0.5, -1.5, -1.5);
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(theme.dark ? QColor(0, 0, 0) : QColor(255, 255, 255), 4));
  painter.drawRect(box);
  painter.setPen(QPen(colour, 2));
  painter.drawRect(box);
}

void drawColourBar(QPainter& painter, const ViewTheme& theme, const QFont& font, const QRectF& area,
                   const ColourMap& map, const ValueScale& scale, const QString& title) {
  painter.save();
  painter.setFont(font);
  const QFontMetricsF metrics(font);
  const QRectF box(area.left() + 0.5, area.top() + 0.5, 12, area.height() - 1);
  const int steps = std::max(2, static_cast<int>(box.height()));
  for (int i = 0; i < steps; ++i)
    painter.fillRect(
        QRectF(box.left(), box.bottom() - (i + 1) * box.height() / steps, box.width(), box.height() / steps + 0.5),
        QColor::fromRgb(map.at((i + 0.5) / steps)));
  painter.setPen(QPen(theme.frame, 1));
  painter.setBrush(Qt::NoBrush);
  painter.drawRect(box);
  double widest = 0;
  for (const double tick : scale.ticks(std::max(2, static_cast<int>(box.height() / 40)))) {
    const double y = box.bottom() - scale.position(tick) * box.height();
    const QString text = valueLabel(tick);
    widest = std::max(widest, metrics.horizontalAdvance(text));
    painter.setPen(QPen(theme.frame, 1));
    painter.drawLine(QPointF(box.right(), y), QPointF(box.right() + 3, y));
    painter.setPen(theme.quiet);
    painter.drawText(QPointF(box.right() + 6, std::clamp(y + metrics.ascent() / 2 - 1, box.top() + metrics.ascent() - 4,
                                                         box.bottom() + 3)),
                     text);
  }
  painter.setPen(theme.text);
  painter.translate(box.right() + widest + 12 + metrics.height() / 2, box.center().y());
  painter.rotate(-90);
  painter.drawText(QRectF(-box.height() / 2, -metrics.height() / 2, box.height(), metrics.height()),
                   Qt::AlignCenter | Qt::TextDontClip, title);
  painter.restore();
}

}  // namespace dhsa
