#include "ui/figures/figure_drawing.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace dhsa {
namespace {

constexpr double kMostPoints = 1.2e8;
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
  QString title = subscripted(q(data.title));
  if (!title.isEmpty()) title[0] = title[0].toUpper();
  m_title = {title};
  arrange();
  chooseScales();
  place();
  sample();
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
    const FigureKind what = first->data->panel.what;
    const bool found = what == FigureKind::kNeedle || what == FigureKind::kScores;  // from nothing to all
    if (found) settings.map = ColourMapId::Cividis;
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
      range = {found ? 0 : std::floor(whole.low * 20) / 20, 1};
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
    if (static_cast<double>(w) * h > kMostPoints) {
      throw Error("A matrix would be drawn with " + std::to_string(std::lround(static_cast<double>(w) * h / 1e6)) +
                  " million points; lower --dpi or the width.");
    }
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
  for (qsizetype line = 0; m_spec.title && line < m_title.size(); ++line) {
    const double baseline = kEdge + static_cast<double>(line) * m_style.labelHeight + capHeight(m_style.label) + 2;
    drawText(painter, m_style.letter, m_style.text, {m_size.width() / 2, baseline}, Anchor::Centre, m_title[line]);
  }
  if (sharesLegend()) drawLegend(painter, m_panels.front(), m_legend, m_size.width() - m_legend.x() - kEdge);
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
  if (!hasHeader()) return;
  const auto letterOf = [&](std::size_t p) {
    return m_spec.panel_letters ? QStringLiteral("(%1)").arg(q(panel_letter(p))) : QString();
  };
  const auto indent = [&](std::size_t p) {
    return m_spec.panel_letters ? textWidth(m_style.letter, letterOf(p)) + 3 * m_style.unit : 0;
  };
  const auto room = [&](std::size_t p) {
    const bool last = p + 1 == m_panels.size() || m_panels[p + 1].row != m_panels[p].row;
    const double end = last ? m_size.width() - kEdge : m_panels[p + 1].plot.left() - 4 * m_style.unit;
    return end - m_panels[p].plot.left() - indent(p);
  };
  // All in full or all in brief.
  bool brief = false;
  for (std::size_t p = 0; p < m_panels.size(); ++p)
    brief = brief || textWidth(m_style.label, subscripted(q(m_panels[p].data->name))) > room(p);
  const double baseline = panel.plot.top() - (panel.top - kEdge) + capHeight(m_style.label) + 1;
  drawText(painter, m_style.letter, m_style.text, {panel.plot.left(), baseline}, Anchor::Left, letterOf(index));
  if (!m_spec.panel_names) return;
  const QString name = subscripted(q(brief ? panel.data->brief : panel.data->name));
  drawText(painter, m_style.label, m_style.text, {panel.plot.left() + indent(index), baseline}, Anchor::Left,
           fitted(m_style.label, {name}, room(index)));
}

void FigureDrawing::drawYTitle(QPainter& painter, const Panel& panel, const QStringList& titles) const {
  // Beside the plot; one that is longer reaches down beside the axis below, where nothing else is.
  const double bottom = panel.plot.bottom() + panel.bottom - kEdge;
  const QString title = fitted(m_style.label, titles, bottom - panel.plot.top() + 4);
  const double y =
      std::min(std::max(panel.plot.center().y(), panel.plot.top() - 4 + textWidth(m_style.label, title) / 2),
               m_size.height() - textWidth(m_style.label, title) / 2 - 1);
  drawText(painter, m_style.label, m_style.text, {panel.plot.left() - panel.left + kEdge + capHeight(m_style.label), y},
           Anchor::Centre, title, true);
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
  const auto mark = [&](double from, double step) {
    painter.drawPolygon(QPolygonF({{middle - 3 * s.unit, from + 1.2 * step},
                                   {middle + 3 * s.unit, from + 1.2 * step},
                                   {middle, from + 5.5 * step}}));
  };
  if (panel.clippedHigh) mark(area.top(), -s.unit);
  if (panel.clippedLow) mark(area.bottom(), s.unit);
  const std::vector<double> ticks =
      barTicks(panel, std::clamp(static_cast<int>(area.height() / (2.2 * s.tickHeight)), 2, 6));
  const QStringList labels = barLabels(panel, ticks);
  double widest = 0;
  double last = area.bottom() + 100;
  for (std::size_t t = 0; t < ticks.size(); ++t) {
    const double y = area.bottom() - panel.scale.position(ticks[t]) * area.height();
    if (std::abs(last - y) < s.tickHeight * 1.05) continue;
    last = y;
    painter.setPen(QPen(s.frame, s.line));
    painter.drawLine(QPointF(area.right(), y), QPointF(area.right() + s.tickLength, y));
    const QString& label = labels[static_cast<qsizetype>(t)];
    drawText(painter, s.tick, s.text, {area.right() + s.tickLength + s.gap, y + capHeight(s.tick) / 2}, Anchor::Left,
             label);
    widest = std::max(widest, textWidth(s.tick, label));
  }
  QStringList titles;
  for (const std::string& text : {panel.data->value_title, panel.data->value_brief}) {
    if (text.empty()) continue;
    QString title = subscripted(q(text));
    title[0] = title[0].toUpper();
    if (panel.scale.scale() == ColourScale::Log) title += tr(" (log)");
    if (panel.scale.scale() == ColourScale::Sqrt) title += tr(" (sqrt)");
    titles << title;
  }
  if (titles.isEmpty()) return;
  titles << titles.last().section(QLatin1String(" ("), 0, 0);
  const QString title = fitted(s.label, titles, area.height() + 1.6 * s.labelHeight);
  const double x = area.right() + s.tickLength + s.gap + widest + 3 * s.unit + capHeight(s.label) + 1;
  // Above the middle of the bar, but on the page.
  const double half = textWidth(s.label, title) / 2 + 1;
  const double y = std::clamp(area.center().y(), half, std::max(half, m_size.height() - half));
  drawText(painter, s.label, s.text, {x, y}, Anchor::Centre, title, true);
}

}  // namespace dhsa
