#include "ui/figures/figure_drawing.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ui/views/axis_ticks.h"

namespace dhsa {
namespace {

constexpr double kBarThickness = 7;
constexpr double kBetween = 8;
constexpr int kMostShapes = 60000;  // more than these are drawn as a picture

QString q(const std::string& text) { return QString::fromStdString(text); }

QString subscripted(QString text) {
  return text.replace(QStringLiteral("S_c"), QStringLiteral("S_{c}"))
      .replace(QStringLiteral("S_t"), QStringLiteral("S_{t}"));
}

}  // namespace

FigureDrawing::FigureDrawing(const FigureData& data, const FigureSpec& spec) : m_spec(spec), m_style(spec) {
  for (const FigurePanelData& one : data.panels) {
    Panel panel;
    panel.data = &one;
    panel.form = figure_kind(one.panel.what).form;
    m_panels.push_back(std::move(panel));
  }
  for (Panel& panel : m_panels) {
    if (panel.form == Form::kMatrix) {
      const auto tokens = static_cast<double>(panel.data->matrix->tokens());
      panel.view = {static_cast<double>(spec.row_begin), spec.row_end > 0 ? static_cast<double>(spec.row_end) : tokens,
                    static_cast<double>(spec.key_begin), spec.key_end > 0 ? static_cast<double>(spec.key_end) : tokens};
    }
    panel.coloured = panel.form == Form::kCells ||
                     (panel.form == Form::kMatrix && panel.data->matrix->kind() != MatrixSource::Kind::kMask);
  }
  arrange();
  chooseScales();
  place();
  sample();
}

void FigureDrawing::arrange() {
  const auto count = static_cast<int>(m_panels.size());
  const double width = width_inches(m_spec);
  const Form form = m_panels.front().form;
  const double least = form == Form::kMatrix ? 1.5 : form == Form::kStrips ? 3.0 : form == Form::kCells ? 1.5 : 2.4;
  const double scale = label_size_of(m_spec) / 9;
  m_columns = m_spec.grid_columns > 0 ? static_cast<int>(m_spec.grid_columns)
                                      : std::max(1, static_cast<int>(width / (least * scale)));
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
  m_oneBar = quantities.size() == 1;
  // One bar for neighbours of one quantity, at the last of them.
  for (std::size_t i = 0; i < m_panels.size(); ++i) {
    const bool shared =
        i + 1 < m_panels.size() && m_panels[i + 1].group == m_panels[i].group && m_panels[i + 1].row == m_panels[i].row;
    m_panels[i].ownBar = m_panels[i].coloured && !m_oneBar && !shared;
  }
}

std::vector<double> FigureDrawing::rangeValues(const Panel& panel) const {
  if (panel.form == Form::kCells) return panel.data->cells.values;
  SampleGrid grid;
  panel.data->matrix->sample(panel.view, 400, 400, {.skip_keys = m_spec.skip_keys}, grid);
  const auto& values = m_spec.reducer == "mean" ? grid.mean : grid.max;
  return {values.begin(), values.end()};
}

void FigureDrawing::chooseScales() {
  int groups = 0;
  for (const Panel& panel : m_panels) groups = std::max(groups, panel.group + 1);
  for (int group = 0; group < groups; ++group) {
    std::vector<float> all;
    const Panel* first = nullptr;
    for (const Panel& panel : m_panels) {
      if (panel.group != group) continue;
      if (first == nullptr) first = &panel;
      for (const double value : rangeValues(panel)) all.push_back(static_cast<float>(value));
    }
    const bool cells = first->form == Form::kCells;
    const auto kind = cells ? MatrixSource::Kind::kScore : first->data->matrix->kind();
    ColourSettings settings = ColourSettings::forKind(kind);
    if (first->data->panel.what == FigureKind::kNeedle) settings.map = ColourMapId::Cividis;
    if (m_spec.map != "auto") settings.map = ColourMap::fromKey(q(m_spec.map));
    if (m_spec.scale != "auto") {
      settings.scale = m_spec.scale == "log"    ? ColourScale::Log
                       : m_spec.scale == "sqrt" ? ColourScale::Sqrt
                                                : ColourScale::Linear;
    }
    const ValueRange whole = rangeOf(all);
    ValueRange range = whole;
    if (m_spec.range == "manual") {
      range = {m_spec.low, m_spec.high};
    } else if (m_spec.range == "percentile") {
      range = rangeOf(all, m_spec.percentile_low, m_spec.percentile_high);
    } else if (m_spec.range == "auto" && cells) {
      // Shares are read against 1.
      range = {first->data->panel.what == FigureKind::kNeedle ? 0 : std::floor(whole.low * 20) / 20, 1};
    } else if (m_spec.range == "auto" && kind == MatrixSource::Kind::kScore) {
      range = rangeOf(all, 1, 99);
    } else if (m_spec.range == "auto" && kind == MatrixSource::Kind::kDifference) {
      range = rangeOf(all, 0.5, 99.5);  // a few cells of the diagonal would leave the rest white
    }
    const bool diverging = kind == MatrixSource::Kind::kDifference;
    for (Panel& panel : m_panels) {
      if (panel.group != group) continue;
      panel.mapId = settings.map;
      panel.scale = ValueScale(settings.scale, range.low, range.high, diverging);
      const bool log = panel.scale.scale() == ColourScale::Log && !diverging;
      panel.clippedLow = whole.low < panel.scale.low() && !(log && whole.low <= 0 && m_spec.range == "auto");
      panel.clippedHigh = whole.high > panel.scale.high() * (1 + 1e-6) + 1e-12;
    }
  }
}

bool FigureDrawing::hasHeader(const Panel& panel) const {
  return (m_panels.size() > 1 && (m_spec.panel_letters || m_spec.panel_names)) ||
         (panel.form == Form::kCells && std::find(panel.data->cells.local.begin(), panel.data->cells.local.end(),
                                                  true) != panel.data->cells.local.end());
}

bool FigureDrawing::legendInside(const Panel& panel) const {
  const Viewport& v = panel.view;
  return v.row_begin == v.key_begin && v.row_end == v.key_end;
}

double FigureDrawing::barWidth(const Panel& panel) const {
  double labels = 0;
  for (const double tick : panel.scale.ticks(5)) labels = std::max(labels, textWidth(m_style.tick, figureNumber(tick)));
  return kBetween + kBarThickness + m_style.tickLength + 2 + labels + 3 + m_style.labelHeight;
}

std::vector<QStringList> FigureDrawing::legendRows(const Panel& panel, double width) const {
  std::vector<QStringList> rows;
  if (panel.form != Form::kCurves || panel.data->series.size() < 2) return rows;
  double used = width + 1;
  for (const FigureSeries& series : panel.data->series) {
    const double entry = 22 + textWidth(m_style.tick, q(series.name)) + 8;
    if (used + entry > width) {
      rows.emplace_back();
      used = 0;
    }
    rows.back() << q(series.name);
    used += entry;
  }
  return rows;
}

void FigureDrawing::measure(Panel& panel) const {
  const FigureStyle& s = m_style;
  double yTicks = 0;
  double xOverhang = 2;
  switch (panel.form) {
    case Form::kMatrix: {
      for (const double t : indexTicks(panel.view.row_begin, panel.view.row_end, 5))
        yTicks = std::max(yTicks, textWidth(s.tick, figureNumber(t)));
      xOverhang = textWidth(s.tick, figureNumber(panel.view.key_end)) / 2;
      break;
    }
    case Form::kCells:
      for (const std::string& name : panel.data->cells.row_names) yTicks = std::max(yTicks, textWidth(s.tick, q(name)));
      if (!panel.data->cells.local.empty()) yTicks += 5;
      break;
    case Form::kStrips:
      yTicks = textWidth(s.tick, QStringLiteral("10^{−4}"));
      xOverhang = textWidth(s.tick, QStringLiteral("0000")) / 2;
      break;
    default:
      for (const double t : yAxis(panel).ticks) yTicks = std::max(yTicks, textWidth(s.tick, figureNumber(t)));
      xOverhang = textWidth(s.tick, QStringLiteral("00000")) / 2;
  }
  const bool yTitle = panel.form != Form::kStrips;
  panel.left = kEdge + (panel.yLabels ? s.tickLength + s.gap + yTicks + (yTitle ? 3 + s.labelHeight : 0) : 1);
  panel.right = kEdge + std::max(2.0, panel.xLabels ? std::min(xOverhang, 12.0) : 2.0);
  if (panel.ownBar) panel.right = kEdge + barWidth(panel);
  panel.bottom = kEdge + (panel.xLabels ? s.tickLength + s.gap + s.tickHeight + s.labelHeight + 1 : 2);
  panel.top = kEdge + (hasHeader(panel) ? s.labelHeight + 2 : s.tickHeight * 0.3);
  const bool chunkAxis = panel.data->panel.what == FigureKind::kChunkScores && m_spec.boundaries;
  if (chunkAxis) panel.top += 2 * s.tickHeight + s.tickLength;
  if (panel.clippedHigh && !chunkAxis && !hasHeader(panel)) panel.top += 6;  // the mark above the bar
  if (panel.form == Form::kMatrix && !panel.coloured && !legendInside(panel)) panel.top += s.tickHeight + 3;
}

double FigureDrawing::aspect(const Panel& panel, double width) const {
  switch (panel.form) {
    case Form::kMatrix: {
      const double rows = panel.view.row_end - panel.view.row_begin;
      const double keys = panel.view.key_end - panel.view.key_begin;
      return width * std::clamp(rows / keys, 0.2, 1.6);
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
      return strips * (std::clamp(0.11 * width, 24.0, 0.2 * width) + m_style.tickHeight + 5);
    }
    default:
      return 0.62 * width;
  }
}

void FigureDrawing::place() {
  const double width = pdf_points_of_inches(width_inches(m_spec));
  for (Panel& panel : m_panels) measure(panel);
  const auto columns = static_cast<std::size_t>(m_columns);
  const auto rows = static_cast<std::size_t>(m_rows);
  std::vector<double> left(columns, 0), right(columns, 0), top(rows, 0), bottom(rows, 0), height(rows, 0);
  const Panel* barred = nullptr;
  for (const Panel& panel : m_panels) {
    const auto c = static_cast<std::size_t>(panel.column);
    left[c] = std::max(left[c], panel.left);
    right[c] = std::max(right[c], panel.right);
    if (panel.coloured && barred == nullptr) barred = &panel;
  }
  const double bar = m_oneBar ? barWidth(*barred) : 0;
  double free = width - bar;
  for (std::size_t c = 0; c < columns; ++c) free -= left[c] + right[c];
  free -= kBetween / 2 * static_cast<double>(columns - 1);
  double plotWidth = free / static_cast<double>(columns);
  if (plotWidth < 24) {
    throw Error("The panels do not fit on " + std::to_string(width_inches(m_spec)).substr(0, 4) +
                " inches; take fewer panels in a row, a wider figure or smaller type.");
  }
  m_titleHeight = m_spec.title ? m_style.labelHeight + 4 : 0;
  for (Panel& panel : m_panels) {
    const auto r = static_cast<std::size_t>(panel.row);
    const auto legend = static_cast<double>(legendRows(panel, plotWidth).size());
    if (legend > 0) panel.top += legend * (m_style.tickHeight + 2) + 2;
    top[r] = std::max(top[r], panel.top);
    bottom[r] = std::max(bottom[r], panel.bottom);
    height[r] = std::max(height[r], aspect(panel, plotWidth));
  }
  double fixed = m_titleHeight;
  double plots = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    fixed += top[r] + bottom[r];
    plots += height[r];
  }
  double squeeze = 1;
  if (m_spec.height > 0) {
    const double available = pdf_points_of_inches(m_spec.height) - fixed;
    if (available < 20 * static_cast<double>(rows)) {
      throw Error("The panels do not fit into this height; give more or leave --height out.");
    }
    squeeze = available / plots;
  }
  double y = m_titleHeight;
  double barTop = 0;
  double barBottom = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    y += top[r];
    double x = 0;
    for (std::size_t c = 0; c < columns; ++c) {
      x += left[c];
      for (Panel& panel : m_panels) {
        if (static_cast<std::size_t>(panel.row) != r || static_cast<std::size_t>(panel.column) != c) continue;
        panel.top = top[r];  // headers of a row stand on one line
        double w = plotWidth;
        double h = aspect(panel, plotWidth) * squeeze;
        if (panel.form == Form::kMatrix && squeeze != 1) {
          // Cells keep their shape: what the height does not allow is taken from the width, and the other way round.
          const double whole = aspect(panel, plotWidth);
          if (squeeze < 1)
            w *= squeeze;
          else
            h = whole;
        }
        panel.plot = QRectF(x, y, w, h);
        if (panel.ownBar) panel.bar = QRectF(x + w + kBetween, y, kBarThickness, h);
      }
      x += plotWidth + right[c] + kBetween / 2;
    }
    if (r == 0) barTop = y;
    barBottom = y + height[r] * squeeze;
    y += height[r] * squeeze + bottom[r];
  }
  m_size = QSizeF(width, m_spec.height > 0 ? pdf_points_of_inches(m_spec.height) : std::ceil(y * 8) / 8);
  if (m_oneBar) {
    double edge = 0;
    for (const Panel& panel : m_panels) edge = std::max(edge, panel.plot.right());
    m_sharedBar = QRectF(edge + kBetween, barTop, kBarThickness, barBottom - barTop);
  }
}

void FigureDrawing::sample() {
  for (Panel& panel : m_panels) {
    if (panel.form != Form::kMatrix) continue;
    const MatrixSource& source = *panel.data->matrix;
    if (source.mask() != nullptr) {
      panel.kept = maskPath(*source.mask(), source.mask_head(), panel.view, panel.plot, m_spec.skip_keys, kMostShapes,
                            panel.shapes);
      if (!panel.kept.isEmpty()) continue;
    }
    // Lines of single tokens want twice the resolution.
    const double dpi = static_cast<double>(m_spec.dpi) * (source.mask() != nullptr ? 2 : 1);
    const int w = std::max(1, static_cast<int>(std::lround(panel.plot.width() / 72 * dpi)));
    const int h = std::max(1, static_cast<int>(std::lround(panel.plot.height() / 72 * dpi)));
    source.sample(panel.view, w, h, {.skip_keys = m_spec.skip_keys, .refine = true}, panel.grid);
  }
}

nlohmann::json FigureDrawing::describe() const {
  nlohmann::json json = {{"page",
                          {{"width_inches", m_size.width() / 72},
                           {"height_inches", m_size.height() / 72},
                           {"font", m_style.label.family().toStdString()},
                           {"label_size_tex_points", label_size_of(m_spec)},
                           {"tick_size_tex_points", tick_size_of(m_spec)},
                           {"venue", venue_of(m_spec).label}}},
                         {"panels", nlohmann::json::array()}};
  for (const Panel& panel : m_panels) {
    nlohmann::json one = nlohmann::json::object();
    if (panel.form == Form::kMatrix) {
      one["rows"] = {panel.view.row_begin, panel.view.row_end};
      one["keys"] = {panel.view.key_begin, panel.view.key_end};
      if (!panel.kept.isEmpty()) {
        one["drawn_as"] = "merged vector rectangles";
        one["shapes"] = panel.shapes;
      } else {
        one["drawn_as"] = "picture";
        one["pixels"] = {panel.grid.width, panel.grid.height};
        one["reducer"] =
            describe_reducer(m_spec.reducer == "mean" ? Reducer::kMean : Reducer::kMax, panel.data->matrix->kind(),
                             panel.grid.rows_per_value, panel.grid.keys_per_value);
      }
    }
    if (panel.coloured) {
      one["map"] = ColourMap::key(panel.mapId).toStdString();
      one["scale"] = panel.scale.scale() == ColourScale::Log    ? "log"
                     : panel.scale.scale() == ColourScale::Sqrt ? "sqrt"
                                                                : "linear";
      one["range"] = {panel.scale.low(), panel.scale.high()};
      one["clipped"] = {panel.clippedLow, panel.clippedHigh};
    }
    json["panels"].push_back(std::move(one));
  }
  return json;
}

void FigureDrawing::draw(QPainter& painter) const {
  painter.save();
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setRenderHint(QPainter::TextAntialiasing);
  painter.setRenderHint(QPainter::SmoothPixmapTransform, false);
  painter.setRenderHint(QPainter::LosslessImageRendering);
  painter.fillRect(QRectF(QPointF(0, 0), m_size), Qt::white);
  if (m_spec.title) {
    const QString title = m_panels.size() == 1 ? q(m_panels.front().data->long_name) : q(m_panels.front().data->name);
    drawText(painter, m_style.letter, m_style.text, QPointF(m_size.width() / 2, kEdge + capHeight(m_style.label) + 2),
             Anchor::Centre, subscripted(title));
  }
  for (std::size_t p = 0; p < m_panels.size(); ++p) {
    const Panel& panel = m_panels[p];
    switch (panel.form) {
      case Form::kMatrix:
        drawMatrix(painter, panel);
        drawMatrixAxes(painter, panel);
        break;
      case Form::kCells:
        drawCells(painter, panel);
        break;
      case Form::kStrips:
        drawStrips(painter, panel);
        break;
      case Form::kBars:
        drawBars(painter, panel);
        break;
      case Form::kCurves:
        drawCurves(painter, panel);
        break;
    }
    drawHeader(painter, panel, p);
    if (!panel.bar.isNull()) drawBar(painter, panel, panel.bar);
  }
  if (m_oneBar) {
    const auto first =
        std::find_if(m_panels.begin(), m_panels.end(), [](const Panel& panel) { return panel.coloured; });
    drawBar(painter, *first, m_sharedBar);
  }
  painter.restore();
}

void FigureDrawing::drawHeader(QPainter& painter, const Panel& panel, std::size_t index) const {
  if (!hasHeader(panel)) return;
  const double baseline = panel.plot.top() - (panel.top - kEdge) + capHeight(m_style.label) + 1;
  double x = panel.plot.left();
  if (m_panels.size() > 1 && m_spec.panel_letters) {
    const QString letter = QStringLiteral("(%1)").arg(q(panel_letter(index)));
    drawText(painter, m_style.letter, m_style.text, {x, baseline}, Anchor::Left, letter);
    x += textWidth(m_style.letter, letter) + 3;
  }
  if (m_panels.size() > 1 && m_spec.panel_names) {
    // As far as the bar's mark, or the next panel.
    const double end =
        panel.plot.right() + (panel.ownBar && panel.clippedHigh ? 2 : std::max(6.0, panel.right - kEdge));
    const QString name = fitted(m_style.label, q(panel.data->name), end - x);
    drawText(painter, m_style.label, m_style.text, {x, baseline}, Anchor::Left, name);
  }
}

void FigureDrawing::drawBar(QPainter& painter, const Panel& panel, const QRectF& area) const {
  const FigureStyle& s = m_style;
  const ColourMap map(panel.mapId);
  QImage colours(1, 256, QImage::Format_RGB32);
  for (int i = 0; i < 256; ++i) colours.setPixel(0, i, map.at(1 - i / 255.0));
  painter.drawImage(area, colours);
  painter.setPen(QPen(s.frame, s.line));
  painter.setBrush(Qt::NoBrush);
  painter.drawRect(area);
  painter.setBrush(s.frame);
  painter.setPen(Qt::NoPen);
  const double middle = area.center().x();
  if (panel.clippedHigh)
    painter.drawPolygon(
        QPolygonF({{middle - 3, area.top() - 1.2}, {middle + 3, area.top() - 1.2}, {middle, area.top() - 5.5}}));
  if (panel.clippedLow)
    painter.drawPolygon(QPolygonF(
        {{middle - 3, area.bottom() + 1.2}, {middle + 3, area.bottom() + 1.2}, {middle, area.bottom() + 5.5}}));
  double widest = 0;
  double last = area.bottom() + 100;
  for (const double tick :
       panel.scale.ticks(std::clamp(static_cast<int>(area.height() / (2.2 * s.tickHeight)), 2, 6))) {
    const double y = area.bottom() - panel.scale.position(tick) * area.height();
    if (std::abs(last - y) < s.tickHeight * 1.05 || y < area.top() - 0.1 || y > area.bottom() + 0.1) continue;
    last = y;
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(area.right(), y), QPointF(area.right() + s.tickLength, y));
    const QString label = figureNumber(tick);
    drawText(painter, s.tick, s.text, {area.right() + s.tickLength + s.gap, y + capHeight(s.tick) / 2}, Anchor::Left,
             label);
    widest = std::max(widest, textWidth(s.tick, label));
  }
  QString quantity = subscripted(q(panel.data->value_title));
  if (!quantity.isEmpty()) quantity[0] = quantity[0].toUpper();
  const QString title = fitted(s.label, quantity, std::max(area.height() + 2 * s.labelHeight, 60.0));
  drawText(painter, s.label, s.text,
           {area.right() + s.tickLength + s.gap + widest + 3 + capHeight(s.label) + 1, area.center().y()},
           Anchor::Centre, title, true);
}

}  // namespace dhsa
