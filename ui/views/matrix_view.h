// One attention-sized matrix to look around in: zoom, pan, crosshair with exact values, selection, comparison of two.
// Knows no engine: it is given sources, boundaries and a function that names tokens. View rectangles are in tokens,
// x and width over keys, y and height over query rows.
#pragma once

#include <QElapsedTimer>
#include <QRectF>
#include <QThreadPool>
#include <QTimer>
#include <QWidget>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ui/views/matrix_axes.h"
#include "ui/views/matrix_picture.h"

namespace dhsa {

struct MatrixCell {
  qint64 row = -1;
  qint64 key = -1;
  bool operator==(const MatrixCell&) const = default;
  [[nodiscard]] bool valid() const { return row >= 0 && key >= 0; }
};

struct KeySpan {
  qint64 begin = 0;
  qint64 end = 0;
  bool operator==(const KeySpan&) const = default;
  [[nodiscard]] bool empty() const { return begin >= end; }
};

class MatrixView : public QWidget {
  Q_OBJECT
 public:
  using Boundaries = std::shared_ptr<const std::vector<std::int32_t>>;
  using TokenText = std::function<QString(qint64)>;

  explicit MatrixView(QWidget* parent = nullptr);
  ~MatrixView() override;

  // New contents keep zoom and selection where the number of tokens stays the same.
  void setLayers(MatrixLayer a, MatrixLayer b = {});
  void setBoundaries(Boundaries boundaries);  // chunk boundaries b_0 = 0 ... b_Nc = L, or null
  void setWindow(qint64 window);              // of a local layer, for the chunk grid; 0: global
  void setTokenText(TokenText text);
  void setBusy(bool busy, const QString& what = {});  // dims the old picture while new work runs

  [[nodiscard]] CompareMode compareMode() const { return m_mode; }
  [[nodiscard]] Reducer reducer() const { return m_reducer; }
  [[nodiscard]] const ColourSettings& colours() const { return m_colours; }
  [[nodiscard]] qint64 skipKeys() const { return m_skipKeys; }
  [[nodiscard]] double splitPosition() const { return m_split; }
  void setCompareMode(CompareMode mode);
  void setReducer(Reducer reducer);
  void setColours(const ColourSettings& settings);
  void setSkipKeys(qint64 keys);        // leave out the first n keys
  void setSplitPosition(double share);  // of the plot's width, [0, 1]
  void setSquare(bool square);          // equal scales, or fill the widget
  void setStripsVisible(bool visible);
  void setChunksVisible(bool visible);  // grid lines and bands
  void setMinimapVisible(bool visible);

  [[nodiscard]] qint64 tokens() const;
  [[nodiscard]] QRectF view() const { return m_view; }
  void setView(const QRectF& view);  // clamped to the matrix; emits viewChanged where it changes something
  // The same while a hand moves it: coarser where full resolution would not keep up, full once it rests.
  void moveView(const QRectF& view);
  void fitView();
  void zoom(double factor, QPointF centre);  // factor > 1 zooms in; `centre` in widget pixels stays where it is
  void ensureVisible(MatrixCell cell);

  [[nodiscard]] qint64 selectedRow() const { return m_selectedRow; }
  [[nodiscard]] KeySpan selectedKeys() const { return m_selectedKeys; }
  [[nodiscard]] MatrixCell cursor() const { return m_cursor; }
  // Setters for what is shared with other views: they emit nothing.
  void setSelectedRow(qint64 row);  // -1: none
  void setSelectedKeys(KeySpan keys);
  void setCrosshair(MatrixCell cell);                // invalid: none
  void setMarks(const std::vector<qint64>& tokens);  // pointed at from the edges of the plot
  [[nodiscard]] MatrixCell crosshair() const { return m_crosshair; }

  [[nodiscard]] std::optional<MatrixCell> cellAt(QPointF position) const;  // of any panel
  [[nodiscard]] QRectF cellRect(MatrixCell cell, int panel = 0) const;     // widget pixels
  // The plot in widget pixels. Its edges lie on device pixels, so that every sample is painted on exactly one.
  [[nodiscard]] QRectF plotRect(int panel = 0) const;
  [[nodiscard]] QString describe(MatrixCell cell) const;  // one line: tokens, exact values
  [[nodiscard]] QString reducerText() const;              // "1 px: max of 16×16 pairs"
  [[nodiscard]] bool isAtRest() const;                    // what is painted will not get finer by itself

  [[nodiscard]] QSize sizeHint() const override { return {820, 720}; }
  [[nodiscard]] QSize minimumSizeHint() const override { return {240, 220}; }

 Q_SIGNALS:
  void rowSelected(qint64 row);                     // -1: none
  void keyRangeSelected(qint64 begin, qint64 end);  // empty: none
  void hovered(qint64 row, qint64 key);             // -1, -1: pointer left
  void viewChanged(const QRectF& view);
  void statusText(const QString& text);
  void splitPositionChanged(double share);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void changeEvent(QEvent* event) override;
  bool event(QEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void focusInEvent(QFocusEvent* event) override;
  void focusOutEvent(QFocusEvent* event) override;

 private:
  enum class Drag { None, MayPan, Pan, Range, Split, Minimap };
  [[nodiscard]] CompareMode mode() const { return m_picture.effectiveMode(m_mode); }
  [[nodiscard]] AxisMap keyMap(int panel) const;
  [[nodiscard]] AxisMap rowMap(int panel) const;
  [[nodiscard]] Viewport viewport() const;
  [[nodiscard]] QRect deviceRect(const QRect& area) const;  // rounded to device pixels
  [[nodiscard]] QSize sampleSize() const;
  [[nodiscard]] int panelAt(QPointF position) const;  // -1: none
  [[nodiscard]] double keyAt(QPointF position, int panel) const;
  [[nodiscard]] double rowAt(QPointF position, int panel) const;
  [[nodiscard]] QRectF clampedView(QRectF view) const;

  void refreshGeometry();
  void refresh();  // samples, colours and still parts, as far as they are out of date
  void drawStill();
  [[nodiscard]] QImage stillPixels();  // m_still's memory without its scale factor
  void drawImages();
  void drawMinimap(QPainter& painter);
  void drawOverlay(QPainter& painter) const;
  void drawMarks(QPainter& painter, int panel) const;
  void notice(QPainter& painter, const QRectF& plot, const QString& words) const;
  void drawTitles(QPainter& painter) const;
  void startRefining();
  void stopRefining();
  void touchSamples();  // something that needs new samples changed
  void touchColours();
  void touchStill();
  void interact();                                   // coarse while moving, full afterwards
  [[nodiscard]] int coarseness(QSize device) const;  // pixels per sample, along each axis

  void hoverAt(QPointF position);
  void showCrosshair(MatrixCell cell);
  void moveCursor(qint64 rows, qint64 keys, bool extend);
  void selectRow(qint64 row);
  void selectKeys(KeySpan keys);
  void say(MatrixCell cell);
  void sayAgain();  // its value may be another; nothing where another view has the pointer

  MatrixPicture m_picture;
  Boundaries m_boundaries;
  TokenText m_tokenText;
  qint64 m_window = 0;
  CompareMode m_mode = CompareMode::A;
  Reducer m_reducer = Reducer::kMax;
  ColourSettings m_colours;
  qint64 m_skipKeys = 0;
  double m_split = 0.5;
  bool m_square = true;
  bool m_strips = true;
  bool m_chunks = true;
  bool m_minimap = true;
  bool m_busy = false;
  QString m_busyText;

  QRectF m_view;
  qint64 m_selectedRow = -1;
  KeySpan m_selectedKeys;
  MatrixCell m_crosshair;
  std::vector<qint64> m_marks;
  MatrixCell m_cursor;
  qint64 m_rangeAnchor = -1;

  MatrixGeometry m_geometry;
  ViewTheme m_theme;
  QImage m_still;
  QImage m_overview;
  bool m_samplesStale = true;
  bool m_coloursStale = true;
  bool m_stillStale = true;
  bool m_overviewStale = true;
  bool m_coarse = false;       // samples were taken at less than full resolution
  double m_sampleCost = 1e-5;  // milliseconds a sample, as measured
  double m_drawCost = 3;       // milliseconds to draw a picture once it is sampled
  QImage m_ground;             // what is not causal, behind the samples
  QTimer m_settle;
  QTimer m_refineDelay;

  Drag m_drag = Drag::None;
  QPointF m_pressed;
  QRectF m_pressedView;
  int m_pressedPanel = 0;

  QThreadPool m_pool;
  std::shared_ptr<CancelToken> m_refining;
};

}  // namespace dhsa
