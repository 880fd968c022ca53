// Colour maps, value scales and ranges of maps; colours that tell kinds of things apart.
#pragma once

#include <QColor>
#include <QCoreApplication>
#include <QImage>
#include <QString>
#include <array>
#include <span>
#include <vector>

#include "core/analysis/pyramid.h"

namespace dhsa {

enum class ColourMapId { Viridis, Cividis, Magma, Grey, GreyReversed, Diverging, Mask };
enum class ColourScale { Linear, Log, Sqrt };
enum class RangeMode { MinMax, Percentile, VisibleArea, Manual };

// 256 colours from low to high.
class ColourMap {
  Q_DECLARE_TR_FUNCTIONS(ColourMap)
 public:
  // `dark` matters to the diverging map, whose middle is then near black, so that zero stays quiet on a dark window,
  // and to that of masks, from dropped to kept.
  explicit ColourMap(ColourMapId id, bool dark = false);
  [[nodiscard]] QRgb at(double position) const;  // position in [0, 1]
  [[nodiscard]] const std::array<QRgb, 256>& table() const { return m_table; }

  [[nodiscard]] static std::span<const ColourMapId> all();  // for values: not that of masks
  [[nodiscard]] static QString name(ColourMapId id);        // for people, translated
  [[nodiscard]] static QString key(ColourMapId id);         // for files: "viridis", ...
  [[nodiscard]] static ColourMapId fromKey(const QString& key, ColourMapId otherwise = ColourMapId::Viridis);

 private:
  std::array<QRgb, 256> m_table{};
};

// Okabe and Ito's colours, told apart by people with any colour vision.
namespace okabe_ito {
inline constexpr QRgb black = 0xff000000;
inline constexpr QRgb orange = 0xffe69f00;
inline constexpr QRgb skyBlue = 0xff56b4e9;
inline constexpr QRgb bluishGreen = 0xff009e73;
inline constexpr QRgb yellow = 0xfff0e442;
inline constexpr QRgb blue = 0xff0072b2;
inline constexpr QRgb vermilion = 0xffd55e00;
inline constexpr QRgb reddishPurple = 0xffcc79a7;
}  // namespace okabe_ito

// How a map turns values into colours; what a person sets.
struct ColourSettings {
  ColourMapId map = ColourMapId::Viridis;
  ColourScale scale = ColourScale::Linear;
  RangeMode range = RangeMode::MinMax;
  double percentileLow = 1;
  double percentileHigh = 99;
  double manualLow = 0;
  double manualHigh = 1;
  bool operator==(const ColourSettings&) const = default;
  // What suits a kind of matrix before a person chose anything.
  [[nodiscard]] static ColourSettings forKind(MatrixSource::Kind kind);
};

// Position of a value between the colours' ends.
class ValueScale {
 public:
  ValueScale() = default;
  // With `diverging` the range is made symmetric about 0, which falls on the middle of the map. A logarithmic scale
  // needs a positive low end: below 1e-5 of the high end it is raised to that.
  ValueScale(ColourScale scale, double low, double high, bool diverging);
  [[nodiscard]] double low() const { return m_low; }
  [[nodiscard]] double high() const { return m_high; }
  [[nodiscard]] ColourScale scale() const { return m_scale; }
  [[nodiscard]] bool diverging() const { return m_diverging; }
  [[nodiscard]] double position(double value) const;  // clamped to [0, 1]; NaN stays NaN
  [[nodiscard]] double value(double position) const;
  [[nodiscard]] std::vector<double> ticks(int about) const;  // round values inside the range
  // Colours of width*height values; NaN becomes transparent. Reuses the image's memory where it can.
  void colour(std::span<const float> values, int width, int height, const ColourMap& map, QImage& image) const;

 private:
  ColourScale m_scale = ColourScale::Linear;
  double m_low = 0;
  double m_high = 1;
  bool m_diverging = false;
};

struct ValueRange {
  double low = 0;
  double high = 1;
};
// Of the finite values; percentiles in [0, 100]. {0, 1} where there is none.
[[nodiscard]] ValueRange rangeOf(std::span<const float> values, double percentileLow = 0, double percentileHigh = 100);

}  // namespace dhsa
