// The plots themselves: matrices, cells, strips, bars, curves.
#include <algorithm>
#include <cmath>

#include "ui/figures/figure_drawing.h"
#include "ui/plot/axis_ticks.h"

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
      painter.setPen(QPen(QColor(255, 255, 255, 120), 0.5));
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
  const double width = size + 3 + std::max(textWidth(s.tick, tr("kept")), textWidth(s.tick, tr("dropped")));
  if (inside && width + 2 * s.tickHeight + 9 > panel.plot.width()) return;  // no room above the diagonal
  double x = inside ? panel.plot.right() - 4 - width : panel.plot.left();
  double y = inside ? panel.plot.top() + 5 : panel.plot.top() - s.tickHeight - 1;
  for (const auto& [name, colour] : entries) {
    painter.setPen(QPen(s.frame, 0.5));
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
  for (const double t : fittingTicks(s, v.key_begin, v.key_end, plot.width(), false)) {
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(x(t), plot.bottom()), QPointF(x(t), plot.bottom() + s.tickLength));
    const QString label = figureNumber(t);
    const double half = textWidth(s.tick, label) / 2;
    if (!panel.xLabels || x(t) - half < free + 3) continue;
    free = x(t) + half;
    drawText(painter, s.tick, s.text, {x(t), plot.bottom() + s.tickLength + s.gap + capHeight(s.tick)}, Anchor::Centre,
             label);
  }
  for (const double t : fittingTicks(s, v.row_begin, v.row_end, plot.height(), true)) {
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(plot.left() - s.tickLength, y(t)), QPointF(plot.left(), y(t)));
    if (!panel.yLabels) continue;
    drawText(painter, s.tick, s.text, {plot.left() - s.tickLength - s.gap, y(t) + capHeight(s.tick) / 2}, Anchor::Right,
             figureNumber(t));
  }
  if (panel.xLabels) {
    drawText(painter, s.label, s.text,
             {plot.center().x(), plot.bottom() + s.tickLength + s.gap + s.tickHeight + capHeight(s.label) + 1},
             Anchor::Centre, fitted(s.label, {tr("Key (token)"), tr("Key")}, plot.width() + panel.right));
  }
  if (panel.yLabels) {
    drawYTitle(painter, panel, {tr("Query (token)"), tr("Query")});
  }
  // Chunk boundaries along the upper edge; for chunk scores with the number of the chunk.
  const auto& boundaries = panel.data->plan->trace.boundaries;
  if (!m_spec.boundaries || boundaries.size() < 3) return;
  const bool numbered = panel.data->panel.what == FigureKind::kChunkScores;
  // Where they stand close together the marks are thinner, so that they stay marks; closer still they would be a bar.
  const double apart =
      plot.width() / (v.key_end - v.key_begin) * boundaries.back() / static_cast<double>(boundaries.size());
  painter.setPen(QPen(s.frame, std::min(0.4 * apart, 0.5 * s.unit)));
  for (const std::int32_t b : boundaries) {
    if (apart < 0.5 || b < v.key_begin || b > v.key_end) continue;
    painter.drawLine(QPointF(x(b), plot.top()), QPointF(x(b), plot.top() - (numbered ? s.tickLength : 1.5 * s.unit)));
  }
  if (!numbered) return;
  const auto chunks = static_cast<double>(boundaries.size()) - 1;
  double last = plot.left() - 100;
  for (const double t : fittingTicks(s, 0, chunks, plot.width(), false)) {
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
  const bool percents = panel.data->percent;
  const int decimals = panel.data->panel.what == FigureKind::kScores ? 1 : 0;
  bool numbers = h >= capHeight(s.tick) + 3;
  std::vector<QString> texts;
  for (const double value : cells.values) {
    texts.push_back(std::isnan(value) ? QString()
                    : percents        ? QString::number(value * 100, 'f', decimals)
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
      painter.setPen(std::min(w, h) < 4 ? QPen(Qt::NoPen) : QPen(Qt::white, 0.5));
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
  const double local = cells.local.empty() ? 0 : 5 * s.unit;
  const double square = 2.5 * s.unit;  // marks a layer with a sliding window
  const auto step = static_cast<std::size_t>(std::max(1.0, std::ceil(s.tickHeight * 0.95 / h)));
  for (std::size_t r = 0; r < rows && panel.yLabels; ++r) {
    const double y = panel.plot.top() + (static_cast<double>(r) + 0.5) * h;
    if (local > 0 && cells.local[r]) {
      painter.setPen(Qt::NoPen);
      painter.setBrush(s.frame);
      painter.drawRect(QRectF(panel.plot.left() - 4 * s.unit, y - square / 2, square, square));
    }
    if (r % step != 0) continue;
    drawText(painter, s.tick, s.text, {panel.plot.left() - s.gap - local - 1, y + capHeight(s.tick) / 2}, Anchor::Right,
             q(cells.row_names[r]));
  }
  double widest = 0;
  for (const std::string& name : cells.column_names) widest = std::max(widest, textWidth(s.tick, columnLabel(name)));
  const double across = panel.turned > 0 ? s.tickHeight * 0.9 : widest + 3;
  const auto every = static_cast<std::size_t>(std::max(1.0, std::ceil(across / w)));
  for (std::size_t c = 0; c < columns && panel.xLabels; c += every) {
    const double middle = panel.plot.left() + (static_cast<double>(c) + 0.5) * w;
    const QString label = columnLabel(cells.column_names[c]);
    if (panel.turned > 0) {
      drawText(painter, s.tick, s.text, {middle + capHeight(s.tick) / 2, panel.plot.bottom() + s.gap + 2},
               Anchor::Right, fitted(s.tick, {label}, panel.turned), true);
    } else {
      drawText(painter, s.tick, s.text, {middle, panel.plot.bottom() + s.gap + capHeight(s.tick) + 1}, Anchor::Centre,
               label);
    }
  }
  if (panel.xLabels) {
    drawText(painter, s.label, s.text,
             {panel.plot.center().x(),
              panel.plot.bottom() + s.tickLength + s.tickHeight + capHeight(s.label) + 2 + panel.turned},
             Anchor::Centre, fitted(s.label, {capitalised(q(cells.column_title))}, panel.plot.width() + panel.right));
  }
  if (panel.yLabels) {
    drawYTitle(painter, panel, {capitalised(q(cells.row_title))});
  }
  if (local > 0 && std::find(cells.local.begin(), cells.local.end(), true) != cells.local.end()) {
    const QString text = tr("sliding window");
    const double x = panel.plot.right() - textWidth(s.tick, text);
    const double y = panel.plot.top() - s.gap - 1;
    painter.setPen(Qt::NoPen);
    painter.setBrush(s.frame);
    painter.drawRect(QRectF(x - 2 * square, y - (capHeight(s.tick) + square) / 2, square, square));
    drawText(painter, s.tick, s.text, {x, y}, Anchor::Left, text);
  }
}

std::pair<double, double> FigureDrawing::stripTokens(const Panel& panel) const {
  const auto tokens = static_cast<double>(panel.data->series.front().y.size());
  return {static_cast<double>(std::max(m_spec.key_begin, m_spec.skip_keys)),
          m_spec.key_end > 0 ? std::min(tokens, static_cast<double>(m_spec.key_end)) : tokens};
}

FigureDrawing::Strip FigureDrawing::strip(const Panel& panel, std::size_t index, double height) const {
  const FigureSeries& series = panel.data->series[index];
  const auto [begin, end] = stripTokens(panel);
  double high = 0;
  double least = 0;
  for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
    high = std::max(high, series.y[t]);
    if (series.y[t] > 0) least = least == 0 ? series.y[t] : std::min(least, series.y[t]);
  }
  const bool share = series.name == "retention";
  const bool log =
      !share && high > least && (m_spec.scale == "log" || (m_spec.scale == "auto" && series.name == "received"));
  if (share || !(high > 0)) high = 1;
  Strip strip;
  strip.name = series.name == "received"    ? tr("Dense attention received")
               : series.name == "predicted" ? tr("Predicted by chunk scores (mean 1)")
                                            : tr("Retention: share of later queries that keep the token");
  strip.brief = series.name == "received"    ? tr("Received")
                : series.name == "predicted" ? tr("Predicted (mean 1)")
                                             : tr("Retention");
  if (!series.row_step.empty()) {
    strip.name = tr("≈ %1, one row in %2").arg(strip.name).arg(series.row_step.front());
    strip.brief = tr("≈ %1").arg(strip.brief);
  }
  if (log) strip.name += tr(", log scale");
  strip.scale =
      ValueScale(log ? ColourScale::Log : ColourScale::Linear, log ? std::max(least, high * 1e-4) : 0, high, false);
  const double apart = 1.3 * m_style.tickHeight / std::max(1.0, height);
  if (!log) {
    for (int about = std::clamp(static_cast<int>(1 / apart), 1, 3); about < 9 && strip.ticks.size() < 2; ++about)
      strip.ticks = niceTicks(0, high, about);
    strip.labels = figureNumbers(strip.ticks);
    return strip;
  }
  for (const std::vector<double>& steps : {std::vector{1.0}, std::vector{1.0, 2.0, 5.0}}) {
    strip.ticks.clear();
    double last = -1;
    for (double power = std::pow(10, std::floor(std::log10(strip.scale.low()))); power <= high; power *= 10) {
      for (const double m : steps) {
        if (m * power < strip.scale.low() || m * power > high) continue;
        const double at = strip.scale.position(m * power);
        if (last >= 0 && at - last < apart) continue;
        strip.ticks.push_back(m * power);
        last = at;
      }
    }
    if (strip.ticks.size() > 1) break;
  }
  for (const double tick : strip.ticks) strip.labels << figureNumber(tick);
  return strip;
}

void FigureDrawing::drawStrips(QPainter& painter, const Panel& panel) const {
  const FigureStyle& s = m_style;
  const auto count = panel.data->series.size();
  const double each = panel.plot.height() / static_cast<double>(count);
  const auto tokens = stripTokens(panel);
  const double begin = tokens.first;
  const double end = tokens.second;
  const auto xOf = [&](double token) {
    return panel.plot.left() + (token - begin) / (end - begin) * panel.plot.width();
  };
  for (std::size_t i = 0; i < count; ++i) {
    const FigureSeries& series = panel.data->series[i];
    const QRectF area(panel.plot.left(), panel.plot.top() + static_cast<double>(i) * each + s.tickHeight + 2 * s.unit,
                      panel.plot.width(), each - s.tickHeight - 5 * s.unit);
    const Strip one = strip(panel, i, area.height());
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
      const double y = area.bottom() - one.scale.position(most) * area.height();
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
    for (std::size_t t = 0; t < one.ticks.size(); ++t) {
      const double y = area.bottom() - one.scale.position(one.ticks[t]) * area.height();
      painter.setPen(QPen(s.frame, s.line));
      painter.drawLine(QPointF(area.left() - s.tickLength, y), QPointF(area.left(), y));
      drawText(painter, s.tick, s.text, {area.left() - s.tickLength - s.gap, y + capHeight(s.tick) / 2}, Anchor::Right,
               one.labels[static_cast<qsizetype>(t)]);
    }
    drawText(painter, s.tick, s.text, {area.left() + 2, area.top() - 2 * s.unit}, Anchor::Left,
             fitted(s.tick, {one.name, one.brief}, area.width()));
    const auto& boundaries = panel.data->plan->trace.boundaries;
    if (m_spec.boundaries && i + 1 == count) {
      painter.setPen(QPen(s.frame, 0.5 * s.unit));
      for (const std::int32_t b : boundaries) {
        if (b >= begin && b <= end)
          painter.drawLine(QPointF(xOf(b), area.bottom()), QPointF(xOf(b), area.bottom() + 1.5 * s.unit));
      }
    }
    if (i + 1 < count) continue;
    for (const double t : fittingTicks(s, begin, end, area.width(), false)) {
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

}  // namespace dhsa
