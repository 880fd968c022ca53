// State and sampling; matrix_view_paint.cpp paints, matrix_view_input.cpp has mouse, keyboard and speech.
#include "ui/views/matrix_view.h"

#include <QEvent>
#include <algorithm>
#include <cmath>

#include "ui/views/spoken_value.h"

namespace dhsa {

namespace {

constexpr double kLeastView = 8;  // tokens
constexpr double kFrame = 11;     // milliseconds of 16 for sampling and drawing, while the view moves
constexpr double kCoarsest = 4;   // pixels of the layout a sample, whatever the screen's scale

}  // namespace

MatrixView::MatrixView(QWidget* parent) : QWidget(parent) {
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setAttribute(Qt::WA_OpaquePaintEvent);
  setAccessibleName(tr("Attention matrix"));
  setAccessibleDescription(tr(
      "Query tokens down, key tokens across. Arrow keys move from cell to cell, plus and minus zoom, Home shows all."));
  setSpokenValue(this, tr("No cell"));
  m_theme = ViewTheme::of(palette());
  m_pool.setMaxThreadCount(1);
  m_pool.setExpiryTimeout(-1);
  m_settle.setSingleShot(true);
  m_settle.setInterval(120);
  connect(&m_settle, &QTimer::timeout, this, [this] {
    if (m_coarse) touchSamples();
  });
  m_refineDelay.setSingleShot(true);
  m_refineDelay.setInterval(60);
  connect(&m_refineDelay, &QTimer::timeout, this, &MatrixView::startRefining);
}

MatrixView::~MatrixView() {
  stopRefining();
  m_pool.waitForDone();
}

qint64 MatrixView::tokens() const { return m_picture.tokens(); }

void MatrixView::setLayers(MatrixLayer a, MatrixLayer b) {
  const qint64 before = tokens();
  const CompareMode shown = mode();
  const bool same = m_picture.layer(0).source == a.source && m_picture.layer(1).source == b.source;
  m_picture.setLayers(std::move(a), std::move(b));
  if (same && mode() == shown) {
    touchStill();  // titles
    return;
  }
  m_overviewStale = true;
  if (tokens() != before) {
    m_selectedRow = -1;
    m_selectedKeys = {};
    m_crosshair = m_cursor = {};
    m_view = {};
    fitView();
  }
  refreshGeometry();
  touchSamples();
  sayAgain();
}

void MatrixView::setBoundaries(Boundaries boundaries) {
  m_boundaries = std::move(boundaries);
  refreshGeometry();
  touchSamples();
}

void MatrixView::setWindow(qint64 window) {
  m_window = window;
  touchStill();
}

void MatrixView::setTokenText(TokenText text) {
  m_tokenText = std::move(text);
  touchStill();
}

void MatrixView::setBusy(bool busy, const QString& what) {
  m_busy = busy;
  m_busyText = what;
  update();
}

void MatrixView::setCompareMode(CompareMode mode) {
  if (m_mode == mode) return;
  m_mode = mode;
  m_overviewStale = true;
  refreshGeometry();
  touchSamples();
}

void MatrixView::setReducer(Reducer reducer) {
  if (m_reducer == reducer) return;
  m_reducer = reducer;
  m_overviewStale = true;
  touchColours();
  sayAgain();
}

void MatrixView::setColours(const ColourSettings& settings) {
  if (m_colours == settings) return;
  m_colours = settings;
  m_overviewStale = true;
  touchColours();
}

void MatrixView::setSkipKeys(qint64 keys) {
  keys = std::max<qint64>(0, keys);
  if (m_skipKeys == keys) return;
  m_skipKeys = keys;
  m_overviewStale = true;
  touchSamples();
}

void MatrixView::setSplitPosition(double share) {
  share = std::clamp(share, 0.0, 1.0);
  if (m_split == share) return;
  m_split = share;
  touchStill();
  Q_EMIT splitPositionChanged(share);
}

void MatrixView::setSquare(bool square) {
  if (m_square == square) return;
  m_square = square;
  refreshGeometry();
  setView(m_view);
  touchSamples();
}

void MatrixView::setStripsVisible(bool visible) {
  m_strips = visible;
  refreshGeometry();
  touchSamples();
}

void MatrixView::setChunksVisible(bool visible) {
  m_chunks = visible;
  refreshGeometry();
  touchSamples();
}

void MatrixView::setMinimapVisible(bool visible) {
  m_minimap = visible;
  refreshGeometry();
  touchStill();
}

QRectF MatrixView::clampedView(QRectF view) const {
  const auto whole = static_cast<double>(tokens());
  if (whole <= 0) return {};
  const double least = std::min(kLeastView, whole);
  double width = std::clamp(view.width(), least, whole);
  double height = std::clamp(view.height(), least, whole);
  if (m_square) width = height = std::max(width, height);
  const double x = std::clamp(view.x() + (view.width() - width) / 2, 0.0, whole - width);
  const double y = std::clamp(view.y() + (view.height() - height) / 2, 0.0, whole - height);
  return {x, y, width, height};
}

void MatrixView::setView(const QRectF& view) {
  const QRectF clamped = clampedView(view);
  if (clamped == m_view) return;
  m_view = clamped;
  refreshGeometry();
  touchSamples();
  Q_EMIT viewChanged(m_view);
}

void MatrixView::moveView(const QRectF& view) {
  setView(view);
  interact();
}

void MatrixView::fitView() {
  const auto whole = static_cast<double>(tokens());
  setView({0, 0, whole, whole});
}

void MatrixView::zoom(double factor, QPointF centre) {
  if (tokens() == 0) return;
  int panel = panelAt(centre);
  if (panel < 0) {
    panel = 0;
    centre = plotRect(0).center();
  }
  const double key = keyAt(centre, panel);
  const double row = rowAt(centre, panel);
  const auto whole = static_cast<double>(tokens());
  const double least = std::min(kLeastView, whole);
  const double width = std::clamp(m_view.width() / factor, least, whole);
  const double height = std::clamp(m_view.height() / factor, least, whole);
  const QRectF plot = plotRect(panel);
  moveView({key - (centre.x() - plot.left()) / plot.width() * width,
            row - (centre.y() - plot.top()) / plot.height() * height, width, height});
}

void MatrixView::ensureVisible(MatrixCell cell) {
  if (tokens() == 0) return;
  QRectF view = m_view;
  const auto shift = [](double at, double begin, double size) {
    const double margin = std::min(size / 8, 4.0);
    if (at < begin + margin) return at - margin - begin;
    if (at + 1 > begin + size - margin) return at + 1 + margin - begin - size;
    return 0.0;
  };
  if (cell.key >= 0) view.translate(shift(static_cast<double>(cell.key), view.x(), view.width()), 0);
  if (cell.row >= 0) view.translate(0, shift(static_cast<double>(cell.row), view.y(), view.height()));
  setView(view);
}

QRect MatrixView::deviceRect(const QRect& area) const {
  const double ratio = devicePixelRatioF();
  const auto pixel = [ratio](int edge) { return static_cast<int>(std::lround(edge * ratio)); };
  const QPoint corner(pixel(area.left()), pixel(area.top()));
  return {corner, QSize(pixel(area.right() + 1) - corner.x(), pixel(area.bottom() + 1) - corner.y())};
}

QRectF MatrixView::plotRect(int panel) const {
  const double ratio = devicePixelRatioF();
  const QRect device = deviceRect(m_geometry.plot[panel]);
  return {device.left() / ratio, device.top() / ratio, device.width() / ratio, device.height() / ratio};
}

AxisMap MatrixView::keyMap(int panel) const {
  const QRectF plot = plotRect(panel);
  return {m_view.left(), m_view.right(), plot.left(), plot.right()};
}

AxisMap MatrixView::rowMap(int panel) const {
  const QRectF plot = plotRect(panel);
  return {m_view.top(), m_view.bottom(), plot.top(), plot.bottom()};
}

Viewport MatrixView::viewport() const { return {m_view.top(), m_view.bottom(), m_view.left(), m_view.right()}; }

QSize MatrixView::sampleSize() const { return deviceRect(m_geometry.plot[0]).size().expandedTo({1, 1}); }

int MatrixView::panelAt(QPointF position) const {
  for (int panel = 0; panel < m_geometry.panels; ++panel)
    if (plotRect(panel).contains(position)) return panel;
  return -1;
}

double MatrixView::keyAt(QPointF position, int panel) const { return keyMap(panel).toToken(position.x()); }
double MatrixView::rowAt(QPointF position, int panel) const { return rowMap(panel).toToken(position.y()); }

std::optional<MatrixCell> MatrixView::cellAt(QPointF position) const {
  const int panel = panelAt(position);
  if (panel < 0 || tokens() == 0) return std::nullopt;
  return MatrixCell{std::clamp<qint64>(static_cast<qint64>(std::floor(rowAt(position, panel))), 0, tokens() - 1),
                    std::clamp<qint64>(static_cast<qint64>(std::floor(keyAt(position, panel))), 0, tokens() - 1)};
}

QRectF MatrixView::cellRect(MatrixCell cell, int panel) const {
  const AxisMap keys = keyMap(panel);
  const AxisMap rows = rowMap(panel);
  return QRectF(
      QPointF(keys.toPixel(static_cast<double>(cell.key)), rows.toPixel(static_cast<double>(cell.row))),
      QPointF(keys.toPixel(static_cast<double>(cell.key + 1)), rows.toPixel(static_cast<double>(cell.row + 1))));
}

void MatrixView::refreshGeometry() {
  MatrixLayoutOptions options;
  options.panels = mode() == CompareMode::SideBySide ? 2 : 1;
  options.square = m_square;
  options.strips = m_strips;
  options.chunks = m_chunks && m_boundaries != nullptr;
  const auto whole = static_cast<double>(tokens());
  options.minimap = m_minimap && whole > 0 && m_view.width() * m_view.height() < 0.8 * whole * whole;
  m_geometry = layoutMatrix(rect(), font(), options);
}

void MatrixView::touchSamples() {
  m_samplesStale = true;
  stopRefining();
  touchColours();
}

void MatrixView::touchColours() {
  m_coloursStale = true;
  touchStill();
}

void MatrixView::touchStill() {
  m_stillStale = true;
  update();
}

void MatrixView::interact() { m_settle.start(); }

int MatrixView::coarseness(QSize device) const {
  if (!m_settle.isActive()) return 1;
  const double full = m_sampleCost * device.width() * device.height() * m_geometry.panels;
  int step = 1;
  const double coarsest = kCoarsest * devicePixelRatioF();
  while (step < coarsest && full / (step * step) + m_drawCost > kFrame) ++step;
  return step;
}

void MatrixView::resizeEvent(QResizeEvent*) {
  refreshGeometry();
  touchSamples();
}

void MatrixView::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange ||
      event->type() == QEvent::StyleChange) {
    m_theme = ViewTheme::of(palette());
    m_ground = {};
    m_overviewStale = true;
    refreshGeometry();
    touchSamples();
  }
  QWidget::changeEvent(event);
}

void MatrixView::refresh() {
  const double ratio = devicePixelRatioF();
  const QSize device = deviceRect(rect()).size();
  if (m_still.devicePixelRatio() != ratio || m_still.size() != device) {
    m_still = QImage(device, QImage::Format_RGB32);
    m_still.setDevicePixelRatio(ratio);
    m_samplesStale = m_coloursStale = m_stillStale = true;
  }
  QElapsedTimer clock;
  clock.start();
  const bool sampled = tokens() > 0 && m_samplesStale;
  QSize size = sampleSize();
  if (sampled) {
    const int step = coarseness(size);
    m_coarse = step > 1;
    size = QSize(size.width() / step, size.height() / step).expandedTo({1, 1});
    m_picture.sample(viewport(), size, m_skipKeys, mode());
    if (m_picture.refines(viewport(), sampleSize(), mode())) m_refineDelay.start();
  }
  if (tokens() > 0 && m_coloursStale) m_picture.paint(m_colours, m_reducer, mode(), m_theme);
  m_samplesStale = m_coloursStale = false;
  const auto elapsed = [&clock] { return static_cast<double>(clock.nsecsElapsed()) / 1e6; };
  if (sampled) m_sampleCost = elapsed() / (static_cast<double>(size.width()) * size.height() * m_geometry.panels);
  clock.restart();
  if (m_stillStale) drawStill();
  if (sampled) m_drawCost = elapsed();
  m_stillStale = false;
}

void MatrixView::stopRefining() {
  m_refineDelay.stop();
  if (m_refining) m_refining->cancel();
  m_refining.reset();
}

void MatrixView::startRefining() {
  if (m_samplesStale || tokens() == 0) return;
  auto cancel = std::make_shared<CancelToken>();
  m_refining = cancel;
  const CompareMode shown = mode();
  m_pool.start(
      [this, cancel, shown, sources = m_picture.sources(), view = viewport(), size = sampleSize(), skip = m_skipKeys] {
        auto refined = std::make_shared<MatrixPicture::Refined>();
        try {
          *refined = MatrixPicture::refined(sources, view, size, skip, shown, cancel.get());
        } catch (const std::exception&) {
          return;  // cancelled, or out of memory: the coarse picture stays
        }
        QMetaObject::invokeMethod(
            this,
            [this, cancel, shown, refined] {
              if (cancel != m_refining || cancel->cancelled()) return;
              m_refining.reset();
              m_picture.takeRefined(std::move(*refined), shown);
              touchColours();
              sayAgain();
            },
            Qt::QueuedConnection);
      });
}

bool MatrixView::isAtRest() const {
  return !m_samplesStale && !m_coarse && !m_settle.isActive() && !m_refineDelay.isActive() && !m_refining;
}

QString MatrixView::reducerText() const { return m_picture.reducerText(m_reducer, mode()); }

}  // namespace dhsa
