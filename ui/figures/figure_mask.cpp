// Masks as shapes.
#include <algorithm>
#include <cmath>
#include <map>

#include "ui/figures/figure_drawing.h"

namespace dhsa {
namespace {

constexpr double kLeastStep = 0.25;  // points; rows thinner than this have a slanted edge

struct Place {
  const Viewport& view;
  const QRectF& plot;
  [[nodiscard]] double x(double key) const {
    return plot.left() + (key - view.key_begin) / (view.key_end - view.key_begin) * plot.width();
  }
  [[nodiscard]] double y(double row) const {
    return plot.top() + (row - view.row_begin) / (view.row_end - view.row_begin) * plot.height();
  }
};

// Rows [from, to) see keys [begin, end) as far as causality and the window allow: one closed outline.
void addBand(QPainterPath& path, const Place& place, double from, double to, double begin, double end, double window) {
  from = std::max(from, std::max(begin, place.view.row_begin));
  to = std::min(to, place.view.row_end);
  if (window > 0) to = std::min(to, end + window - 1);
  if (from >= to || begin >= end) return;
  const double rowHeight = place.plot.height() / (place.view.row_end - place.view.row_begin);
  const auto right = [&](double row) { return std::min(end, row + 1); };
  const auto left = [&](double row) { return window > 0 ? std::max(begin, row + 1 - window) : begin; };
  const bool cut = right(from) < end || left(to - 1) > begin;
  if (!cut) {
    path.addRect(QRectF(QPointF(place.x(begin), place.y(from)), QPointF(place.x(end), place.y(to))));
    return;
  }
  QPolygonF outline;
  if (rowHeight >= kLeastStep) {
    std::vector<QPointF> back;
    for (double row = from; row < to; ++row) {
      outline << QPointF(place.x(right(row)), place.y(row)) << QPointF(place.x(right(row)), place.y(row + 1));
      back.emplace_back(place.x(left(row)), place.y(row));
      back.emplace_back(place.x(left(row)), place.y(row + 1));
    }
    for (auto at = back.rbegin(); at != back.rend(); ++at) outline << *at;
  } else {
    // Half a cell off the steps on both sides, so that areas stay right.
    const auto slantRight = [&](double row) { return std::clamp(row + 0.5, begin, end); };
    const auto slantLeft = [&](double row) { return window > 0 ? std::clamp(row + 0.5 - window, begin, end) : begin; };
    std::vector<double> rows = {from, to};
    for (const double row : {end - 0.5, begin + window - 0.5}) {
      if (row > from && row < to) rows.push_back(row);
    }
    std::sort(rows.begin(), rows.end());
    for (const double row : rows) outline << QPointF(place.x(slantRight(row)), place.y(row));
    for (auto row = rows.rbegin(); row != rows.rend(); ++row)
      outline << QPointF(place.x(slantLeft(*row)), place.y(*row));
  }
  path.addPolygon(outline);
  path.closeSubpath();
}

}  // namespace

QPainterPath causalPath(std::int64_t window, const Viewport& view, const QRectF& plot, std::int64_t skipKeys,
                        std::int64_t tokens) {
  QPainterPath path;
  path.setFillRule(Qt::WindingFill);
  const auto begin = std::max(static_cast<double>(skipKeys), view.key_begin);
  addBand(path, {view, plot}, 0, static_cast<double>(tokens), begin, view.key_end, static_cast<double>(window));
  return path;
}

QPainterPath maskPath(const KeyMask& mask, int list, const Viewport& view, const QRectF& plot, std::int64_t skipKeys,
                      int most, int& shapes) {
  QPainterPath path;
  path.setFillRule(Qt::WindingFill);
  shapes = 0;
  // Ranges that go on unchanged in the next group become one shape.
  std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> open;  // range -> first row
  const Place place{view, plot};
  const auto window = static_cast<double>(mask.window());
  const auto emit = [&](const std::pair<std::int32_t, std::int32_t>& range, std::int32_t from, std::int32_t to) {
    const double begin = std::max({static_cast<double>(range.first), static_cast<double>(skipKeys), view.key_begin});
    const double end = std::min(static_cast<double>(range.second), view.key_end);
    if (begin >= end || to <= view.row_begin || from >= view.row_end) return;
    addBand(path, place, from, to, begin, end, window);
    ++shapes;
  };
  const auto edges = mask.group_rows();
  for (std::int64_t group = 0; group < mask.groups(); ++group) {
    const std::int32_t row = edges[static_cast<std::size_t>(group)];
    std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> next;
    for (const KeyRange& range : mask.ranges(list, group)) {
      const std::pair key{range.begin, range.end};
      const auto found = open.find(key);
      next[key] = found == open.end() ? row : found->second;
      if (found != open.end()) open.erase(found);
    }
    for (const auto& [range, from] : open) emit(range, from, row);
    if (shapes > most) return {};
    open = std::move(next);
  }
  for (const auto& [range, from] : open) emit(range, from, edges.back());
  return shapes > most ? QPainterPath() : path;
}

}  // namespace dhsa
