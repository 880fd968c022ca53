// Light, dark or the system's palette, and the colours that mean something. Meaning is never told by colour alone:
// whoever paints a category also gives it a pattern, a weight or a lightness of its own.
#pragma once

#include <QColor>
#include <QPalette>
#include <array>

#include "core/model/observer.h"
#include "ui/views/view_theme.h"

class QWidget;

namespace dhsa {

enum class Theme : std::uint8_t { kSystem, kLight, kDark };

void applyTheme(Theme theme);  // Fusion style for all; call again at any time
[[nodiscard]] bool isDark(const QPalette& palette);

struct Colours {
  explicit Colours(const QPalette& palette);
  QColor chunkTint[2];  // backgrounds of alternating chunks
  QColor chunkRule;     // line at a chunk's beginning
  QColor kept;          // keys a row keeps (blue)
  QColor dropped;       // keys it drops (grey)
  QColor important;     // dropped though important (vermilion)
  QColor importance;    // shading by a token's importance
  QColor accent;
  QColor faint;  // secondary text
  QColor grid;   // hairlines and empty bars
  QColor warning;
  std::array<QColor, kStageCount> stage;  // Okabe-Ito, in the order of Stage
};

}  // namespace dhsa
