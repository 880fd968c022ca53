// Everything around a matrix: where it goes, and how axes, chunk grid, colour bar and strips are drawn.
#pragma once

#include <QCoreApplication>
#include <QFont>
#include <QImage>
#include <QLineF>
#include <QPainter>
#include <QRect>
#include <QRectF>
#include <functional>
#include <span>
#include <vector>

#include "ui/views/matrix_picture.h"
#include "ui/views/view_theme.h"

namespace dhsa {

// One axis of a plot: tokens [begin, end) over pixels [low, high).
struct AxisMap {
  double begin = 0;
  double end = 1;
  double low = 0;
  double high = 1;
  [[nodiscard]] double toPixel(double token) const { return low + (token - begin) / (end - begin) * (high - low); }
  [[nodiscard]] double toToken(double pixel) const { return begin + (pixel - low) / (high - low) * (end - begin); }
  [[nodiscard]] double pixelsPerToken() const { return (high - low) / (end - begin); }
};

struct MatrixGeometry {
  int panels = 1;
  QRect title[2];
  QRect keyStrip[2];  // null where there is no room or strips are off
  QRect plot[2];
  QRect keyAxis[2];  // below the plot: chunk band, ticks, title
  QRect rowAxis;
  QRect rowStrip;
  QRect legend;   // beside the plot, or below two of them
  QRect minimap;  // in plot[0]
};

struct MatrixLayoutOptions {
  int panels = 1;
  bool square = true;
  bool strips = true;
  bool chunks = true;
  bool minimap = false;
};
[[nodiscard]] MatrixGeometry layoutMatrix(const QRect& area, const QFont& font, const MatrixLayoutOptions& options);
[[nodiscard]] QFont smallFont(const QFont& font);

struct AxisLabel {
  double place = 0;  // pixel of the tick
  QRectF box;
  QString text;
};

// Draws onto one painter with one theme and font.
class MatrixAxes {
  Q_DECLARE_TR_FUNCTIONS(MatrixAxes)
 public:
  // `pixels`: the RGB32 image behind the painter, if any; the many lines of a grid are blended into it directly, which
  // takes a tenth of the time.
  MatrixAxes(QPainter& painter, const ViewTheme& theme, const QFont& font, QImage* pixels = nullptr)
      : m_painter(painter), m_theme(theme), m_font(font), m_small(smallFont(font)), m_pixels(pixels) {}
  // Texts of the tokens: written along the axes, in place of numbers, once every token has room for its own.
  void setWords(std::function<QString(qint64)> words) { m_words = std::move(words); }

  [[nodiscard]] std::vector<AxisLabel> keyLabels(const QRect& area, const AxisMap& axis, bool band) const;
  [[nodiscard]] std::vector<AxisLabel> rowLabels(const QRect& area, const AxisMap& axis, bool band) const;
  void keyAxis(const QRect& area, const AxisMap& axis, std::span<const std::int32_t> boundaries, bool band,
               const QString& title = {}) const;
  void rowAxis(const QRect& area, const AxisMap& axis, std::span<const std::int32_t> boundaries, bool band) const;
  // Lines at chunk boundaries, inside the causal band only; nothing where they would be too dense to tell apart.
  void chunkGrid(const QRect& plot, const AxisMap& keys, const AxisMap& rows, std::span<const std::int32_t> boundaries,
                 std::int64_t window) const;
  void cellGrid(const QRect& plot, const AxisMap& keys, const AxisMap& rows) const;
  struct Series {
    std::span<const float> values;  // one per device pixel along the strip
    QColor colour;
    bool filled = true;
    Qt::PenStyle style = Qt::SolidLine;
  };
  // `scale` bends heights as it bends colours, unless values are negative. Strips that are `sharing` have one range,
  // written at the first of them.
  void strip(const QRect& area, Qt::Orientation along, std::span<const Series> series,
             ColourScale scale = ColourScale::Linear, std::span<const Series> sharing = {}) const;
  // Upright, or lying where the area is flat.
  void colourBar(const QRect& area, const MatrixPicture& picture, CompareMode mode, const QString& unit) const;
  // A label on coloured ground; axis labels it would half cover are hidden whole.
  void tag(QPointF at, Qt::Alignment side, const QString& text, const QColor& colour,
           std::span<const AxisLabel> hidden = {}) const;

 private:
  [[nodiscard]] bool wordsFit(const AxisMap& axis) const;
  void keyWords(const QRectF& area, const AxisMap& axis) const;
  void rowWords(const QRectF& area, const AxisMap& axis) const;
  [[nodiscard]] static QString barWords(const ValueScale& scale, const QString& unit);
  void flatColourBar(const QRect& area, const MatrixPicture& picture, CompareMode mode, const QString& unit) const;
  void chunkBand(double length, double depth, const AxisMap& axis, std::span<const std::int32_t> boundaries) const;
  void gridLines(const QRect& plot, std::span<const QLineF> lines, const QColor& colour) const;
  void swatch(const QRectF& box, const QBrush& fill, int hatch) const;
  QPainter& m_painter;
  const ViewTheme& m_theme;
  QFont m_font;
  QFont m_small;
  QImage* m_pixels;
  std::function<QString(qint64)> m_words;
};

}  // namespace dhsa
