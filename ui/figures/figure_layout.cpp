// Where everything on the page lies.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "ui/figures/figure_drawing.h"
#include "ui/plot/axis_ticks.h"

namespace dhsa {
namespace {

QString q(const std::string& text) { return QString::fromStdString(text); }

bool anyLocal(const FigureCells& cells) {
  return std::find(cells.local.begin(), cells.local.end(), true) != cells.local.end();
}

}  // namespace

void FigureDrawing::arrange() {
  const auto count = static_cast<int>(m_panels.size());
  const double width = width_inches(m_spec);
  double least = 0;
  for (const Panel& panel : m_panels) {
    const bool plain = panel.form == Form::kMatrix || panel.form == Form::kCells;
    least = std::max(least, label_size_of(m_spec) / 9 * (plain ? 1.5 : panel.form == Form::kStrips ? 3.0 : 2.4));
  }
  // Each panel's name has to fit above it, in brief at least.
  double header = 0;
  for (const Panel& panel : m_panels) {
    if (m_spec.panel_names) header = std::max(header, textWidth(m_style.label, q(panel.data->brief)));
  }
  if (m_spec.panel_letters) header += textWidth(m_style.letter, QStringLiteral("(m)")) + 3 * m_style.unit;
  const double margins = 0.6 * label_size_of(m_spec) / 9;  // left of the first panel, right of the last one
  const int widest =
      count < 2 ? 1 : std::max(1, static_cast<int>((width - margins) * 72 / (header + 12 * m_style.unit)));
  m_columns = m_spec.grid_columns > 0 ? static_cast<int>(m_spec.grid_columns)
                                      : std::clamp(static_cast<int>(width / least), 1, widest);
  if (m_spec.grid_columns == 0 && count % m_columns != 0 && count % (m_columns + 1) == 0 && m_columns < widest &&
      width / (m_columns + 1) > 0.88 * least) {
    ++m_columns;  // full rows are worth slightly smaller panels
  }
  m_columns = std::min(m_columns, count);
  m_rows = (count + m_columns - 1) / m_columns;
  if (m_spec.grid_columns == 0) m_columns = (count + m_rows - 1) / m_rows;
  const auto same = [&](const Panel& a, const Panel& b) {
    if (a.form != b.form) return false;
    if (a.form == Form::kMatrix) return a.view == b.view;
    return a.form == Form::kCells && a.data->cells.row_names == b.data->cells.row_names &&
           a.data->cells.column_names == b.data->cells.column_names;
  };
  const bool share =
      std::all_of(m_panels.begin(), m_panels.end(), [&](const Panel& panel) { return same(panel, m_panels.front()); });
  for (int i = 0; i < count; ++i) {
    Panel& panel = m_panels[static_cast<std::size_t>(i)];
    panel.row = i / m_columns;
    panel.column = i % m_columns;
    if (!share) continue;
    panel.yLabels = panel.column == 0;
    panel.xLabels = i + m_columns >= count;
  }
  // Panels of one quantity share a scale.
  std::vector<std::string> quantities;
  for (Panel& panel : m_panels) {
    if (!panel.coloured) continue;
    const std::string name = m_spec.shared_bar ? panel.data->value_title : std::to_string(&panel - m_panels.data());
    auto found = std::find(quantities.begin(), quantities.end(), name);
    if (found == quantities.end()) found = quantities.insert(quantities.end(), name);
    panel.group = static_cast<int>(found - quantities.begin());
  }
  m_oneBar = quantities.size() == 1 &&
             std::all_of(m_panels.begin(), m_panels.end(), [](const Panel& panel) { return panel.coloured; });
  // One bar for neighbours of one quantity, at the last of them.
  for (std::size_t i = 0; i < m_panels.size(); ++i) {
    const bool shared =
        i + 1 < m_panels.size() && m_panels[i + 1].group == m_panels[i].group && m_panels[i + 1].row == m_panels[i].row;
    m_panels[i].ownBar = m_panels[i].coloured && !m_oneBar && !shared;
  }
}

bool FigureDrawing::hasHeader() const { return m_panels.size() > 1 && (m_spec.panel_letters || m_spec.panel_names); }

// A square part leaves its upper corner free.
bool FigureDrawing::legendInside(const Panel& panel) const {
  const Viewport& v = panel.view;
  return v.row_begin == v.key_begin && v.row_end == v.key_end;
}

std::vector<double> FigureDrawing::barTicks(const Panel& panel, int about) const {
  std::vector<double> ticks;
  const double low = panel.scale.low() - 1e-9 * std::abs(panel.scale.low());
  const double high = panel.scale.high() + 1e-9 * std::abs(panel.scale.high());
  for (const double tick : panel.scale.ticks(about)) {
    if (tick >= low && tick <= high) ticks.push_back(tick);
  }
  if (panel.scale.scale() == ColourScale::Log && !panel.scale.diverging() && ticks.size() < 3 && low > 0) {
    ticks.clear();
    for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10) {
      for (const double m : {1.0, 2.0, 5.0}) {
        if (m * power >= low && m * power <= high) ticks.push_back(m * power);
      }
    }
  }
  return ticks;
}

QStringList FigureDrawing::barLabels(const Panel& panel, const std::vector<double>& ticks) const {
  if (panel.scale.scale() != ColourScale::Log || panel.scale.diverging()) {
    std::vector<double> shown = ticks;
    if (panel.data->percent) {
      for (double& tick : shown) tick *= 100;
    }
    return figureNumbers(shown);
  }
  QStringList labels;
  for (const double tick : ticks) labels << figureNumber(tick);
  return labels;
}

double FigureDrawing::barWidth(const Panel& panel) const {
  double labels = 0;
  for (int about = 2; about <= 6; ++about) {
    for (const QString& label : barLabels(panel, barTicks(panel, about)))
      labels = std::max(labels, textWidth(m_style.tick, label));
  }
  return (kBetween + kBarThickness + 3) * m_style.unit + m_style.tickLength + m_style.gap + labels +
         m_style.labelHeight;
}

double FigureDrawing::axisHeight() const {
  return m_style.tickLength + m_style.gap + m_style.tickHeight + m_style.labelHeight + 1;
}

void FigureDrawing::measure(Panel& panel) const {
  const FigureStyle& s = m_style;
  double yTicks = 0;
  double overhang = 2;  // of the last number below the plot
  const auto widest = [&](double low, double high) {
    double width = 0;
    for (int about = 1; about <= 8; ++about) {
      for (const double t : indexTicks(low, high, about)) width = std::max(width, textWidth(s.tick, figureNumber(t)));
    }
    return width;
  };
  const double guess = 0.5 * pdf_points_of_inches(width_inches(m_spec)) / m_columns;  // of the plot's width
  const auto beyond = [&](double low, double high) {
    double most = 0;
    for (int about = 1; about <= 8; ++about) {
      const auto ticks = indexTicks(low, high, about);
      if (ticks.empty()) continue;
      const double within = (high - ticks.back()) / (high - low) * guess;
      most = std::max(most, textWidth(s.tick, figureNumber(ticks.back())) / 2 - within);
    }
    return most;
  };
  switch (panel.form) {
    case Form::kMatrix:
      yTicks = widest(panel.view.row_begin, panel.view.row_end);
      overhang = beyond(panel.view.key_begin, panel.view.key_end);
      break;
    case Form::kCells:
      for (const std::string& name : panel.data->cells.row_names) yTicks = std::max(yTicks, textWidth(s.tick, q(name)));
      if (!panel.data->cells.local.empty()) yTicks += 5 * s.unit;
      break;
    case Form::kStrips: {
      for (std::size_t i = 0; i < panel.data->series.size(); ++i) {
        for (const double height : {10.0, 25.0, 40.0, 80.0}) {
          for (const QString& label : strip(panel, i, height * s.unit).labels)
            yTicks = std::max(yTicks, textWidth(s.tick, label));
        }
      }
      const auto [begin, end] = stripTokens(panel);
      overhang = beyond(begin, end);
      break;
    }
    default: {
      for (const QString& label : figureNumbers(yAxis(panel).ticks))
        yTicks = std::max(yTicks, textWidth(s.tick, label));
      const Axis x = xAxis(panel);
      if (!x.ticks.empty()) overhang = textWidth(s.tick, figureNumber(x.ticks.back())) / 2;
    }
  }
  const bool yTitle = panel.form != Form::kStrips;
  panel.left = kEdge + (panel.yLabels ? s.tickLength + s.gap + yTicks + (yTitle ? 3 * s.unit + s.labelHeight : 0) : 1);
  panel.right = kEdge + std::max(2.0, panel.xLabels ? overhang : 2.0);
  if (panel.ownBar) panel.right = kEdge + barWidth(panel) + (panel.column + 1 < m_columns ? kBetween * s.unit : 0);
  panel.bottom = kEdge + (panel.xLabels ? axisHeight() : 2);
  if (panel.form == Form::kCells && panel.xLabels) panel.turned = turnedHeight(panel, guess);
  panel.bottom += panel.turned;
  panel.top = kEdge + (hasHeader() ? s.labelHeight + 2 : s.tickHeight * 0.3);
  const bool chunkAxis = panel.data->panel.what == FigureKind::kChunkScores && m_spec.boundaries;
  if (chunkAxis) panel.top += 2 * s.tickHeight + s.tickLength;
  if (panel.clippedHigh && !chunkAxis) panel.top += 6 * s.unit;  // the mark above the bar
  if (panel.form == Form::kMatrix && !panel.coloured && !legendInside(panel)) panel.top += s.tickHeight + 3;
  if (panel.form == Form::kCells && anyLocal(panel.data->cells)) panel.top += s.tickHeight;
}

QString FigureDrawing::columnLabel(const std::string& name) {
  bool isNumber = false;
  const double value = q(name).toDouble(&isNumber);
  return isNumber ? figureNumber(value) : q(name);
}

double FigureDrawing::turnedHeight(const Panel& panel, double width) const {
  const auto& names = panel.data->cells.column_names;
  double widest = 0;
  bool words = false;
  for (const std::string& name : names) {
    const QString label = columnLabel(name);
    words = words || !label.front().isDigit();
    widest = std::max(widest, textWidth(m_style.tick, label));
  }
  if (!words || (widest + 3) * static_cast<double>(names.size()) <= width) return 0;
  return std::min(widest, kLongestTurned * m_style.unit);
}

double FigureDrawing::heightOf(const Panel& panel, double width) const {
  switch (panel.form) {
    case Form::kMatrix: {
      const double rows = panel.view.row_end - panel.view.row_begin;
      const double keys = panel.view.key_end - panel.view.key_begin;
      return std::max(width * std::clamp(rows / keys, 0.2, 1.6), 3.5 * m_style.labelHeight);
    }
    case Form::kCells: {
      const auto rows = static_cast<double>(panel.data->cells.row_names.size());
      const auto columns = static_cast<double>(std::max<std::size_t>(1, panel.data->cells.column_names.size()));
      const double height =
          rows * std::clamp(width / columns * 0.5, m_style.tickHeight * 1.1, m_style.tickHeight * 2.0);
      // The titles beside them stand upright.
      const double title = std::max(textWidth(m_style.label, q(panel.data->cells.row_title)),
                                    textWidth(m_style.label, q(panel.data->value_title)));
      return std::max(height, title + 2);
    }
    case Form::kStrips: {
      const auto strips = static_cast<double>(panel.data->series.size());
      return strips *
             (std::clamp(0.11 * width, 24.0, std::max(24.0, 0.2 * width)) + m_style.tickHeight + 5 * m_style.unit);
    }
    default:
      return 0.62 * width;
  }
}

void FigureDrawing::place() {
  const double unit = m_style.unit;
  const double width = pdf_points_of_inches(width_inches(m_spec));
  for (Panel& panel : m_panels) measure(panel);
  const auto columns = static_cast<std::size_t>(m_columns);
  const auto rows = static_cast<std::size_t>(m_rows);
  std::vector<double> left(columns, 0), right(columns, 0), top(rows, 0), bottom(rows, 0), height(rows, 0);
  for (const Panel& panel : m_panels) {
    const auto c = static_cast<std::size_t>(panel.column);
    left[c] = std::max(left[c], panel.left);
    right[c] = std::max(right[c], panel.right);
  }
  double free = width - kBetween / 2 * unit * static_cast<double>(columns - 1);
  if (m_oneBar) free -= barWidth(m_panels.front());
  for (std::size_t c = 0; c < columns; ++c) free -= left[c] + right[c];
  double plotWidth = free / static_cast<double>(columns);
  if (plotWidth < 24 * unit) {
    throw Error(
        fmt::format("The panels do not fit on {:.3g} inches; take fewer panels in a row, a wider figure or smaller "
                    "type.",
                    width_inches(m_spec)));
  }

  double y = 0;
  if (m_spec.title && !m_title.isEmpty()) {
    m_title = wrapped(m_style.letter, m_title.join(u' '), width - 2 * kEdge);
    y = kEdge + static_cast<double>(m_title.size()) * m_style.labelHeight + 4;
  }
  const auto legendHeight = [&](const Panel& panel, double room) {
    const auto lines = static_cast<double>(legendRows(panel, room).size());
    return lines > 0 ? lines * (m_style.tickHeight + 2 * unit) + 2 * unit : 0;
  };
  const bool oneLegend = sharesLegend();
  if (oneLegend) {
    m_legend = QPointF(left.front(), y + kEdge);
    y += kEdge + legendHeight(m_panels.front(), width - left.front() - kEdge);
  }
  double fixed = y;
  double plots = 0;
  for (Panel& panel : m_panels) {
    const auto r = static_cast<std::size_t>(panel.row);
    if (!oneLegend) panel.top += legendHeight(panel, plotWidth);
    top[r] = std::max(top[r], panel.top);
    bottom[r] = std::max(bottom[r], panel.bottom);
    height[r] = std::max(height[r], heightOf(panel, plotWidth));
  }
  for (std::size_t r = 0; r < rows; ++r) {
    fixed += top[r] + bottom[r];
    plots += height[r];
  }
  const double page = pdf_points_of_inches(venue_of(m_spec).page_height);
  const double wanted = m_spec.height > 0 ? pdf_points_of_inches(m_spec.height) : std::min(fixed + plots, page);
  double squeeze = 1;
  if (wanted != fixed + plots) {
    squeeze = (wanted - fixed) / plots;
    if (wanted - fixed < 20 * unit * static_cast<double>(rows)) {
      throw Error(m_spec.height > 0 ? std::string("The panels do not fit into this height; give more or leave --height "
                                                  "out.")
                                    : fmt::format("The panels are taller than a page of {} ({:g} in); show fewer at "
                                                  "once or more in a row.",
                                                  venue_of(m_spec).label, venue_of(m_spec).page_height));
    }
  }
  // Cells of a matrix keep their shape: what the height does not allow is taken from the width.
  double x = 0;
  if (squeeze < 1 &&
      std::all_of(m_panels.begin(), m_panels.end(), [](const Panel& panel) { return panel.form == Form::kMatrix; })) {
    x = (1 - squeeze) * plotWidth * static_cast<double>(columns) / 2;
    plotWidth *= squeeze;
    for (double& h : height) h *= squeeze;
    squeeze = 1;
  }
  const double start = x;
  double barTop = 0;
  double barBottom = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    y += top[r];
    x = start;
    for (std::size_t c = 0; c < columns; ++c) {
      x += left[c];
      for (Panel& panel : m_panels) {
        if (static_cast<std::size_t>(panel.row) != r || static_cast<std::size_t>(panel.column) != c) continue;
        panel.top = top[r];  // headers of a row stand on one line
        const double whole = heightOf(panel, plotWidth);
        const bool matrix = panel.form == Form::kMatrix;
        const double w = matrix && squeeze < 1 ? plotWidth * squeeze : plotWidth;
        const double h = matrix && squeeze > 1 ? whole : whole * squeeze;
        panel.plot = QRectF(x, y, w, h);
        if (panel.ownBar) panel.bar = QRectF(x + w + kBetween * unit, y, kBarThickness * unit, h);
      }
      x += plotWidth + right[c] + kBetween / 2 * unit;
    }
    if (r == 0) barTop = y;
    barBottom = y + height[r] * squeeze;
    y += height[r] * squeeze + bottom[r];
  }
  m_size = QSizeF(width, m_spec.height > 0 ? pdf_points_of_inches(m_spec.height) : std::ceil(y * 8) / 8);
  if (m_oneBar) {
    double edge = 0;
    for (const Panel& panel : m_panels) edge = std::max(edge, panel.plot.right());
    m_sharedBar = QRectF(edge + kBetween * unit, barTop, kBarThickness * unit, barBottom - barTop);
  }
}

}  // namespace dhsa
