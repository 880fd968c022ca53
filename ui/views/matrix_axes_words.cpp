// Words along the axes of a matrix.
#include <QFontMetricsF>
#include <cmath>

#include "ui/plot/axis_ticks.h"
#include "ui/views/matrix_axes.h"

namespace dhsa {

bool MatrixAxes::wordsFit(const AxisMap& axis) const {
  return m_words && axis.pixelsPerToken() >= QFontMetricsF(m_small).height();
}

// Upright where the cells are wide, with the index below; else downwards.
void MatrixAxes::keyWords(const QRectF& area, const AxisMap& axis) const {
  QPainter& p = m_painter;
  const QFontMetricsF metrics(m_small);
  const double top = area.top();
  const double depth = area.height();
  const double cell = axis.pixelsPerToken();
  const bool upright = cell >= 6 * metrics.averageCharWidth();
  p.save();
  p.setClipRect(QRectF(axis.low, area.top(), axis.high - axis.low, area.height()));
  for (auto key = static_cast<qint64>(std::floor(axis.begin)); static_cast<double>(key) < axis.end; ++key) {
    const double x = axis.toPixel(static_cast<double>(key) + 0.5);
    p.setPen(m_theme.text);
    if (upright) {
      p.drawText(QRectF(x - cell / 2, top, cell, metrics.height()), Qt::AlignCenter,
                 metrics.elidedText(m_words(key), Qt::ElideRight, cell - 2));
      p.setPen(m_theme.quiet);
      p.drawText(QRectF(x - cell / 2, top + metrics.height(), cell, metrics.height()), Qt::AlignCenter,
                 metrics.elidedText(indexLabel(static_cast<double>(key)), Qt::ElideRight, cell - 2));
    } else {
      p.save();
      p.translate(x, top);
      p.rotate(90);
      p.drawText(QRectF(0, -metrics.height() / 2, depth, metrics.height()), Qt::AlignLeft | Qt::AlignVCenter,
                 metrics.elidedText(m_words(key), Qt::ElideRight, depth));
      p.restore();
    }
  }
  p.restore();
}

void MatrixAxes::rowWords(const QRectF& area, const AxisMap& axis) const {
  QPainter& p = m_painter;
  const QFontMetricsF metrics(m_small);
  p.save();
  p.setClipRect(QRectF(area.left(), axis.low, area.width(), axis.high - axis.low));
  p.setPen(m_theme.text);
  for (auto row = static_cast<qint64>(std::floor(axis.begin)); static_cast<double>(row) < axis.end; ++row) {
    const double y = axis.toPixel(static_cast<double>(row) + 0.5);
    p.drawText(QRectF(area.left(), y - metrics.height() / 2, area.width(), metrics.height()),
               Qt::AlignRight | Qt::AlignVCenter, metrics.elidedText(m_words(row), Qt::ElideRight, area.width()));
  }
  p.restore();
}

}  // namespace dhsa
