#include "ui/plot/curve_style.h"

#include <QPolygonF>
#include <algorithm>
#include <array>

#include "ui/plot/colour_map.h"

namespace dhsa {
namespace {

struct Entry {
  QRgb light;  // on light ground
  QRgb dark;   // on dark ground
  Qt::PenStyle line;
  int marker;
};

// In the order of all_methods(); the last two are for those to come. Dense, the first, has the ground's ink.
constexpr std::array<Entry, 8> kEntries = {{{okabe_ito::black, 0xffffffff, Qt::SolidLine, 1},
                                            {okabe_ito::bluishGreen, 0xff2bbf94, Qt::DashDotLine, 3},
                                            {okabe_ito::orange, okabe_ito::orange, Qt::DashLine, 2},
                                            {okabe_ito::reddishPurple, okabe_ito::reddishPurple, Qt::DotLine, 4},
                                            {okabe_ito::vermilion, 0xfff07b2c, Qt::DashDotDotLine, 5},
                                            {okabe_ito::blue, okabe_ito::skyBlue, Qt::SolidLine, 0},
                                            {okabe_ito::skyBlue, okabe_ito::blue, Qt::DashLine, 7},
                                            {0xff8a7a00, okabe_ito::yellow, Qt::DashDotLine, 8}}};
constexpr std::array kLines = {Qt::SolidLine, Qt::DashLine, Qt::DashDotLine, Qt::DotLine, Qt::DashDotDotLine};

std::size_t placeOf(Method method) {
  const auto all = all_methods();
  return static_cast<std::size_t>(std::find(all.begin(), all.end(), method) - all.begin());
}

// The same hue, further from the ground's colour for every second setting and nearer to it for the others.
QColor shade(const QColor& colour, int setting) {
  if (setting % 3 == 0) return colour;
  return setting % 3 == 1 ? colour.darker(150) : colour.lighter(145);
}

}  // namespace

CurveStyle curveStyle(Method method, int setting, const Ground& ground) {
  const std::size_t place = placeOf(method);
  const Entry& entry = kEntries[place % kEntries.size()];
  const QColor colour = place == 0 ? ground.ink : QColor::fromRgb(ground.dark ? entry.dark : entry.light);
  const auto line = std::find(kLines.begin(), kLines.end(), entry.line) - kLines.begin();
  const auto n = static_cast<std::size_t>(setting);
  // Three and ten have no common divisor: ten settings have ten markers.
  return {shade(colour, setting), kLines[(static_cast<std::size_t>(line) + n) % kLines.size()],
          (entry.marker + 3 * setting) % kMarkers};
}

CurveStyle curveStyle(std::size_t index) {
  // Blue first, as no method is meant.
  constexpr std::array<std::size_t, 7> order = {0, 5, 4, 1, 3, 2, 6};
  return {QColor::fromRgb(kEntries[order[index % order.size()]].light), kLines[(index / 2) % kLines.size()],
          static_cast<int>(index % kMarkers)};
}

std::optional<Method> methodNamed(const std::string& name) {
  const std::string base = name.substr(0, name.find('+'));
  for (const Preset& preset : presets()) {
    if (preset.name == base) return preset.parameters.method;
  }
  for (const Method method : all_methods()) {
    if (base == name_of(method)) return method;
  }
  return std::nullopt;
}

void drawMarker(QPainter& painter, int marker, QPointF at, double size, const QColor& colour) {
  const double r = size / 2;
  if (marker < 0) return;
  painter.save();
  painter.setBrush(marker >= kMarkers / 2 ? QBrush(Qt::white) : QBrush(colour));
  painter.setPen(QPen(colour, size * 0.16));
  switch (marker % (kMarkers / 2)) {
    case 0:
      painter.drawEllipse(at, r, r);
      break;
    case 1:
      painter.drawRect(QRectF(at.x() - 0.9 * r, at.y() - 0.9 * r, 1.8 * r, 1.8 * r));
      break;
    case 2:
      painter.drawPolygon(QPolygonF(
          {{at.x(), at.y() - 1.15 * r}, {at.x() + 1.1 * r, at.y() + 0.8 * r}, {at.x() - 1.1 * r, at.y() + 0.8 * r}}));
      break;
    case 3:
      painter.drawPolygon(QPolygonF({{at.x(), at.y() - 1.25 * r},
                                     {at.x() + 1.25 * r, at.y()},
                                     {at.x(), at.y() + 1.25 * r},
                                     {at.x() - 1.25 * r, at.y()}}));
      break;
    default:
      painter.drawPolygon(QPolygonF(
          {{at.x(), at.y() + 1.15 * r}, {at.x() + 1.1 * r, at.y() - 0.8 * r}, {at.x() - 1.1 * r, at.y() - 0.8 * r}}));
  }
  painter.restore();
}

}  // namespace dhsa
