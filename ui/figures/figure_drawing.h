// One figure laid out and drawn: the same code for the screen, PDF, SVG and PNG. The painter's unit is the PDF point
// and its device has to have 72 logical dots per inch, so that type comes out at its size.
#pragma once

#include <QCoreApplication>
#include <QPainterPath>
#include <QRectF>
#include <QSizeF>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "core/figures/figure_data.h"
#include "ui/figures/figure_style.h"
#include "ui/plot/colour_map.h"

namespace dhsa {

class FigureDrawing {
  Q_DECLARE_TR_FUNCTIONS(FigureDrawing)
 public:
  // Throws Error where the panels do not fit on the width, or the font is not installed. `data` has to live on.
  FigureDrawing(const FigureData& data, const FigureSpec& spec);
  [[nodiscard]] QSizeF size() const { return m_size; }  // PDF points
  void draw(QPainter& painter) const;
  [[nodiscard]] nlohmann::json describe() const;  // {"page": ..., "panels": [...]}

 private:
  using Form = FigureKindInfo::Form;
  static constexpr double kEdge = 0.015 * 72;    // left free around everything
  static constexpr double kBetween = 8;          // between panels and before colour bars; times the style's unit
  static constexpr double kBarThickness = 7;     // times the style's unit
  static constexpr double kLongestTurned = 130;  // likewise; longer names of columns are cut
  struct Panel {
    const FigurePanelData* data = nullptr;
    Form form = Form::kMatrix;
    int row = 0;
    int column = 0;
    bool yLabels = true;  // tick labels and title on this panel
    bool xLabels = true;
    double left = 0, right = 0, top = 0, bottom = 0;  // around the plot
    double turned = 0;                                // height of column names that stand upright
    QRectF plot;
    bool ownBar = false;  // a colour bar beside it; else none, or a shared one
    QRectF bar;
    // Of a matrix.
    Viewport view;
    SampleGrid grid;
    QPainterPath kept;  // the mask as merged shapes; empty: a picture
    int shapes = 0;
    // Of what is coloured.
    bool coloured = false;
    ColourMapId mapId = ColourMapId::Viridis;
    ValueScale scale;
    bool clippedLow = false, clippedHigh = false;
    int group = -1;  // panels of one quantity
  };

  void arrange();
  void measure(Panel& panel) const;  // what lies around its plot
  void place();
  void sample();
  void chooseScales();
  [[nodiscard]] std::vector<double> rangeValues(const Panel& panel) const;
  [[nodiscard]] double heightOf(const Panel& panel, double width) const;  // of its plot, before any squeezing
  [[nodiscard]] static QString columnLabel(const std::string& name);      // of cells
  // What words below columns of cells take where they have to stand upright on a plot of this width; 0: they lie.
  [[nodiscard]] double turnedHeight(const Panel& panel, double width) const;
  [[nodiscard]] double barWidth(const Panel& panel) const;
  [[nodiscard]] std::vector<double> barTicks(const Panel& panel, int about) const;
  [[nodiscard]] QStringList barLabels(const Panel& panel, const std::vector<double>& ticks) const;
  [[nodiscard]] bool legendInside(const Panel& panel) const;
  [[nodiscard]] bool hasHeader() const;

  // Curves of several methods under several settings are told apart by both, each with entries of its own.
  struct LegendEntry {
    QString text;
    CurveStyle style;
    bool line = true;
  };
  [[nodiscard]] std::vector<CurveStyle> curveStyles(const Panel& panel) const;
  [[nodiscard]] std::vector<std::vector<LegendEntry>> legendRows(const Panel& panel, double width) const;
  [[nodiscard]] bool sharesLegend() const;  // all panels have the same curves
  void drawLegend(QPainter& painter, const Panel& panel, QPointF topLeft, double width) const;

  void drawHeader(QPainter& painter, const Panel& panel, std::size_t index) const;
  void drawMatrix(QPainter& painter, const Panel& panel) const;
  void drawMatrixAxes(QPainter& painter, const Panel& panel) const;
  void drawMaskLegend(QPainter& painter, const Panel& panel) const;
  void drawCells(QPainter& painter, const Panel& panel) const;
  void drawStrips(QPainter& painter, const Panel& panel) const;
  void drawBars(QPainter& painter, const Panel& panel) const;
  void drawCurves(QPainter& painter, const Panel& panel) const;
  void drawYTitle(QPainter& painter, const Panel& panel, const QStringList& titles) const;  // the first that fits
  void drawBar(QPainter& painter, const Panel& panel, const QRectF& area) const;

  // One strip of token importance.
  struct Strip {
    QString name, brief;
    ValueScale scale;
    std::vector<double> ticks;
    QStringList labels;
  };
  [[nodiscard]] std::pair<double, double> stripTokens(const Panel& panel) const;  // first and one past the last
  [[nodiscard]] Strip strip(const Panel& panel, std::size_t index, double height) const;

  // Axes of plots with numbers on both sides.
  struct Axis {
    double low = 0, high = 1;
    bool log = false;
    std::vector<double> ticks;
    [[nodiscard]] double share(double value) const;
  };
  [[nodiscard]] double axisHeight() const;  // of ticks, their labels and the title below a plot
  [[nodiscard]] Axis xAxis(const Panel& panel) const;
  [[nodiscard]] Axis yAxis(const Panel& panel) const;
  void drawAxes(QPainter& painter, const Panel& panel, const Axis& x, const Axis& y) const;

  FigureSpec m_spec;
  FigureStyle m_style;
  std::vector<Panel> m_panels;
  int m_rows = 1;
  int m_columns = 1;
  bool m_oneBar = false;
  QRectF m_sharedBar;
  QSizeF m_size;
  QStringList m_title;  // lines
  QPointF m_legend;     // of all panels
};

// The mask of one list inside `view`, on a plot of `plot`, as one path of merged rectangles; where the diagonal or the
// window's edge crosses them, steps of single rows, or slanted edges where a row is thinner than 0.25 pt. `shapes` is
// their number. An empty path: more than `most` shapes.
[[nodiscard]] QPainterPath maskPath(const KeyMask& mask, int list, const Viewport& view, const QRectF& plot,
                                    std::int64_t skipKeys, int most, int& shapes);
// The causal band of the view, shown the same way.
[[nodiscard]] QPainterPath causalPath(std::int64_t window, const Viewport& view, const QRectF& plot,
                                      std::int64_t skipKeys, std::int64_t tokens);

}  // namespace dhsa
