// Plots with numbers on both axes: bars and curves, and the curves' legend.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "ui/figures/figure_drawing.h"
#include "ui/plot/axis_ticks.h"

namespace dhsa {
namespace {

QString q(const std::string& text) { return QString::fromStdString(text); }

QString capitalised(QString text) {
  if (!text.isEmpty()) text[0] = text[0].toUpper();
  return text;
}

}  // namespace

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
    // A bar of lengths [from, below) stands over whole numbers: half a token to the left of its edges.
    axis.ticks = indexTicks(axis.low, axis.high - 1, 6);
    axis.low -= 0.5;
    axis.high -= 0.5;
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
  axis.ticks = panel.form == Form::kBars ? indexTicks(axis.low, axis.high, 5) : niceTicks(axis.low, axis.high, 5);
  return axis;
}

void FigureDrawing::drawAxes(QPainter& painter, const Panel& panel, const Axis& x, const Axis& y) const {
  const FigureStyle& s = m_style;
  const QRectF& plot = panel.plot;
  const QStringList labels = y.log ? QStringList() : figureNumbers(y.ticks);
  for (std::size_t i = 0; i < y.ticks.size(); ++i) {
    const double t = y.ticks[i];
    const double at = plot.bottom() - y.share(t) * plot.height();
    painter.setPen(QPen(s.grid, 0.5));
    painter.drawLine(QPointF(plot.left(), at), QPointF(plot.right(), at));
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(plot.left() - s.tickLength, at), QPointF(plot.left(), at));
    drawText(painter, s.tick, s.text, {plot.left() - s.tickLength - s.gap, at + capHeight(s.tick) / 2}, Anchor::Right,
             y.log ? figureNumber(t) : labels[static_cast<qsizetype>(i)]);
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
           Anchor::Centre, fitted(s.label, {capitalised(q(panel.data->x_title))}, plot.width() + panel.right));
  drawYTitle(painter, panel, {capitalised(q(panel.data->y_title))});
}

void FigureDrawing::drawBars(QPainter& painter, const Panel& panel) const {
  const Axis x = xAxis(panel);
  const Axis y = yAxis(panel);
  drawAxes(painter, panel, x, y);
  const FigureSeries& series = panel.data->series.front();
  const QRectF& plot = panel.plot;
  painter.setPen(QPen(Qt::white, 0.5));
  painter.setBrush(m_style.kept);
  for (std::size_t b = 0; b < series.y.size(); ++b) {
    if (series.y[b] <= 0) continue;
    painter.drawRect(QRectF(QPointF(plot.left() + x.share(series.x[b] - 0.5) * plot.width(),
                                    plot.bottom() - y.share(series.y[b]) * plot.height()),
                            QPointF(plot.left() + x.share(series.x[b + 1] - 0.5) * plot.width(), plot.bottom())));
  }
  painter.setPen(QPen(m_style.frame, m_style.line));
  painter.drawLine(plot.topLeft(), plot.bottomLeft());
  if (panel.data->mark > 0) {
    const double at = plot.left() + x.share(panel.data->mark) * plot.width();
    const QColor colour = QColor::fromRgb(okabe_ito::vermilion);
    painter.setPen(QPen(colour, 0.9, Qt::DashLine));
    painter.drawLine(QPointF(at, plot.top()), QPointF(at, plot.bottom()));
    const QString name = q(panel.data->mark_name);
    const bool right = at + 3 + textWidth(m_style.tick, name) <= plot.right();
    const QRectF box(right ? at + 2 : at - 4 - textWidth(m_style.tick, name), plot.top(),
                     textWidth(m_style.tick, name) + 2, capHeight(m_style.tick) + 3);
    painter.fillRect(box, QColor(255, 255, 255));
    drawText(painter, m_style.tick, m_style.text, {box.left() + 1, box.bottom() - 2}, Anchor::Left, name);
  }
}

std::vector<CurveStyle> FigureDrawing::curveStyles(const Panel& panel) const {
  const std::vector<FigureSeries>& series = panel.data->series;
  std::vector<std::string> methods;
  std::vector<std::string> settings;
  const auto place = [](std::vector<std::string>& known, const std::string& name) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found != known.end()) return found - known.begin();
    known.push_back(name);
    return static_cast<std::ptrdiff_t>(known.size()) - 1;
  };
  for (const FigureSeries& each : series) {
    place(methods, each.method);
    if (!each.setting.empty()) place(settings, each.setting);
  }
  // Where curves are methods under several settings, the method gives colour and line, the setting the marker.
  const bool apart = methods.size() > 1 && settings.size() > 1;
  std::vector<CurveStyle> styles;
  std::map<Method, std::vector<std::string>> curves;  // what has to be told apart within a method
  for (std::size_t i = 0; i < series.size(); ++i) {
    const std::optional<Method> method = methodNamed(series[i].method);
    CurveStyle style = curveStyle(i);
    if (method) {
      style = curveStyle(*method, static_cast<int>(place(curves[*method], apart ? series[i].method : series[i].name)),
                         {m_style.text, false});
    }
    if (apart) {
      style.marker = series[i].setting.empty() ? -1 : static_cast<int>(place(settings, series[i].setting)) % kMarkers;
    }
    styles.push_back(style);
  }
  return styles;
}

std::vector<std::vector<FigureDrawing::LegendEntry>> FigureDrawing::legendRows(const Panel& panel, double width) const {
  std::vector<std::vector<LegendEntry>> rows;
  if (panel.form != Form::kCurves || panel.data->series.size() < 2) return rows;
  const auto styles = curveStyles(panel);
  std::vector<LegendEntry> methods;
  std::vector<LegendEntry> settings;
  std::set<std::string> distinct;
  for (const FigureSeries& series : panel.data->series) {
    if (!series.setting.empty()) distinct.insert(series.setting);
  }
  const bool apart =
      distinct.size() > 1 && std::any_of(panel.data->series.begin(), panel.data->series.end(), [&](const auto& series) {
        return series.method != panel.data->series.front().method;
      });
  const auto add = [](std::vector<LegendEntry>& entries, LegendEntry entry) {
    const auto same = [&](const LegendEntry& other) { return other.text == entry.text; };
    if (std::none_of(entries.begin(), entries.end(), same)) entries.push_back(std::move(entry));
  };
  for (std::size_t i = 0; i < styles.size(); ++i) {
    const FigureSeries& series = panel.data->series[i];
    CurveStyle style = styles[i];
    if (!apart) {
      add(methods, {q(series.name), style, true});
      continue;
    }
    if (!series.setting.empty())
      add(settings, {q(series.setting), {m_style.frame, Qt::SolidLine, style.marker}, false});
    style.marker = -1;
    add(methods, {q(series.method), style, true});
  }
  for (const auto& entries : {methods, settings}) {
    double used = width + 1;
    for (const LegendEntry& entry : entries) {
      const double size = (entry.line ? 30 : 18) * m_style.unit + textWidth(m_style.tick, entry.text);
      if (used + size - 8 * m_style.unit > width) {
        rows.emplace_back();
        used = 0;
      }
      rows.back().push_back(entry);
      used += size;
    }
  }
  return rows;
}

bool FigureDrawing::sharesLegend() const {
  const auto same = [&](const Panel& panel) {
    const auto& ours = panel.data->series;
    const auto& first = m_panels.front().data->series;
    return panel.form == Form::kCurves && std::equal(ours.begin(), ours.end(), first.begin(), first.end(),
                                                     [](const auto& a, const auto& b) { return a.name == b.name; });
  };
  return m_panels.size() > 1 && std::all_of(m_panels.begin(), m_panels.end(), same);
}

void FigureDrawing::drawLegend(QPainter& painter, const Panel& panel, QPointF topLeft, double width) const {
  const FigureStyle& s = m_style;
  const double marker = 0.55 * s.tick.pointSizeF();
  double baseline = topLeft.y() + s.tickHeight - 2;
  for (const auto& row : legendRows(panel, width)) {
    double left = topLeft.x();
    for (const LegendEntry& entry : row) {
      const double length = (entry.line ? 17 : 5) * s.unit;
      const double middle = baseline - capHeight(s.tick) / 2;
      painter.setPen(QPen(entry.style.colour, 1.1 * s.unit, entry.style.line, Qt::FlatCap));
      if (entry.line) painter.drawLine(QPointF(left, middle), QPointF(left + length, middle));
      drawMarker(painter, entry.style.marker, {left + length / 2, middle}, marker, entry.style.colour);
      drawText(painter, s.tick, s.text, {left + length + 3 * s.unit, baseline}, Anchor::Left,
               fitted(s.tick, {entry.text}, topLeft.x() + width - left - length - 3 * s.unit));
      left += length + 13 * s.unit + textWidth(s.tick, entry.text);
    }
    baseline += s.tickHeight + 2 * s.unit;
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
  const auto styles = curveStyles(panel);
  for (std::size_t i = 0; i < panel.data->series.size(); ++i) {
    const FigureSeries& series = panel.data->series[i];
    const CurveStyle& style = styles[i];
    painter.setBrush(Qt::NoBrush);
    if (!series.low.empty()) {
      painter.setPen(QPen(style.colour, 0.6 * s.unit));
      const QPointF cap(1.5 * s.unit, 0);
      for (std::size_t k = 0; k < series.x.size(); ++k) {
        const QPointF low = at(series.x[k], series.low[k]);
        const QPointF high = at(series.x[k], series.high[k]);
        painter.drawLine(low, high);
        for (const QPointF& end : {low, high}) painter.drawLine(end - cap, end + cap);
      }
    }
    QPolygonF line;
    for (std::size_t k = 0; k < series.x.size(); ++k) line << at(series.x[k], series.y[k]);
    // A single point without a marker is a dash.
    if (line.size() == 1 && style.marker < 0) line = {line[0] - QPointF(6, 0), line[0] + QPointF(6, 0)};
    painter.setPen(QPen(style.colour, 1.1 * s.unit, style.line, Qt::FlatCap, Qt::RoundJoin));
    painter.drawPolyline(line);
    for (const QPointF& point : line) drawMarker(painter, style.marker, point, marker, style.colour);
  }
  if (sharesLegend()) return;
  // The legend lies above the plot, where no curve can be.
  const auto rows = static_cast<double>(legendRows(panel, plot.width()).size());
  if (rows > 0)
    drawLegend(painter, panel, plot.topLeft() - QPointF(0, rows * (s.tickHeight + 2 * s.unit) + 2 * s.unit),
               plot.width());
}

}  // namespace dhsa
