// The plots themselves: matrices, cells, strips, bars, curves.
#include <algorithm>
#include <cmath>

#include "ui/figures/figure_drawing.h"
#include "ui/views/axis_ticks.h"

namespace dhsa {
namespace {

QString q(const std::string& text) { return QString::fromStdString(text); }

QColor readableOn(const QColor& fill) {
  const double light = 0.299 * fill.red() + 0.587 * fill.green() + 0.114 * fill.blue();
  return light > 140 ? QColor(20, 20, 24) : QColor(250, 250, 252);
}

QString capitalised(QString text) {
  if (!text.isEmpty()) text[0] = text[0].toUpper();
  return text;
}

}  // namespace

void FigureDrawing::drawMatrix(QPainter& painter, const Panel& panel) const {
  const FigureStyle& s = m_style;
  const QRectF& plot = panel.plot;
  const QPainterPath causal =
      causalPath(panel.data->window, panel.view, plot, m_spec.skip_keys, panel.data->matrix->tokens());
  painter.save();
  painter.setPen(Qt::NoPen);
  if (!panel.coloured) {
    painter.setClipRect(plot);
    painter.fillPath(causal, s.dropped);
    if (!panel.kept.isEmpty()) {
      painter.fillPath(panel.kept, s.kept);
    } else {
      // Kept cells over dropped ones: so many that shapes would not pay.
      QImage image(panel.grid.width, panel.grid.height, QImage::Format_RGB32);
      for (int y = 0; y < image.height(); ++y) {
        auto* line = reinterpret_cast<QRgb*>(image.scanLine(y));
        for (int x = 0; x < image.width(); ++x) {
          const float v = panel.grid.max[static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width()) +
                                         static_cast<std::size_t>(x)];
          line[x] = std::isnan(v) ? qRgb(255, 255, 255) : v > 0 ? s.kept.rgb() : s.dropped.rgb();
        }
      }
      painter.drawImage(plot, image);
    }
  } else {
    QImage colours;
    const auto& values = m_spec.reducer == "mean" ? panel.grid.mean : panel.grid.max;
    panel.scale.colour(values, panel.grid.width, panel.grid.height, ColourMap(panel.mapId), colours);
    QImage opaque(colours.size(), QImage::Format_RGB32);
    opaque.fill(s.neutral);
    {
      QPainter over(&opaque);
      over.drawImage(0, 0, colours);
    }
    painter.drawImage(plot, opaque);
    // White and greys mean something on these maps, so that what is not causal is hatched.
    const bool confusable = panel.mapId == ColourMapId::Diverging || panel.mapId == ColourMapId::Grey ||
                            panel.mapId == ColourMapId::GreyReversed;
    if (confusable) {
      QPainterPath outside;
      outside.addRect(plot);
      painter.setClipPath(outside.subtracted(causal));
      painter.setPen(QPen(s.hatch, 0.5));
      for (double d = -plot.height(); d < plot.width(); d += 4)
        painter.drawLine(QPointF(plot.left() + d, plot.bottom()), QPointF(plot.left() + d + plot.height(), plot.top()));
    }
    const auto& boundaries = panel.data->plan->trace.boundaries;
    const double cell = plot.width() / (panel.view.key_end - panel.view.key_begin);
    const bool scores = panel.data->panel.what == FigureKind::kChunkScores;
    if (m_spec.boundaries && scores && boundaries.size() > 2 &&
        cell * static_cast<double>(boundaries.back()) / static_cast<double>(boundaries.size()) >= 3) {
      painter.setClipRect(plot);
      painter.setPen(QPen(QColor(255, 255, 255, 150), 0.25));
      for (const std::int32_t b : boundaries) {
        const double x = plot.left() + (b - panel.view.key_begin) * cell;
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()));
      }
    }
  }
  painter.restore();
  // Once is enough.
  const auto first = std::find_if(m_panels.begin(), m_panels.end(),
                                  [](const Panel& other) { return other.form == Form::kMatrix && !other.coloured; });
  if (first != m_panels.end() && &*first == &panel) drawMaskLegend(painter, panel);
}

void FigureDrawing::drawMaskLegend(QPainter& painter, const Panel& panel) const {
  const FigureStyle& s = m_style;
  const std::pair<QString, QColor> entries[] = {{tr("kept"), s.kept}, {tr("dropped"), s.dropped}};
  const double size = 0.62 * s.tickHeight;
  const bool inside = legendInside(panel);
  double x = inside ? panel.plot.right() - 4 - size - 3 - textWidth(s.tick, tr("dropped")) : panel.plot.left();
  double y = inside ? panel.plot.top() + 5 : panel.plot.top() - s.tickHeight - 1;
  if (inside && panel.plot.width() < 70) return;
  for (const auto& [name, colour] : entries) {
    painter.setPen(QPen(s.frame, 0.4));
    painter.setBrush(colour);
    painter.drawRect(QRectF(x, y, size, size));
    drawText(painter, s.tick, s.text, {x + size + 3, y + size / 2 + capHeight(s.tick) / 2}, Anchor::Left, name);
    if (inside) {
      y += s.tickHeight;
    } else {
      x += size + 3 + textWidth(s.tick, name) + 8;
    }
  }
}

void FigureDrawing::drawMatrixAxes(QPainter& painter, const Panel& panel) const {
  const FigureStyle& s = m_style;
  const QRectF& plot = panel.plot;
  const Viewport& v = panel.view;
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(s.frame, s.line));
  painter.drawRect(plot);
  const auto x = [&](double key) {
    return plot.left() + (key - v.key_begin) / (v.key_end - v.key_begin) * plot.width();
  };
  const auto y = [&](double row) {
    return plot.top() + (row - v.row_begin) / (v.row_end - v.row_begin) * plot.height();
  };
  double free = plot.left() - 100;
  for (const double t : indexTicks(v.key_begin, v.key_end, std::clamp(static_cast<int>(plot.width() / 28), 2, 8))) {
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(x(t), plot.bottom()), QPointF(x(t), plot.bottom() + s.tickLength));
    const QString label = figureNumber(t);
    const double half = textWidth(s.tick, label) / 2;
    if (!panel.xLabels || x(t) - half < free + 3) continue;
    free = x(t) + half;
    drawText(painter, s.tick, s.text, {x(t), plot.bottom() + s.tickLength + s.gap + capHeight(s.tick)}, Anchor::Centre,
             label);
  }
  for (const double t : indexTicks(v.row_begin, v.row_end, std::clamp(static_cast<int>(plot.height() / 26), 2, 8))) {
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(plot.left() - s.tickLength, y(t)), QPointF(plot.left(), y(t)));
    if (!panel.yLabels) continue;
    drawText(painter, s.tick, s.text, {plot.left() - s.tickLength - s.gap, y(t) + capHeight(s.tick) / 2}, Anchor::Right,
             figureNumber(t));
  }
  if (panel.xLabels) {
    drawText(painter, s.label, s.text,
             {plot.center().x(), plot.bottom() + s.tickLength + s.gap + s.tickHeight + capHeight(s.label) + 1},
             Anchor::Centre, fitted(s.label, tr("Key (token)"), plot.width() + 20));
  }
  if (panel.yLabels) {
    drawText(painter, s.label, s.text, {plot.left() - panel.left + kEdge + capHeight(s.label), plot.center().y()},
             Anchor::Centre, fitted(s.label, tr("Query (token)"), plot.height() + 20), true);
  }
  // Chunk boundaries along the upper edge; for chunk scores with the number of the chunk.
  const auto& boundaries = panel.data->plan->trace.boundaries;
  if (!m_spec.boundaries || boundaries.size() < 3) return;
  const bool numbered = panel.data->panel.what == FigureKind::kChunkScores;
  painter.setPen(QPen(s.frame, std::min(0.35, s.line)));
  for (const std::int32_t b : boundaries) {
    if (b < v.key_begin || b > v.key_end) continue;
    painter.drawLine(QPointF(x(b), plot.top()), QPointF(x(b), plot.top() - (numbered ? s.tickLength : 1.5)));
  }
  if (!numbered) return;
  const auto chunks = static_cast<double>(boundaries.size()) - 1;
  double last = plot.left() - 100;
  for (const double t : indexTicks(0, chunks, std::clamp(static_cast<int>(plot.width() / 30), 2, 10))) {
    const auto chunk = static_cast<std::size_t>(t);
    if (chunk >= boundaries.size() || boundaries[chunk] < v.key_begin || boundaries[chunk] > v.key_end) continue;
    const double at = x(boundaries[chunk]);
    const QString label = figureNumber(t);
    const double half = textWidth(s.tick, label) / 2;
    if (at - half < last + 4) continue;
    last = at + half;
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(at, plot.top()), QPointF(at, plot.top() - s.tickLength - 1));
    drawText(painter, s.tick, s.text, {at, plot.top() - s.tickLength - s.gap - 1}, Anchor::Centre, label);
  }
  drawText(painter, s.tick, s.text, {plot.center().x(), plot.top() - s.tickLength - s.gap - 1 - s.tickHeight},
           Anchor::Centre, tr("Chunk"));
}

void FigureDrawing::drawCells(QPainter& painter, const Panel& panel) const {
  const FigureStyle& s = m_style;
  const FigureCells& cells = panel.data->cells;
  const auto rows = cells.row_names.size();
  const auto columns = cells.column_names.size();
  const ColourMap map(panel.mapId);
  const double w = panel.plot.width() / static_cast<double>(columns);
  const double h = panel.plot.height() / static_cast<double>(rows);
  const bool percents = panel.data->panel.what == FigureKind::kNeedle;
  bool numbers = h >= capHeight(s.tick) + 3;
  std::vector<QString> texts;
  for (const double value : cells.values) {
    texts.push_back(std::isnan(value) ? QString()
                    : percents        ? QString::number(std::lround(value * 100))
                                      : QString::number(value, 'f', 2));
    numbers = numbers && textWidth(s.tick, texts.back()) + 2 <= w;
  }
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      const double value = cells.values[r * columns + c];
      const QRectF box(panel.plot.left() + static_cast<double>(c) * w, panel.plot.top() + static_cast<double>(r) * h, w,
                       h);
      QColor fill = s.neutral;
      if (!std::isnan(value)) fill = QColor::fromRgb(map.at(panel.scale.position(value)));
      painter.setPen(QPen(Qt::white, 0.5));
      painter.setBrush(fill);
      painter.drawRect(box);
      if (std::isnan(value)) {
        painter.setPen(QPen(s.hatch, 0.5));
        painter.drawLine(box.bottomLeft(), box.topRight());
      } else if (numbers) {
        drawText(painter, s.tick, readableOn(fill), {box.center().x(), box.center().y() + capHeight(s.tick) / 2},
                 Anchor::Centre, texts[r * columns + c]);
      }
    }
  }
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(s.frame, s.line));
  painter.drawRect(panel.plot);
  const double local = cells.local.empty() ? 0 : 5;
  const auto step = static_cast<std::size_t>(std::max(1.0, std::ceil(s.tickHeight * 0.95 / h)));
  for (std::size_t r = 0; r < rows && panel.yLabels; ++r) {
    const double y = panel.plot.top() + (static_cast<double>(r) + 0.5) * h;
    if (local > 0 && cells.local[r]) {
      painter.setPen(Qt::NoPen);
      painter.setBrush(s.frame);
      painter.drawRect(QRectF(panel.plot.left() - 4, y - 1.25, 2.5, 2.5));
    }
    if (r % step != 0) continue;
    drawText(painter, s.tick, s.text, {panel.plot.left() - s.gap - local - 1, y + capHeight(s.tick) / 2}, Anchor::Right,
             q(cells.row_names[r]));
  }
  double widest = 0;
  for (const std::string& name : cells.column_names)
    widest = std::max(widest, textWidth(s.tick, figureNumber(std::stod(name))));
  const auto every = static_cast<std::size_t>(std::max(1.0, std::ceil((widest + 3) / w)));
  for (std::size_t c = 0; c < columns && panel.xLabels; c += every) {
    drawText(
        painter, s.tick, s.text,
        {panel.plot.left() + (static_cast<double>(c) + 0.5) * w, panel.plot.bottom() + s.gap + capHeight(s.tick) + 1},
        Anchor::Centre, figureNumber(std::stod(cells.column_names[c])));
  }
  if (panel.xLabels) {
    drawText(painter, s.label, s.text,
             {panel.plot.center().x(), panel.plot.bottom() + s.tickLength + s.tickHeight + capHeight(s.label) + 2},
             Anchor::Centre, fitted(s.label, capitalised(q(cells.column_title)), panel.plot.width() + 20));
  }
  if (panel.yLabels) {
    drawText(painter, s.label, s.text,
             {panel.plot.left() - panel.left + kEdge + capHeight(s.label), panel.plot.center().y()}, Anchor::Centre,
             fitted(s.label, capitalised(q(cells.row_title)), panel.plot.height() + 16), true);
  }
  if (local > 0 && std::find(cells.local.begin(), cells.local.end(), true) != cells.local.end()) {
    const QString text = tr("sliding window");
    const double x = panel.plot.right() - textWidth(s.tick, text);
    const double y = panel.plot.top() - s.gap - 1;
    painter.setPen(Qt::NoPen);
    painter.setBrush(s.frame);
    painter.drawRect(QRectF(x - 5, y - capHeight(s.tick) / 2 - 1.25, 2.5, 2.5));
    drawText(painter, s.tick, s.text, {x, y}, Anchor::Left, text);
  }
}

void FigureDrawing::drawStrips(QPainter& painter, const Panel& panel) const {
  const FigureStyle& s = m_style;
  const auto count = panel.data->series.size();
  const double each = panel.plot.height() / static_cast<double>(count);
  const auto tokens = static_cast<double>(panel.data->series.front().y.size());
  const double begin = std::max(static_cast<double>(m_spec.key_begin), static_cast<double>(m_spec.skip_keys));
  const double end = m_spec.key_end > 0 ? std::min(tokens, static_cast<double>(m_spec.key_end)) : tokens;
  const auto xOf = [&](double token) {
    return panel.plot.left() + (token - begin) / (end - begin) * panel.plot.width();
  };
  for (std::size_t i = 0; i < count; ++i) {
    const FigureSeries& series = panel.data->series[i];
    const QRectF area(panel.plot.left(), panel.plot.top() + static_cast<double>(i) * each + s.tickHeight + 2,
                      panel.plot.width(), each - s.tickHeight - 5);
    double high = 0;
    double least = 0;
    for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
      high = std::max(high, series.y[t]);
      if (series.y[t] > 0) least = least == 0 ? series.y[t] : std::min(least, series.y[t]);
    }
    const bool share = series.name == "retention";
    const bool log = m_spec.scale == "log" || (m_spec.scale == "auto" && series.name == "received");
    if (share) high = 1;
    if (!(high > 0)) high = 1;
    const ValueScale scale(log && !share ? ColourScale::Log : ColourScale::Linear,
                           log ? std::max(least, high * 1e-4) : 0, high, false);
    // One line of the drawing for every half point: the largest of its tokens.
    const int columns = std::max(1, static_cast<int>(std::ceil(area.width() * 2)));
    QPainterPath path;
    path.moveTo(area.bottomLeft());
    for (int c = 0; c < columns; ++c) {
      const auto from = static_cast<std::size_t>(begin + (end - begin) * c / columns);
      const auto to = std::max(from + 1, static_cast<std::size_t>(begin + (end - begin) * (c + 1) / columns));
      double most = 0;
      for (std::size_t t = from; t < std::min(to, static_cast<std::size_t>(end)); ++t)
        most = std::max(most, series.y[t]);
      const double y = area.bottom() - scale.position(most) * area.height();
      path.lineTo(area.left() + area.width() * c / columns, y);
      path.lineTo(area.left() + area.width() * (c + 1) / columns, y);
    }
    path.lineTo(area.bottomRight());
    path.closeSubpath();
    painter.fillPath(path, curveStyle(i + 1).colour);
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(area.bottomLeft(), area.bottomRight());
    painter.drawLine(area.topLeft(), area.bottomLeft());
    for (const double tick : {scale.low(), high}) {
      const double y = area.bottom() - scale.position(tick) * area.height();
      painter.drawLine(QPointF(area.left() - s.tickLength, y), QPointF(area.left(), y));
      const double rounded = tick == 0 ? 0 : std::stod(QString::number(tick, 'g', 2).toStdString());
      drawText(painter, s.tick, s.text, {area.left() - s.tickLength - s.gap, y + capHeight(s.tick) / 2}, Anchor::Right,
               figureNumber(rounded));
    }
    const QString name = series.name == "received"    ? tr("Dense attention received")
                         : series.name == "predicted" ? tr("Predicted by chunk scores (mean 1)")
                                                      : tr("Retention: share of later queries that keep the token");
    drawText(painter, s.tick, s.text, {area.left() + 2, area.top() - 2}, Anchor::Left,
             fitted(s.tick, name, area.width()));
    const auto& boundaries = panel.data->plan->trace.boundaries;
    if (m_spec.boundaries && i + 1 == count) {
      painter.setPen(QPen(s.frame, 0.3));
      for (const std::int32_t b : boundaries) {
        if (b >= begin && b <= end)
          painter.drawLine(QPointF(xOf(b), area.bottom()), QPointF(xOf(b), area.bottom() + 1.5));
      }
    }
    if (i + 1 < count) continue;
    for (const double t : indexTicks(begin, end, std::clamp(static_cast<int>(area.width() / 45), 2, 9))) {
      painter.setPen(QPen(s.frame, s.line));
      painter.drawLine(QPointF(xOf(t), area.bottom()), QPointF(xOf(t), area.bottom() + s.tickLength));
      drawText(painter, s.tick, s.text, {xOf(t), area.bottom() + s.tickLength + s.gap + capHeight(s.tick)},
               Anchor::Centre, figureNumber(t));
    }
    drawText(painter, s.label, s.text,
             {area.center().x(), area.bottom() + s.tickLength + s.gap + s.tickHeight + capHeight(s.label) + 1},
             Anchor::Centre, tr("Token"));
  }
}

double FigureDrawing::Axis::share(double value) const {
  if (log) return std::log(value / low) / std::log(high / low);
  return (value - low) / (high - low);
}

FigureDrawing::Axis FigureDrawing::xAxis(const Panel& panel) const {
  Axis axis;
  axis.low = 1e300;
  axis.high = -1e300;
  for (const FigureSeries& series : panel.data->series) {
    for (const double x : series.x) {
      axis.low = std::min(axis.low, x);
      axis.high = std::max(axis.high, x);
      if (panel.form == Form::kCurves) axis.ticks.push_back(x);
    }
  }
  axis.log = panel.data->log_x && axis.low > 0;
  if (panel.form == Form::kBars) {
    axis.ticks = niceTicks(axis.low, axis.high, 6);
    return axis;
  }
  std::sort(axis.ticks.begin(), axis.ticks.end());
  axis.ticks.erase(std::unique(axis.ticks.begin(), axis.ticks.end()), axis.ticks.end());
  if (axis.log) {
    const double margin = axis.high > axis.low ? std::pow(axis.high / axis.low, 0.05) : 1.5;
    axis.low /= margin;
    axis.high *= margin;
  } else {
    const double margin = axis.high > axis.low ? 0.05 * (axis.high - axis.low) : 1;
    axis.low -= margin;
    axis.high += margin;
  }
  return axis;
}

FigureDrawing::Axis FigureDrawing::yAxis(const Panel& panel) const {
  Axis axis;
  axis.low = 1e300;
  axis.high = -1e300;
  for (const FigureSeries& series : panel.data->series) {
    for (const auto* values : {&series.y, &series.low, &series.high}) {
      for (const double y : *values) {
        if (!std::isfinite(y)) continue;
        axis.low = std::min(axis.low, y);
        axis.high = std::max(axis.high, y);
      }
    }
  }
  if (axis.high < axis.low) axis = Axis{};
  axis.log = panel.data->log_y && axis.low > 0 && axis.high / axis.low > 4;
  if (panel.form == Form::kBars || (panel.data->log_y && !axis.log)) axis.low = 0;
  if (axis.log) {
    const double margin = std::pow(axis.high / axis.low, 0.06);
    axis.low /= margin;
    axis.high *= margin;
    const bool few = axis.high / axis.low < 200;
    for (double power = std::pow(10, std::floor(std::log10(axis.low))); power <= axis.high; power *= 10) {
      for (const double m : {1.0, 2.0, 5.0}) {
        if ((few || m == 1.0) && m * power >= axis.low && m * power <= axis.high) axis.ticks.push_back(m * power);
      }
    }
    return axis;
  }
  const double span = axis.high > axis.low ? axis.high - axis.low : std::max(1e-9, std::abs(axis.high));
  axis.high += 0.06 * span;
  if (axis.low != 0) axis.low -= 0.06 * span;
  axis.ticks = niceTicks(axis.low, axis.high, 5);
  return axis;
}

void FigureDrawing::drawAxes(QPainter& painter, const Panel& panel, const Axis& x, const Axis& y) const {
  const FigureStyle& s = m_style;
  const QRectF& plot = panel.plot;
  for (const double t : y.ticks) {
    const double at = plot.bottom() - y.share(t) * plot.height();
    painter.setPen(QPen(s.grid, 0.4));
    painter.drawLine(QPointF(plot.left(), at), QPointF(plot.right(), at));
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(plot.left() - s.tickLength, at), QPointF(plot.left(), at));
    drawText(painter, s.tick, s.text, {plot.left() - s.tickLength - s.gap, at + capHeight(s.tick) / 2}, Anchor::Right,
             figureNumber(t));
  }
  double last = plot.left() - 100;
  for (const double t : x.ticks) {
    const double at = plot.left() + x.share(t) * plot.width();
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(at, plot.bottom()), QPointF(at, plot.bottom() + s.tickLength));
    const QString label = figureNumber(t);
    const double half = textWidth(s.tick, label) / 2;
    if (at - half < last + 4) continue;
    last = at + half;
    drawText(painter, s.tick, s.text, {at, plot.bottom() + s.tickLength + s.gap + capHeight(s.tick)}, Anchor::Centre,
             label);
  }
  painter.setPen(QPen(s.frame, s.line));
  painter.drawLine(plot.bottomLeft(), plot.bottomRight());
  painter.drawLine(plot.topLeft(), plot.bottomLeft());
  drawText(painter, s.label, s.text,
           {plot.center().x(), plot.bottom() + s.tickLength + s.gap + s.tickHeight + capHeight(s.label) + 1},
           Anchor::Centre, fitted(s.label, capitalised(q(panel.data->x_title)), plot.width() + 20));
  drawText(painter, s.label, s.text, {plot.left() - panel.left + kEdge + capHeight(s.label), plot.center().y()},
           Anchor::Centre, fitted(s.label, capitalised(q(panel.data->y_title)), plot.height() + 16), true);
}

void FigureDrawing::drawBars(QPainter& painter, const Panel& panel) const {
  const Axis x = xAxis(panel);
  const Axis y = yAxis(panel);
  drawAxes(painter, panel, x, y);
  const FigureSeries& series = panel.data->series.front();
  const QRectF& plot = panel.plot;
  painter.setPen(QPen(Qt::white, 0.4));
  painter.setBrush(m_style.kept);
  for (std::size_t b = 0; b < series.y.size(); ++b) {
    if (series.y[b] <= 0) continue;
    painter.drawRect(QRectF(QPointF(plot.left() + x.share(series.x[b]) * plot.width(),
                                    plot.bottom() - y.share(series.y[b]) * plot.height()),
                            QPointF(plot.left() + x.share(series.x[b + 1]) * plot.width(), plot.bottom())));
  }
  if (panel.data->mark > 0) {
    const double at = plot.left() + x.share(panel.data->mark) * plot.width();
    const QColor colour = QColor::fromRgb(okabe_ito::vermilion);
    painter.setPen(QPen(colour, 0.9, Qt::DashLine));
    painter.drawLine(QPointF(at, plot.top()), QPointF(at, plot.bottom()));
    drawText(painter, m_style.tick, m_style.text, {at + 3, plot.top() + capHeight(m_style.tick) + 1}, Anchor::Left,
             q(panel.data->mark_name));
  }
}

void FigureDrawing::drawCurves(QPainter& painter, const Panel& panel) const {
  const FigureStyle& s = m_style;
  const Axis x = xAxis(panel);
  const Axis y = yAxis(panel);
  drawAxes(painter, panel, x, y);
  const QRectF& plot = panel.plot;
  const auto at = [&](double vx, double vy) {
    return QPointF(plot.left() + x.share(vx) * plot.width(), plot.bottom() - y.share(vy) * plot.height());
  };
  const double marker = 0.55 * s.tick.pointSizeF();
  for (std::size_t i = 0; i < panel.data->series.size(); ++i) {
    const FigureSeries& series = panel.data->series[i];
    const CurveStyle style = curveStyle(i);
    painter.setBrush(Qt::NoBrush);
    if (!series.low.empty()) {
      painter.setPen(QPen(style.colour, 0.6));
      for (std::size_t k = 0; k < series.x.size(); ++k) {
        const QPointF low = at(series.x[k], series.low[k]);
        const QPointF high = at(series.x[k], series.high[k]);
        painter.drawLine(low, high);
        for (const QPointF& end : {low, high}) painter.drawLine(end - QPointF(1.5, 0), end + QPointF(1.5, 0));
      }
    }
    QPolygonF line;
    for (std::size_t k = 0; k < series.x.size(); ++k) line << at(series.x[k], series.y[k]);
    painter.setPen(QPen(style.colour, 1.1, style.line, Qt::FlatCap, Qt::RoundJoin));
    painter.drawPolyline(line);
    for (const QPointF& point : line) drawMarker(painter, style.marker, point, marker, style.colour);
  }
  // The legend lies above the plot, where no curve can be.
  const auto rows = legendRows(panel, plot.width());
  std::size_t index = 0;
  double baseline = plot.top() - 4 - (static_cast<double>(rows.size()) - 1) * (s.tickHeight + 2);
  for (const QStringList& row : rows) {
    double left = plot.left();
    for (const QString& name : row) {
      const CurveStyle style = curveStyle(index++);
      const double middle = baseline - capHeight(s.tick) / 2;
      painter.setPen(QPen(style.colour, 1.1, style.line, Qt::FlatCap));
      painter.drawLine(QPointF(left, middle), QPointF(left + 17, middle));
      drawMarker(painter, style.marker, {left + 8.5, middle}, marker, style.colour);
      drawText(painter, s.tick, s.text, {left + 20, baseline}, Anchor::Left, name);
      left += 22 + textWidth(s.tick, name) + 8;
    }
    baseline += s.tickHeight + 2;
  }
}

}  // namespace dhsa
