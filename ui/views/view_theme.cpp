#include "ui/views/view_theme.h"

#include <cmath>

#include "ui/plot/colour_map.h"

namespace dhsa {

QColor mixed(const QColor& a, const QColor& b, double share_of_b) {
  const auto mix = [&](int from, int to) { return static_cast<int>(std::lround(from + (to - from) * share_of_b)); };
  return {mix(a.red(), b.red()), mix(a.green(), b.green()), mix(a.blue(), b.blue()), mix(a.alpha(), b.alpha())};
}

ViewTheme ViewTheme::of(const QPalette& palette) {
  ViewTheme theme;
  theme.window = palette.color(QPalette::Window);
  theme.dark = theme.window.lightness() < 128;
  theme.plot = palette.color(QPalette::Base);
  theme.text = palette.color(QPalette::WindowText);
  theme.quiet = mixed(theme.text, theme.window, 0.3);
  theme.frame = mixed(theme.text, theme.window, 0.55);
  theme.grid = theme.dark ? QColor(255, 255, 255, 70) : QColor(255, 255, 255, 95);
  theme.neutral = theme.dark ? QColor(47, 51, 60) : QColor(228, 232, 240);
  theme.hatch = theme.dark ? QColor(62, 67, 79) : QColor(208, 214, 226);
  theme.selection = QColor::fromRgb(theme.dark ? 0xffff6f61 : okabe_ito::vermilion);
  theme.chunkTint[0] = theme.dark ? QColor(74, 105, 150) : QColor(146, 180, 222);
  theme.chunkTint[1] = theme.dark ? QColor(122, 98, 66) : QColor(236, 206, 150);
  theme.seriesA = QColor::fromRgb(theme.dark ? okabe_ito::skyBlue : okabe_ito::blue);
  theme.seriesB = QColor::fromRgb(theme.dark ? okabe_ito::orange : 0xffc77700);
  return theme;
}

}  // namespace dhsa
