#include "ui/views/matrix_axes.h"

#include <QFontMetricsF>
#include <QPainterPath>
#include <algorithm>
#include <cmath>

#include "ui/plot/axis_ticks.h"

namespace dhsa {

namespace {

constexpr int kGap = 6;
constexpr int kBand = 14;  // chunk numbers
constexpr int kTick = 4;
constexpr int kStrip = 46;
constexpr int kLegend = 104;
constexpr int kBar = 14;            // thickness of the colour bar
constexpr double kLeastGrid = 7.0;  // pixels between chunk boundaries below which lines would hide the map

std::pair<std::size_t, std::size_t> inView(std::span<const std::int32_t> boundaries, const AxisMap& axis) {
  const auto first = std::upper_bound(boundaries.begin(), boundaries.end(), axis.begin);
  const auto last = std::lower_bound(boundaries.begin(), boundaries.end(), axis.end);
  const auto from = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, first - boundaries.begin() - 1));
  return {from, static_cast<std::size_t>(last - boundaries.begin())};
}

}  // namespace

QFont smallFont(const QFont& font) {
  QFont small = font;
  if (font.pointSizeF() > 0)
    small.setPointSizeF(std::max(6.5, font.pointSizeF() * 0.85));
  else
    small.setPixelSize(std::max(9, font.pixelSize() * 85 / 100));
  return small;
}

MatrixGeometry layoutMatrix(const QRect& area, const QFont& font, const MatrixLayoutOptions& options) {
  const QFontMetrics metrics(font);
  const QFontMetrics small(smallFont(font));
  const int line = small.height();
  const int title = metrics.height() + 4;
  const int band = options.chunks ? kBand : 0;
  const int left = small.horizontalAdvance(QStringLiteral("88 888")) + kTick + 6 + band + line + 4;
  const int bottom = band + kTick + line + line + 6;
  const bool strips = options.strips && area.width() > 420 && area.height() > 320;
  const bool legend = area.width() > 300;
  const int top = title + (strips ? kStrip + kGap : 0);
  const int between = options.panels == 2 ? 14 : 0;
  const int rowStrip = strips ? kGap + kStrip : 0;
  const int under = kBar + kTick + line + kGap;  // height of a legend that lies below
  const auto widthBeside = [&](int legendWidth) {
    return (area.width() - 2 * kGap - left - rowStrip - legendWidth - between) / options.panels;
  };
  // Two squares side by side leave room below rather than beside them.
  const int tall = area.height() - 2 * kGap - top - bottom;
  const bool flat = legend && options.panels == 2 && options.square &&
                    std::min(widthBeside(0), tall - under) > std::min(widthBeside(kGap * 2 + kLegend), tall);
  const int right = rowStrip + (legend && !flat ? kGap * 2 + kLegend : 0);

  MatrixGeometry g;
  g.panels = options.panels;
  int width = widthBeside(right - rowStrip);
  int height = tall - (flat ? under : 0);
  width = std::max(width, 32);
  height = std::max(height, 32);
  if (options.square) width = height = std::min(width, height);
  const int used_width = left + options.panels * width + between + right;
  const int used_height = top + height + bottom + (flat ? under : 0);
  const int x0 = area.x() + std::max(kGap, (area.width() - used_width) / 2) + left;
  const int y0 = area.y() + std::max(kGap, (area.height() - used_height) / 2) + top;
  for (int panel = 0; panel < options.panels; ++panel) {
    const int x = x0 + panel * (width + between);
    g.plot[panel] = {x, y0, width, height};
    g.title[panel] = {x, y0 - top, width + (options.panels == 1 ? right : 0), title};
    if (strips) g.keyStrip[panel] = {x, y0 - kGap - kStrip, width, kStrip};
    g.keyAxis[panel] = {x, y0 + height, width, bottom};
  }
  g.rowAxis = {x0 - left, y0, left, height};
  const int end = g.plot[options.panels - 1].right() + 1;
  if (strips) g.rowStrip = {end + kGap, y0, kStrip, height};
  if (flat) g.legend = {x0, y0 + height + bottom + kGap, end - x0, under - kGap};
  if (legend && !flat) g.legend = {end + (strips ? kGap + kStrip : 0) + 2 * kGap, y0, kLegend, height};
  if (options.minimap) {
    const int side = std::clamp(std::min(width, height) / 4, 64, 150);
    if (std::min(width, height) > 2 * side) g.minimap = {g.plot[0].right() - side - 7, y0 + 8, side, side};
  }
  return g;
}

void MatrixAxes::chunkBand(double length, double depth, const AxisMap& axis,
                           std::span<const std::int32_t> boundaries) const {
  // Drawn along x from axis.low; the row axis turns the painter.
  QPainter& p = m_painter;
  const QRectF box(axis.low, 0, length, depth);
  p.save();
  p.setClipRect(box);
  const auto [first, last] = inView(boundaries, axis);
  const double mean = length / std::max<double>(1, static_cast<double>(last - first));
  if (mean < 2.5) p.fillRect(box, mixed(m_theme.chunkTint[0], m_theme.chunkTint[1], 0.5));
  const QFontMetricsF metrics(m_small);
  // Every n-th chunk is numbered, so that numbers keep clear of each other.
  const double room = metrics.horizontalAdvance(QString::number(last)) + 12;
  std::size_t every = 1;
  for (const std::size_t step : {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000}) {
    every = step;
    if (static_cast<double>(step) * mean >= room) break;
  }
  for (std::size_t c = first; mean >= 2.5 && c < last && c + 1 < boundaries.size(); ++c) {
    const double from = axis.toPixel(boundaries[c]);
    p.fillRect(QRectF(from, 0, axis.toPixel(boundaries[c + 1]) - from, depth), m_theme.chunkTint[c % 2]);
  }
  p.setPen(m_theme.dark ? QColor(245, 245, 250) : QColor(36, 36, 44));
  double free = axis.low;  // behind the last number: chunks are of unlike lengths
  for (std::size_t c = (first + every - 1) / every * every; c < last && c + 1 < boundaries.size(); c += every) {
    const double low = std::max(axis.toPixel(boundaries[c]), axis.low);
    const double high = std::min(axis.toPixel(boundaries[c + 1]), axis.high);
    const QString number = QString::number(c);
    const double width = metrics.horizontalAdvance(number);
    const double at = std::clamp((low + high - width) / 2, axis.low + 1, axis.high - width - 1);
    if (at < free) continue;
    p.drawText(QPointF(at, (depth + metrics.ascent() - metrics.descent()) / 2), number);
    free = at + width + 4;
  }
  p.restore();
}

std::vector<AxisLabel> MatrixAxes::keyLabels(const QRect& area, const AxisMap& axis, bool band) const {
  const QFontMetricsF metrics(m_small);
  std::vector<AxisLabel> labels;
  const double y = area.top() + (band ? kBand : 0) + kTick;
  const double widest = metrics.horizontalAdvance(indexLabel(axis.end));
  for (const double tick : indexTicks(axis.begin, axis.end - 0.5, static_cast<int>(area.width() / (widest + 32)))) {
    const double x = axis.toPixel(tick + (axis.pixelsPerToken() > 6 ? 0.5 : 0.0));
    if (x < axis.low - 0.5 || x > axis.high + 0.5) continue;
    const QString text = indexLabel(tick);
    const double width = metrics.horizontalAdvance(text);
    labels.push_back(
        {x, {std::clamp(x - width / 2, axis.low - 4, axis.high - width + 4), y, width, metrics.height()}, text});
  }
  return labels;
}

std::vector<AxisLabel> MatrixAxes::rowLabels(const QRect& area, const AxisMap& axis, bool band) const {
  const QFontMetricsF metrics(m_small);
  std::vector<AxisLabel> labels;
  const double x = area.right() + 1 - (band ? kBand : 0) - kTick - 3;
  const double widest = metrics.horizontalAdvance(indexLabel(axis.end));
  for (const double tick : indexTicks(axis.begin, axis.end - 0.5, static_cast<int>(area.height() / (widest + 32)))) {
    const double y = axis.toPixel(tick + (axis.pixelsPerToken() > 6 ? 0.5 : 0.0));
    if (y < axis.low - 0.5 || y > axis.high + 0.5) continue;
    const QString text = indexLabel(tick);
    const double width = metrics.horizontalAdvance(text);
    labels.push_back({y,
                      {x - width, std::clamp(y - metrics.height() / 2, axis.low - 4, axis.high - metrics.height() + 4),
                       width, metrics.height()},
                      text});
  }
  return labels;
}

void MatrixAxes::keyAxis(const QRect& area, const AxisMap& axis, std::span<const std::int32_t> boundaries, bool band,
                         const QString& title) const {
  QPainter& p = m_painter;
  p.save();
  p.setFont(m_small);
  const QFontMetricsF metrics(m_small);
  if (band) {
    p.save();
    p.translate(0, area.top() + 1);
    chunkBand(area.width(), kBand - 1, axis, boundaries);
    p.restore();
  }
  if (wordsFit(axis)) {
    keyWords(QRectF(area).adjusted(0, (band ? kBand : 0) + 2, 0, 0), axis);
    p.restore();
    return;
  }
  for (const AxisLabel& label : keyLabels(area, axis, band)) {
    p.setPen(QPen(m_theme.frame, 1));
    p.drawLine(QPointF(label.place, label.box.top() - kTick), QPointF(label.place, label.box.top()));
    p.setPen(m_theme.quiet);
    p.drawText(label.box, Qt::AlignCenter | Qt::TextDontClip, label.text);
  }
  const double y = area.top() + (band ? kBand : 0) + kTick + metrics.height() + 1;
  const QString words = title.isEmpty() ? tr("key token") : title;
  p.setPen(m_theme.text);
  p.drawText(QRectF(area.left(), y, area.width(), metrics.height() + 4), Qt::AlignHCenter | Qt::AlignTop,
             band ? tr("%1   (band: chunk)").arg(words) : words);
  p.restore();
}

void MatrixAxes::rowAxis(const QRect& area, const AxisMap& axis, std::span<const std::int32_t> boundaries,
                         bool band) const {
  QPainter& p = m_painter;
  p.save();
  p.setFont(m_small);
  const QFontMetricsF metrics(m_small);
  if (band) {
    // A quarter turn, so that the band runs downwards.
    p.save();
    p.translate(area.right(), 0);
    p.rotate(90);
    chunkBand(area.height(), kBand - 1, axis, boundaries);
    p.restore();
  }
  const bool words = wordsFit(axis);
  if (words) rowWords(QRectF(area).adjusted(metrics.height() + 2, 0, -(band ? kBand : 0) - 4, 0), axis);
  for (const AxisLabel& label : words ? std::vector<AxisLabel>() : rowLabels(area, axis, band)) {
    const double x = label.box.right() + 3;
    p.setPen(QPen(m_theme.frame, 1));
    p.drawLine(QPointF(x, label.place), QPointF(x + kTick - 1, label.place));  // the next pixel is the plot's
    p.setPen(m_theme.quiet);
    p.drawText(label.box, Qt::AlignCenter | Qt::TextDontClip, label.text);
  }
  p.setPen(m_theme.text);
  p.translate(area.left() + metrics.height() / 2 + 1, area.center().y());
  p.rotate(-90);
  p.drawText(QRectF(-area.height() / 2.0, -metrics.height() / 2, area.height(), metrics.height()), Qt::AlignCenter,
             tr("query token"));
  p.restore();
}

// Row after row, whatever way the lines run: a column of pixels alone touches a page of memory for each.
void MatrixAxes::gridLines(const QRect& plot, std::span<const QLineF> lines, const QColor& colour) const {
  const double ratio = m_pixels ? m_pixels->devicePixelRatio() : 1.0;
  const auto device = [ratio](double at) { return static_cast<int>(std::lround(at * ratio)); };
  const int thick = std::max(1, static_cast<int>(ratio));
  const QRect within(QPoint(device(plot.left()), device(plot.top())),
                     QPoint(device(plot.right() + 1) - 1, device(plot.bottom() + 1) - 1));
  std::vector<QRect> strokes;
  strokes.reserve(lines.size());
  QRect all;
  for (const QLineF& line : lines) {
    QRect stroke(QPoint(device(line.x1()), device(line.y1())), QPoint(device(line.x2()) - 1, device(line.y2()) - 1));
    if (line.x1() == line.x2())
      stroke.setWidth(thick);
    else
      stroke.setHeight(thick);
    stroke &= within;
    if (stroke.isEmpty()) continue;
    strokes.push_back(stroke);
    all |= stroke;
  }
  if (!m_pixels) {
    for (const QRect& stroke : strokes) m_painter.fillRect(stroke, colour);
    return;
  }
  const auto ink = static_cast<unsigned>(colour.alpha()) + 1;
  const unsigned keep = 256 - ink;
  const QRgb rgb = colour.rgb();
  const unsigned ink_rb = (rgb & 0xff00ffU) * ink;
  const unsigned ink_g = (rgb & 0x00ff00U) * ink;
  for (int y = all.top(); y <= all.bottom(); ++y) {
    auto* row = reinterpret_cast<QRgb*>(m_pixels->scanLine(y));
    for (const QRect& stroke : strokes) {
      if (y < stroke.top() || y > stroke.bottom()) continue;
      for (QRgb* pixel = row + stroke.left(); pixel <= row + stroke.right(); ++pixel)
        *pixel = 0xff000000U | ((((*pixel & 0xff00ffU) * keep + ink_rb) >> 8) & 0xff00ffU) |
                 ((((*pixel & 0x00ff00U) * keep + ink_g) >> 8) & 0x00ff00U);
    }
  }
}

void MatrixAxes::chunkGrid(const QRect& plot, const AxisMap& keys, const AxisMap& rows,
                           std::span<const std::int32_t> boundaries, std::int64_t window) const {
  if (boundaries.size() < 2) return;
  // Lines fade as they crowd, so that the map stays in front.
  const auto fading = [&](double spacing) {
    QColor line = m_theme.grid;
    line.setAlphaF(static_cast<float>(line.alphaF() * std::clamp((spacing - kLeastGrid) / 40.0, 0.15, 1.0)));
    return line;
  };
  const auto [key_first, key_last] = inView(boundaries, keys);
  QColor colour = fading(plot.width() / std::max(1.0, static_cast<double>(key_last - key_first)));
  std::vector<QLineF> lines;
  if (plot.width() >= kLeastGrid * static_cast<double>(key_last - key_first)) {
    for (std::size_t c = key_first; c < key_last; ++c) {
      const double token = boundaries[c];
      const double x = keys.toPixel(token);
      const double top = std::max<double>(plot.top(), rows.toPixel(token));
      double bottom = plot.bottom() + 1;
      if (window > 0) bottom = std::min(bottom, rows.toPixel(token + static_cast<double>(window)));
      if (top < bottom) lines.emplace_back(x, top, x, bottom);
    }
  }
  gridLines(plot, lines, colour);
  lines.clear();
  const auto [row_first, row_last] = inView(boundaries, rows);
  colour = fading(plot.height() / std::max(1.0, static_cast<double>(row_last - row_first)));
  if (plot.height() >= kLeastGrid * static_cast<double>(row_last - row_first)) {
    for (std::size_t c = row_first; c < row_last; ++c) {
      const double token = boundaries[c];
      const double y = rows.toPixel(token);
      const double right = std::min<double>(plot.right() + 1, keys.toPixel(token));
      double left = plot.left();
      if (window > 0) left = std::max(left, keys.toPixel(token - static_cast<double>(window)));
      if (left < right) lines.emplace_back(left, y, right, y);
    }
  }
  gridLines(plot, lines, colour);
}

void MatrixAxes::cellGrid(const QRect& plot, const AxisMap& keys, const AxisMap& rows) const {
  QColor faint = m_theme.grid;
  faint.setAlpha(faint.alpha() / 3);
  std::vector<QLineF> lines;
  if (keys.pixelsPerToken() >= 10)
    for (double k = std::ceil(keys.begin); k < keys.end; ++k) {
      const double x = keys.toPixel(k);
      lines.emplace_back(x, std::max<double>(plot.top(), rows.toPixel(k)), x, plot.bottom() + 1);
    }
  if (rows.pixelsPerToken() >= 10)
    for (double r = std::ceil(rows.begin); r < rows.end; ++r) {
      const double y = rows.toPixel(r);
      lines.emplace_back(plot.left(), y, std::min<double>(plot.right() + 1, keys.toPixel(r)), y);
    }
  gridLines(plot, lines, faint);
}

void MatrixAxes::strip(const QRect& area, Qt::Orientation along, std::span<const Series> series, ColourScale scale,
                       std::span<const Series> sharing) const {
  QPainter& p = m_painter;
  p.save();
  p.fillRect(area, m_theme.plot);
  float most = 0;
  float least = 0;
  for (const Series& s : sharing.empty() ? series : sharing)
    for (const float v : s.values) {
      if (std::isnan(v)) continue;
      most = std::max(most, v);
      least = std::min(least, v);
    }
  const double span = std::max(1e-30, static_cast<double>(most) - static_cast<double>(least));
  const bool bent = scale != ColourScale::Linear && least >= 0 && most > 0;
  const ValueScale height_of(scale, 0, static_cast<double>(most), false);
  const bool across = along == Qt::Horizontal;
  // Steps lie along pixels, so they are drawn as rectangles of device pixels: a path of as many points, dashed at that,
  // takes longer than all the rest of a frame.
  const double ratio = p.device()->devicePixelRatioF();
  const auto device = [ratio](double at) { return static_cast<int>(std::lround(at * ratio)); };
  const int length = device(across ? area.width() : area.height());
  const int depth = device((across ? area.height() : area.width()) - 3);
  const int thick = std::max(1, static_cast<int>(1.1 * ratio));
  p.translate(area.topLeft());
  p.scale(1 / ratio, 1 / ratio);
  const int bottom = device(area.height());
  const auto heightOf = [&](double value) {
    return static_cast<int>(
        std::lround((bent ? height_of.position(value) : (value - static_cast<double>(least)) / span) * depth));
  };
  const int zero = heightOf(0);
  const auto box = [&](int place, int width, int low, int high) {
    return across ? QRect(place, bottom - high, width, high - low) : QRect(low, place, high - low, width);
  };
  for (const Series& s : series) {
    if (s.values.empty()) continue;
    std::vector<QRect> body, line;
    // Several values may share a pixel: the largest stands, so that a single peak is not lost.
    const auto bins = std::min(static_cast<std::size_t>(std::max(1, length)), s.values.size());
    int before = -1;
    for (std::size_t b = 0; b < bins; ++b) {
      const std::size_t from = b * s.values.size() / bins;
      const std::size_t to = std::max(from + 1, (b + 1) * s.values.size() / bins);
      float peak = std::numeric_limits<float>::quiet_NaN();
      for (std::size_t i = from; i < to; ++i) peak = std::fmax(peak, s.values[i]);
      if (std::isnan(peak)) continue;
      const int height = heightOf(static_cast<double>(peak));
      const int place = static_cast<int>(b) * length / static_cast<int>(bins);
      const int width = (static_cast<int>(b) + 1) * length / static_cast<int>(bins) - place;
      if (s.filled) body.push_back(box(place, width, std::min(zero, height), std::max(zero, height)));
      if (before >= 0 && std::abs(before - height) > thick)
        line.push_back(box(place, thick, std::min(before, height), std::max(before, height)));
      if (s.style == Qt::SolidLine || place % (9 * thick) < 6 * thick)
        line.push_back(box(place, width, height, height + thick));
      before = height;
    }
    p.setPen(Qt::NoPen);
    QColor fill = s.colour;
    fill.setAlpha(70);
    p.setBrush(fill);
    p.drawRects(body.data(), static_cast<int>(body.size()));
    p.setBrush(s.colour);
    p.drawRects(line.data(), static_cast<int>(line.size()));
  }
  p.restore();
  p.save();
  p.setPen(QPen(mixed(m_theme.frame, m_theme.window, 0.4), 1));
  p.drawRect(area.adjusted(0, 0, -1, -1));
  if (across && most > 0 && (sharing.empty() || series.data() == sharing.data())) {
    p.setFont(m_small);
    p.setPen(m_theme.quiet);
    const QFontMetricsF metrics(m_small);
    const QString label = valueLabel(static_cast<double>(most));
    p.drawText(QPointF(area.left() - metrics.horizontalAdvance(label) - 5, area.top() + metrics.ascent() - 2), label);
  }
  p.restore();
}

void MatrixAxes::swatch(const QRectF& box, const QBrush& fill, int hatch) const {
  QPainter& p = m_painter;
  p.setPen(QPen(m_theme.frame, 1));
  p.setBrush(fill);
  p.drawRect(box);
  p.setPen(Qt::NoPen);
  const QColor stroke = m_theme.dark ? QColor(0, 0, 0, 115) : QColor(255, 255, 255, 130);
  if ((hatch & 1) != 0) p.fillRect(box, QBrush(stroke, Qt::BDiagPattern));
  if ((hatch & 2) != 0) p.fillRect(box, QBrush(stroke, Qt::FDiagPattern));
}

void MatrixAxes::colourBar(const QRect& area, const MatrixPicture& picture, CompareMode mode,
                           const QString& unit) const {
  if (area.isEmpty()) return;
  if (area.width() > 3 * area.height()) {
    flatColourBar(area, picture, mode, unit);
    return;
  }
  QPainter& p = m_painter;
  p.save();
  p.setFont(m_small);
  const QFontMetricsF metrics(m_small);
  const double line = metrics.height() + 6;
  double y = area.top();
  const auto entry = [&](const QBrush& fill, int hatch, const QString& text) {
    const QRectF box(area.left() + 0.5, y + 0.5, 14, 14);
    swatch(box, fill, hatch);
    p.setPen(m_theme.text);
    const QRectF words(area.left() + 20, y - 2, area.width() - 20, 3 * metrics.height());
    const QRectF taken = p.boundingRect(words, Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, text);
    p.drawText(words, Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, text);
    y += std::max(line, taken.height() + 6);
  };
  const auto notCausal = [&] {
    const QRectF box(area.left() + 0.5, y + 0.5, 14, 14);
    p.fillRect(box, m_theme.neutral);
    entry(m_theme.hatchBrush(), 0, tr("not causal"));
  };
  const auto keptAndDropped = [&] {
    entry(QColor::fromRgb(picture.maskMap().at(1)), 0, tr("kept"));
    entry(QColor::fromRgb(picture.maskMap().at(0)), 0, tr("dropped"));
  };
  const ValueScale& scale = picture.scale();
  const auto bar = [&](const QRectF& box, auto&& colour, bool ticks) {
    const int steps = std::max(2, static_cast<int>(box.height()));
    for (int i = 0; i < steps; ++i)
      p.fillRect(
          QRectF(box.left(), box.bottom() - (i + 1) * box.height() / steps, box.width(), box.height() / steps + 0.5),
          QColor::fromRgb(colour((i + 0.5) / steps)));
    p.setPen(QPen(m_theme.frame, 1));
    p.setBrush(Qt::NoBrush);
    p.drawRect(box);
    if (!ticks) return;
    double free = box.bottom() + metrics.height();
    for (const double tick : scale.ticks(std::max(2, static_cast<int>(box.height() / 46)))) {
      const double place = box.bottom() - scale.position(tick) * box.height();
      if (place > free - metrics.height() || place < box.top() - 1) continue;
      p.setPen(QPen(m_theme.frame, 1));
      p.drawLine(QPointF(box.right(), place), QPointF(box.right() + kTick, place));
      p.setPen(m_theme.text);
      p.drawText(QPointF(box.right() + kTick + 4, std::clamp(place + metrics.ascent() / 2 - 1,
                                                             box.top() + metrics.ascent() - 4, box.bottom() + 3)),
                 valueLabel(tick));
      free = place;
    }
  };

  if (mode == CompareMode::Composite) {
    if (picture.compositeOfMasks()) {
      for (const CompositeKey& key : MatrixPicture::compositeKeys(m_theme)) entry(key.colour, key.hatch, key.text);
      entry(m_theme.dark ? QColor(22, 24, 29) : QColor(Qt::white), 0, tr("dropped by both"));
    } else {
      const QColor ground = m_theme.dark ? QColor(22, 24, 29) : QColor(Qt::white);
      const double height = std::min(150.0, area.height() - 3 * line);
      const QRectF a(area.left() + 0.5, y + line, 14, height);
      p.setPen(m_theme.text);
      p.drawText(QPointF(a.left() + 3, y + metrics.ascent()), QStringLiteral("A"));
      p.drawText(QPointF(a.left() + 25, y + metrics.ascent()), QStringLiteral("B"));
      bar(
          a, [&](double t) { return mixed(ground, m_theme.seriesA, t).rgb(); }, false);
      bar(
          a.translated(22, 0), [&](double t) { return mixed(ground, m_theme.seriesB, t).rgb(); }, true);
      y = a.bottom() + 10;
    }
    notCausal();
  } else if (picture.binary()) {
    keptAndDropped();
    notCausal();
  } else {
    const double tip = 9;
    const double entries = picture.hasMaskBesideValues(mode) ? 3 * line : line;
    const QRectF box(area.left() + 0.5, y + tip + 2, 14, std::min(320.0, area.height() - 2 * tip - entries - 16));
    bar(
        box, [&](double t) { return picture.map().at(t); }, true);
    // Triangles at the ends say that values lie beyond them.
    p.setRenderHint(QPainter::Antialiasing);
    p.setPen(Qt::NoPen);
    if (picture.clippedHigh()) {
      p.setBrush(QColor::fromRgb(picture.map().at(1)));
      p.setPen(QPen(m_theme.frame, 1));
      p.drawPolygon(QPolygonF{
          {box.left(), box.top() - 2}, {box.right(), box.top() - 2}, {box.center().x(), box.top() - 2 - tip}});
    }
    if (picture.clippedLow()) {
      p.setBrush(QColor::fromRgb(picture.map().at(0)));
      p.setPen(QPen(m_theme.frame, 1));
      p.drawPolygon(QPolygonF{
          {box.left(), box.bottom() + 2}, {box.right(), box.bottom() + 2}, {box.center().x(), box.bottom() + 2 + tip}});
    }
    p.setRenderHint(QPainter::Antialiasing, false);
    const QString words = barWords(scale, unit);
    p.save();
    p.translate(area.right() - metrics.height() / 2 - 2, box.center().y());
    p.rotate(-90);
    p.setPen(m_theme.text);
    p.drawText(QRectF(-box.height() / 2, -metrics.height() / 2, box.height(), metrics.height()), Qt::AlignCenter,
               metrics.elidedText(words, Qt::ElideRight, box.height()));
    p.restore();
    y = box.bottom() + tip + 8;
    if (picture.hasMaskBesideValues(mode)) keptAndDropped();
    notCausal();
  }
  p.restore();
}

QString MatrixAxes::barWords(const ValueScale& scale, const QString& unit) {
  const QString kind = scale.scale() == ColourScale::Log    ? tr("log")
                       : scale.scale() == ColourScale::Sqrt ? tr("square root")
                                                            : tr("linear");
  return unit.isEmpty() ? kind : tr("%1, %2", "unit, scale").arg(unit, kind);
}

void MatrixAxes::flatColourBar(const QRect& area, const MatrixPicture& picture, CompareMode mode,
                               const QString& unit) const {
  QPainter& p = m_painter;
  p.save();
  p.setFont(m_small);
  const QFontMetricsF metrics(m_small);
  double x = area.left();
  const auto entry = [&](const QBrush& fill, const QString& text) {
    swatch(QRectF(x + 0.5, area.top() + 0.5, kBar, kBar), fill, 0);
    p.setPen(m_theme.text);
    p.drawText(QPointF(x + kBar + 6, area.top() + (kBar + metrics.ascent() - metrics.descent()) / 2), text);
    x += kBar + metrics.horizontalAdvance(text) + 22;
  };
  const auto keptAndDropped = [&] {
    entry(QColor::fromRgb(picture.maskMap().at(1)), tr("kept"));
    entry(QColor::fromRgb(picture.maskMap().at(0)), tr("dropped"));
  };
  if (picture.binary()) {
    keptAndDropped();
  } else {
    const ValueScale& scale = picture.scale();
    const double tip = 9;
    const QRectF box(x + tip + 2.5, area.top() + 0.5, std::clamp(area.width() * 0.4, 80.0, 320.0), kBar);
    const int steps = static_cast<int>(box.width());
    for (int i = 0; i < steps; ++i)
      p.fillRect(QRectF(box.left() + i * box.width() / steps, box.top(), box.width() / steps + 0.5, box.height()),
                 QColor::fromRgb(picture.map().at((i + 0.5) / steps)));
    p.setPen(QPen(m_theme.frame, 1));
    p.setBrush(Qt::NoBrush);
    p.drawRect(box);
    double free = box.left() - 40;
    for (const double tick : scale.ticks(std::max(2, static_cast<int>(box.width() / 56)))) {
      const double place = box.left() + scale.position(tick) * box.width();
      const QString text = valueLabel(tick);
      const double width = metrics.horizontalAdvance(text);
      if (place - width / 2 < free || place > box.right() + 1) continue;
      p.setPen(QPen(m_theme.frame, 1));
      p.drawLine(QPointF(place, box.bottom()), QPointF(place, box.bottom() + kTick));
      p.setPen(m_theme.text);
      p.drawText(QPointF(place - width / 2, box.bottom() + kTick + metrics.ascent()), text);
      free = place + width / 2 + 8;
    }
    // Triangles at the ends say that values lie beyond them.
    p.setRenderHint(QPainter::Antialiasing);
    const auto triangle = [&](double base, double point, double end) {
      p.setPen(QPen(m_theme.frame, 1));
      p.setBrush(QColor::fromRgb(picture.map().at(end)));
      p.drawPolygon(QPolygonF{{base, box.top()}, {base, box.bottom()}, {point, box.center().y()}});
    };
    if (picture.clippedLow()) triangle(box.left() - 2, box.left() - 2 - tip, 0);
    if (picture.clippedHigh()) triangle(box.right() + 2, box.right() + 2 + tip, 1);
    p.setRenderHint(QPainter::Antialiasing, false);
    const QString words = barWords(scale, unit);
    x = box.right() + tip + 10;
    p.setPen(m_theme.text);
    p.drawText(QPointF(x, area.top() + (kBar + metrics.ascent() - metrics.descent()) / 2), words);
    x += metrics.horizontalAdvance(words) + 20;
    if (picture.hasMaskBesideValues(mode)) keptAndDropped();
  }
  p.fillRect(QRectF(x + 0.5, area.top() + 0.5, kBar, kBar), m_theme.neutral);
  entry(m_theme.hatchBrush(), tr("not causal"));
  p.restore();
}

void MatrixAxes::tag(QPointF at, Qt::Alignment side, const QString& text, const QColor& colour,
                     std::span<const AxisLabel> hidden) const {
  QPainter& p = m_painter;
  p.save();
  p.setFont(m_small);
  const QFontMetricsF metrics(m_small);
  const QSizeF size(metrics.horizontalAdvance(text) + 8, metrics.height() + 2);
  QRectF box(at.x() - size.width() / 2, at.y(), size.width(), size.height());
  if ((side & Qt::AlignLeft) != 0) box.moveTopRight({at.x(), at.y() - size.height() / 2});
  for (const AxisLabel& label : hidden)
    if (label.box.intersects(box)) p.fillRect(label.box.adjusted(-1, 0, 1, 0), m_theme.window);
  p.setRenderHint(QPainter::Antialiasing);
  p.setPen(Qt::NoPen);
  p.setBrush(colour);
  p.drawRoundedRect(box, 3, 3);
  p.setPen(colour.lightness() > 140 ? QColor(16, 16, 20) : QColor(Qt::white));
  p.drawText(box, Qt::AlignCenter, text);
  p.restore();
}

}  // namespace dhsa
