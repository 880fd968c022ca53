// Painting of the matrix view: still parts into a pixmap, crosshair and selection over it.
#include <QPaintEvent>
#include <QPainter>
#include <algorithm>
#include <cmath>

#include "ui/plot/axis_ticks.h"
#include "ui/views/matrix_view.h"

namespace dhsa {
namespace {

// Every pixel of `part` of the plot takes the sample it lies in, or the ground where there is none. Samples are opaque
// or absent; there may be fewer than pixels.
void fillPlot(QImage& onto, const QRect& plot, const QRect& part, const QImage& samples, const QImage& ground) {
  const QRect area = part & onto.rect();
  if (area.isEmpty()) return;
  const auto sampleAt = [](int pixel, int count, int pixels) {
    return static_cast<int>((2 * static_cast<qint64>(pixel) + 1) * count / (2 * static_cast<qint64>(pixels)));
  };
  const auto width = static_cast<std::size_t>(area.width());
  std::vector<QRgb> line(width, 0);  // one row of samples, a pixel each
  std::vector<int> columns(width);
  for (std::size_t x = 0; x < width; ++x)
    columns[x] = sampleAt(area.left() - plot.left() + static_cast<int>(x), samples.width(), plot.width());
  int known = -1;
  for (int y = area.top(); y <= area.bottom(); ++y) {
    const int row = sampleAt(y - plot.top(), samples.height(), plot.height());
    if (!samples.isNull() && row != known) {
      const auto* from = reinterpret_cast<const QRgb*>(samples.constScanLine(row));
      for (std::size_t x = 0; x < width; ++x) line[x] = from[columns[x]];
      known = row;
    }
    const auto* under = reinterpret_cast<const QRgb*>(ground.constScanLine(y - plot.top())) + area.left() - plot.left();
    auto* to = reinterpret_cast<QRgb*>(onto.scanLine(y)) + area.left();
    for (std::size_t x = 0; x < width; ++x) to[x] = line[x] != 0 ? line[x] : under[x];
  }
}

}  // namespace

void MatrixView::drawTitles(QPainter& painter) const {
  painter.setPen(m_theme.text);
  const QFontMetricsF metrics(font());
  const CompareMode shown = mode();
  const auto text = [&](const QRect& area, const QString& words) {
    painter.drawText(area, Qt::AlignLeft | Qt::AlignVCenter, metrics.elidedText(words, Qt::ElideMiddle, area.width()));
  };
  QFont bold = font();
  bold.setBold(true);
  // How cells became pixels stands with the picture, also in a screenshot.
  const QString reduced = reducerText();
  QRect note = m_geometry.title[m_geometry.panels - 1];
  note.setRight(std::max({note.right(), m_geometry.legend.right(), m_geometry.rowStrip.right()}));
  const QFont small = smallFont(font());
  const int note_width = static_cast<int>(QFontMetricsF(small).horizontalAdvance(reduced)) + 12;
  const bool room = note.width() > 2 * note_width;
  if (room) {
    painter.setFont(small);
    painter.setPen(m_theme.quiet);
    painter.drawText(note, Qt::AlignRight | Qt::AlignVCenter, reduced);
  }
  painter.setPen(m_theme.text);
  const int last_width = room ? note.right() - note_width : note.right();
  if (shown == CompareMode::A || shown == CompareMode::B) {
    painter.setFont(bold);
    QRect area = m_geometry.title[0];
    area.setRight(std::max(last_width, area.left()));
    text(area, m_picture.layer(shown == CompareMode::B ? 1 : 0).title);
    return;
  }
  for (const int side : {0, 1}) {
    QRect area = m_geometry.title[shown == CompareMode::SideBySide ? side : 0];
    if (shown != CompareMode::SideBySide || side == 1) area.setRight(std::max(last_width, area.left()));
    if (shown != CompareMode::SideBySide) {
      area.setWidth(area.width() / 2 - 8);
      if (side == 1) area.translate(area.width() + 16, 0);
    }
    // The letter carries the line style of its profile.
    painter.setFont(bold);
    painter.setPen(m_theme.text);
    const QString letter = side == 0 ? tr("A") : tr("B");
    painter.drawText(area, Qt::AlignLeft | Qt::AlignVCenter, letter);
    const double x = area.left() + QFontMetricsF(bold).horizontalAdvance(letter) + 5;
    painter.setPen(QPen(side == 0 ? m_theme.seriesA : m_theme.seriesB, 2, side == 0 ? Qt::SolidLine : Qt::DashLine));
    painter.drawLine(QPointF(x, area.center().y() + 1), QPointF(x + 18, area.center().y() + 1));
    painter.setFont(font());
    painter.setPen(m_theme.text);
    text(area.adjusted(static_cast<int>(x - area.left()) + 24, 0, 0, 0), m_picture.layer(side).title);
  }
}

QImage MatrixView::stillPixels() {
  return {m_still.bits(), m_still.width(), m_still.height(), m_still.bytesPerLine(), m_still.format()};
}

// The samples, pixel by pixel: a painter that scales could merge two columns where the factor is a fraction, and takes
// several times as long. One pass over the pixels of a large screen costs milliseconds, so there is no other.
void MatrixView::drawImages() {
  QImage pixels = stillPixels();
  QPainter painter(&pixels);
  const CompareMode shown = mode();
  for (int panel = 0; panel < m_geometry.panels; ++panel) {
    const QRect plot = deviceRect(m_geometry.plot[panel]);
    if (m_ground.size() != plot.size()) {
      m_ground = QImage(plot.size(), QImage::Format_RGB32);
      m_ground.fill(m_theme.neutral);
      QBrush hatch = m_theme.hatchBrush();
      hatch.setTransform(QTransform::fromScale(devicePixelRatioF(), devicePixelRatioF()));
      QPainter(&m_ground).fillRect(m_ground.rect(), hatch);
    }
    const int line = std::max(1, static_cast<int>(devicePixelRatioF()));
    const QRegion frame = QRegion(plot.adjusted(-line, -line, line, line)) - plot;
    for (const QRect& edge : frame) painter.fillRect(edge, m_theme.frame);
    if (shown == CompareMode::SideBySide) {
      fillPlot(pixels, plot, plot, m_picture.image(panel), m_ground);
    } else if (shown == CompareMode::Split) {
      QRect left = plot;
      left.setWidth(static_cast<int>(std::lround(m_split * plot.width())));
      fillPlot(pixels, plot, left, m_picture.image(0), m_ground);
      fillPlot(pixels, plot, QRect(QPoint(plot.left() + left.width(), plot.top()), plot.bottomRight()),
               m_picture.image(1), m_ground);
    } else {
      fillPlot(pixels, plot, plot, m_picture.image(shown == CompareMode::B ? 1 : 0), m_ground);
    }
  }
}

void MatrixView::drawStill() {
  if (tokens() == 0) {
    m_still.fill(m_theme.window);
  } else {
    QImage pixels = stillPixels();
    QPainter around(&pixels);
    QRegion region(pixels.rect());
    for (int panel = 0; panel < m_geometry.panels; ++panel) region -= deviceRect(m_geometry.plot[panel]);
    for (const QRect& part : region) around.fillRect(part, m_theme.window);
    around.end();
    drawImages();
  }
  QPainter painter(&m_still);
  painter.setFont(font());
  if (tokens() == 0) {
    painter.setPen(m_theme.quiet);
    painter.drawText(rect(), Qt::AlignCenter, tr("No matrix to show yet"));
    return;
  }
  const CompareMode shown = mode();
  MatrixAxes axes(painter, m_theme, font(), &m_still);
  axes.setWords(m_tokenText);
  const std::span<const std::int32_t> boundaries =
      m_chunks && m_boundaries ? std::span<const std::int32_t>(*m_boundaries) : std::span<const std::int32_t>();
  drawTitles(painter);
  for (int panel = 0; panel < m_geometry.panels; ++panel) {
    const QRect plot = m_geometry.plot[panel];
    axes.cellGrid(plot, keyMap(panel), rowMap(panel));
    axes.chunkGrid(plot, keyMap(panel), rowMap(panel), boundaries, m_window);
    axes.keyAxis(m_geometry.keyAxis[panel], keyMap(panel), boundaries, !boundaries.empty());
  }
  axes.rowAxis(m_geometry.rowAxis, rowMap(0), boundaries, !boundaries.empty());
  if (!m_geometry.rowStrip.isNull()) {
    std::array<std::vector<float>, 2> keys, rows;
    for (const int side : {0, 1}) {
      if (!MatrixPicture::usesSide(shown, side) || !m_picture.layer(side).source) continue;
      keys[static_cast<std::size_t>(side)] = m_picture.keyProfile(side);
      rows[static_cast<std::size_t>(side)] = m_picture.rowProfile(side);
    }
    const MatrixAxes::Series key_series[2] = {{keys[0], m_theme.seriesA, true, Qt::SolidLine},
                                              {keys[1], m_theme.seriesB, false, Qt::DashLine}};
    const MatrixAxes::Series row_series[2] = {{rows[0], m_theme.seriesA, true, Qt::SolidLine},
                                              {rows[1], m_theme.seriesB, false, Qt::DashLine}};
    for (int panel = 0; panel < m_geometry.panels; ++panel)
      axes.strip(m_geometry.keyStrip[panel], Qt::Horizontal,
                 shown == CompareMode::SideBySide ? std::span(key_series + panel, 1) : std::span(key_series),
                 m_colours.scale, key_series);
    axes.strip(m_geometry.rowStrip, Qt::Vertical, row_series, m_colours.scale);
  }
  // The colour bar belongs to the side with values, where the other is a mask.
  const bool second = shown == CompareMode::B || !m_picture.layer(0).source || m_picture.isMaskBesideValues(0, shown);
  const MatrixLayer& named = m_picture.layer(second ? 1 : 0);
  QString unit = named.unit;
  if (unit.isEmpty() && named.source->kind() == MatrixSource::Kind::kMask) unit = tr("share kept");
  axes.colourBar(m_geometry.legend, m_picture, shown, unit);
  if (!m_geometry.minimap.isNull()) drawMinimap(painter);
}

void MatrixView::drawMinimap(QPainter& painter) {
  const QRect box = m_geometry.minimap;
  const QRect device = deviceRect(box);
  if (m_overviewStale || m_overview.size() != device.size()) {
    m_overview =
        m_picture.overview(mode() == CompareMode::B ? 1 : 0, device.size(), m_colours, m_reducer, m_skipKeys, m_theme);
    m_overviewStale = false;
  }
  painter.fillRect(box.adjusted(-3, -3, 3, 3), m_theme.window);
  painter.fillRect(box, m_theme.neutral);
  QImage pixels = stillPixels();
  QPainter(&pixels).drawImage(device.topLeft(), m_overview);
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(m_theme.frame, 1));
  painter.drawRect(box.adjusted(-3, -3, 2, 2));
  const double scale = box.width() / static_cast<double>(tokens());
  QRectF shown(box.left() + m_view.x() * scale, box.top() + m_view.y() * scale, m_view.width() * scale,
               m_view.height() * scale);
  // Never too small to see.
  if (shown.width() < 5) shown.adjust(-(5 - shown.width()) / 2, 0, (5 - shown.width()) / 2, 0);
  if (shown.height() < 5) shown.adjust(0, -(5 - shown.height()) / 2, 0, (5 - shown.height()) / 2);
  painter.setPen(QPen(m_theme.dark ? Qt::black : Qt::white, 3.5));
  painter.drawRect(shown);
  painter.setPen(QPen(m_theme.selection, 1.6));
  painter.drawRect(shown);
}

void MatrixView::notice(QPainter& painter, const QRectF& plot, const QString& words) const {
  QRectF box(QPointF(), painter.fontMetrics().boundingRect(words).adjusted(-12, -6, 12, 6).size());
  box.moveCenter(plot.center());
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setPen(QPen(m_theme.frame, 1));
  painter.setBrush(m_theme.window);
  painter.drawRoundedRect(box, 5, 5);
  painter.setPen(m_theme.text);
  painter.drawText(box, Qt::AlignCenter, words);
  painter.setRenderHint(QPainter::Antialiasing, false);
}

// One triangle for all tokens of a pixel, outside the plot, so that no cell is hidden.
void MatrixView::drawMarks(QPainter& painter, int panel) const {
  constexpr int kDepth = 5;
  const QRectF plot = plotRect(panel);
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setPen(Qt::NoPen);
  painter.setBrush(m_theme.selection);
  const auto draw = [&](const AxisMap& axis, auto&& triangle) {
    double last = axis.low - kDepth;
    for (const qint64 token : m_marks) {
      const double at = axis.toPixel(static_cast<double>(token) + 0.5);
      if (at < axis.low || at > axis.high || at - last < 1) continue;
      last = at;
      painter.drawPolygon(triangle(at));
    }
  };
  draw(keyMap(panel), [&](double x) {
    const double tip = plot.top() - 1;
    return QPolygonF{QPointF(x, tip), QPointF(x - kDepth / 2.0, tip - kDepth), QPointF(x + kDepth / 2.0, tip - kDepth)};
  });
  if (panel + 1 == m_geometry.panels) {
    draw(rowMap(panel), [&](double y) {
      const double tip = plot.right() + 1;
      return QPolygonF{QPointF(tip, y), QPointF(tip + kDepth, y - kDepth / 2.0),
                       QPointF(tip + kDepth, y + kDepth / 2.0)};
    });
  }
  painter.setRenderHint(QPainter::Antialiasing, false);
}

void MatrixView::drawOverlay(QPainter& painter) const {
  const MatrixAxes axes(painter, m_theme, font());
  const QColor casing = m_theme.dark ? QColor(0, 0, 0, 170) : QColor(255, 255, 255, 190);
  for (int panel = 0; panel < m_geometry.panels; ++panel) {
    const QRectF plot = plotRect(panel);
    const AxisMap keys = keyMap(panel);
    const AxisMap rows = rowMap(panel);
    painter.save();
    painter.setClipRegion(QRegion(m_geometry.plot[panel]) - m_geometry.minimap.adjusted(-3, -3, 3, 3));
    if (!m_selectedKeys.empty()) {
      const double from = keys.toPixel(static_cast<double>(m_selectedKeys.begin));
      const double to = std::max(keys.toPixel(static_cast<double>(m_selectedKeys.end)), from + 1);
      QColor veil = m_theme.selection;
      veil.setAlpha(46);
      painter.fillRect(QRectF(from, plot.top(), to - from, plot.height()), veil);
      for (const double x : {from, to}) {
        painter.setPen(QPen(casing, 3));
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()));
        painter.setPen(QPen(m_theme.selection, 1.4, Qt::DashLine));
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()));
      }
    }
    if (m_selectedRow >= 0) {
      const double from = rows.toPixel(static_cast<double>(m_selectedRow));
      const double to = rows.toPixel(static_cast<double>(m_selectedRow + 1));
      if (to - from >= 5) {
        for (const double y : {from, to}) {
          painter.setPen(QPen(casing, 3));
          painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y));
          painter.setPen(QPen(m_theme.selection, 1.4));
          painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y));
        }
      } else {
        const double y = (from + to) / 2;
        painter.setPen(QPen(casing, 3.4));
        painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y));
        painter.setPen(QPen(m_theme.selection, 1.6));
        painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y));
      }
    }
    if (m_crosshair.valid()) {
      const QRectF cell = cellRect(m_crosshair, panel);
      const QPointF centre = cell.center();
      const QLineF lines[2] = {{centre.x(), plot.top(), centre.x(), plot.bottom()},
                               {plot.left(), centre.y(), plot.right(), centre.y()}};
      painter.setPen(QPen(QColor(0, 0, 0, 150), 2));
      painter.drawLines(lines, 2);
      painter.setPen(QPen(QColor(255, 255, 255, 235), 1));
      painter.drawLines(lines, 2);
      if (cell.width() >= 6) {
        painter.setPen(QPen(Qt::black, 3));
        painter.drawRect(cell);
        painter.setPen(QPen(Qt::white, 1.4));
        painter.drawRect(cell);
      }
    }
    painter.restore();
    drawMarks(painter, panel);
    if (mode() == CompareMode::Split) {
      const double x = plot.left() + m_split * plot.width();
      painter.setPen(QPen(casing, 4));
      painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()));
      painter.setPen(QPen(m_theme.text, 1.6));
      painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()));
      painter.setRenderHint(QPainter::Antialiasing);
      painter.setBrush(m_theme.window);
      painter.drawRoundedRect(QRectF(x - 5, plot.bottom() - 46, 10, 30), 4, 4);
      painter.drawLine(QPointF(x - 1.5, plot.bottom() - 38), QPointF(x - 1.5, plot.bottom() - 24));
      painter.drawLine(QPointF(x + 1.5, plot.bottom() - 38), QPointF(x + 1.5, plot.bottom() - 24));
      painter.setRenderHint(QPainter::Antialiasing, false);
      axes.tag({x - 14, plot.bottom() - 68}, Qt::AlignTop, tr("A"), m_theme.seriesA);
      axes.tag({x + 14, plot.bottom() - 68}, Qt::AlignTop, tr("B"), m_theme.seriesB);
    }
    const bool band = m_chunks && m_boundaries;
    const auto key_labels = axes.keyLabels(m_geometry.keyAxis[panel], keys, band);
    const auto row_labels = axes.rowLabels(m_geometry.rowAxis, rows, band);
    // Indices at the axes: the selection's in its colour, the crosshair's in the text colour.
    const double ticks = m_geometry.keyAxis[panel].top() + (m_chunks && m_boundaries ? 15 : 1);
    const auto keyTag = [&](qint64 key, const QColor& colour) {
      const double x = keys.toPixel(static_cast<double>(key) + 0.5);
      if (x >= plot.left() && x <= plot.right() + 1)
        axes.tag({x, ticks}, Qt::AlignTop, indexLabel(static_cast<double>(key)), colour, key_labels);
    };
    const auto rowTag = [&](qint64 row, const QColor& colour) {
      const double y = rows.toPixel(static_cast<double>(row) + 0.5);
      if (panel == 0 && y >= plot.top() && y <= plot.bottom() + 1)
        axes.tag({plot.left() - (m_chunks && m_boundaries ? 15.0 : 1.0), y}, Qt::AlignLeft,
                 indexLabel(static_cast<double>(row)), colour, row_labels);
    };
    if (m_selectedRow >= 0) rowTag(m_selectedRow, m_theme.selection);
    if (m_crosshair.valid()) {
      keyTag(m_crosshair.key, m_theme.text);
      if (m_crosshair.row != m_selectedRow) rowTag(m_crosshair.row, m_theme.text);
    }
  }
  for (int panel = 0; panel < m_geometry.panels && mode() == CompareMode::SideBySide; ++panel)
    if (!m_picture.layer(panel).source) notice(painter, plotRect(panel), tr("%1…").arg(m_picture.layer(panel).title));
  if (m_busy) {
    QColor veil = m_theme.window;
    veil.setAlpha(150);
    painter.fillRect(rect(), veil);
    if (!m_busyText.isEmpty()) notice(painter, plotRect(0), m_busyText);
  }
  if (hasFocus()) {
    painter.setRenderHint(QPainter::Antialiasing, false);
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(palette().color(QPalette::Highlight), 1));
    painter.drawRect(rect().adjusted(0, 0, -1, -1));
  }
}

void MatrixView::paintEvent(QPaintEvent* event) {
  refresh();
  QPainter painter(this);
  painter.setClipRect(event->rect());
  painter.drawImage(QPointF(0, 0), m_still);
  if (tokens() > 0) drawOverlay(painter);
}

}  // namespace dhsa
