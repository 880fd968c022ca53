#include "ui/views/sweep_plot.h"

#include <QEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "ui/models/format.h"
#include "ui/models/method_list.h"
#include "ui/views/matrix_axes.h"
#include "ui/views/qcp.h"
#include "ui/views/scatter_style.h"
#include "ui/views/spoken_value.h"
#include "ui/views/theme.h"
#include "ui/views/tool_tips.h"

namespace dhsa {
namespace {

constexpr double kReach = 24;  // pixels from a point within which the pointer means it
// Room at the ends of an axis, as a share of it.
constexpr double kMargin = 0.05;

QCPRange padded(double low, double high, bool logarithmic) {
  if (logarithmic) {
    const double factor = std::pow(std::max(high / low, 1.5), kMargin);
    return {low / factor, high * factor};
  }
  const double room = std::max(high - low, 1e-6 * std::max(1.0, std::abs(high))) * kMargin;
  return {low - room, high + room};
}

}  // namespace

SweepPlot::SweepPlot(QWidget* parent) : QWidget(parent), m_plot(new QCustomPlot(this)) {
  setObjectName(QStringLiteral("sweepPlot"));
  setFocusPolicy(Qt::StrongFocus);
  setAccessibleName(tr("Curves of the sweep"));
  setAccessibleDescription(tr("Left and right go along a curve, up and down to another one."));
  setSpokenValue(this, tr("No point"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_plot);
  m_plot->setAutoAddPlottableToLegend(false);
  m_plot->setFocusPolicy(Qt::NoFocus);
  m_plot->setMouseTracking(true);
  m_plot->installEventFilter(this);
  m_why = tr("No sweep yet.\nEvery method runs at every value; what it keeps, loses and costs becomes a curve.");
  draw();
}

void SweepPlot::clear(const QString& why) {
  m_parts.clear();
  m_why = why;
  m_marked = false;
  draw();
}

void SweepPlot::setCurves(const SweepResults& results, const SweepDimension& x, std::vector<const Measure*> measures) {
  m_x = x;
  m_samples = static_cast<int>(results.settings.samples);
  m_parts.clear();
  for (const Measure* measure : measures) m_parts.push_back({measure, sweepCurves(results, x, *measure)});
  const auto fits = [this] {
    return m_focus.part < m_parts.size() && m_focus.curve < m_parts[m_focus.part].curves.size() &&
           m_focus.point < m_parts[m_focus.part].curves[m_focus.curve].points.size();
  };
  if (!fits()) {
    m_focus = {};
    m_marked = false;
  }
  m_why = m_parts.empty() || m_parts.front().curves.empty() ? tr("The first point is being measured…") : QString();
  draw();
}

void SweepPlot::setLog(bool x, bool y) {
  m_logX = x;
  m_logY = y;
  draw();
}

void SweepPlot::styleAxes(QCPAxisRect* rect) const {
  const Colours colours(palette());
  const QColor ink = palette().color(QPalette::WindowText);
  const QFont small = smallFont(font());
  rect->setLayer(QStringLiteral("background"));  // under the grid
  rect->setMinimumMargins(QMargins(4, 4, 12, 2));
  rect->setBackground(QBrush(palette().color(QPalette::Base)));
  for (QCPAxis* axis : rect->axes()) {
    axis->setLayer(QStringLiteral("axes"));
    axis->grid()->setLayer(QStringLiteral("grid"));
    axis->setBasePen(QPen(colours.faint));
    axis->setTickPen(QPen(colours.faint));
    axis->setSubTickPen(Qt::NoPen);
    axis->setTickLabelColor(ink);
    axis->setLabelColor(ink);
    axis->setLabelFont(small);
    axis->setTickLabelFont(small);
    axis->setTickLength(0, 4);
    axis->setNumberFormat(QStringLiteral("g"));
    axis->setNumberPrecision(6);
    axis->grid()->setPen(QPen(colours.grid, 1));
    axis->grid()->setZeroLinePen(QPen(colours.grid, 1));
  }
}

void SweepPlot::draw() {
  m_plot->clearPlottables();
  m_plot->clearItems();
  m_plot->plotLayout()->clear();
  m_rects.clear();
  m_plot->setBackground(palette().color(QPalette::Window));
  if (!m_why.isEmpty()) {
    auto* text = new QCPTextElement(m_plot, m_why, font());
    text->setTextColor(Colours(palette()).faint);
    text->setTextFlags(Qt::AlignCenter | Qt::TextWordWrap);
    text->setMaximumSize(1 << 14, 1 << 14);  // else that of the text in lines that are not wrapped
    m_plot->plotLayout()->addElement(0, 0, text);
    m_plot->replot(QCustomPlot::rpQueuedReplot);
    return;
  }
  auto* legend = new QCPLegend;
  m_plot->plotLayout()->addElement(0, 0, legend);
  m_plot->legend = legend;
  legend->setLayer(QStringLiteral("legend"));
  legend->setFont(font());
  legend->setTextColor(palette().color(QPalette::WindowText));
  legend->setBorderPen(Qt::NoPen);
  legend->setBrush(Qt::NoBrush);
  legend->setIconSize(34, 14);
  legend->setMargins(QMargins(4, 0, 4, 0));
  legend->setRowSpacing(0);
  legend->setColumnSpacing(14);
  legend->setFillOrder(QCPLegend::foColumnsFirst);
  auto* group = new QCPMarginGroup(m_plot);
  for (std::size_t part = 0; part < m_parts.size(); ++part) {
    auto* rect = new QCPAxisRect(m_plot);
    m_plot->plotLayout()->addElement(static_cast<int>(part) + 1, 0, rect);
    rect->setMarginGroup(QCP::msLeft | QCP::msRight, group);
    m_rects.push_back(rect);
    styleAxes(rect);
    drawPart(part);
  }
  m_plot->plotLayout()->setRowStretchFactor(0, 0.001);
  m_plot->plotLayout()->setRowSpacing(2);
  placeLegend();
  placeTicks();
  auto* tracer = new QCPItemTracer(m_plot);
  tracer->setLayer(QStringLiteral("overlay"));
  tracer->setStyle(QCPItemTracer::tsCircle);
  tracer->setSize(15);
  tracer->setPen(QPen(palette().color(QPalette::WindowText), 1.5));
  tracer->setVisible(false);
  tracer->setClipToAxisRect(false);
  mark(m_marked ? &m_focus : nullptr);
  m_plot->replot(QCustomPlot::rpQueuedReplot);
}

void SweepPlot::drawPart(std::size_t index) {
  const Part& part = m_parts[index];
  const MeasureUnit unit = unitOf(*part.measure);
  QCPAxisRect* rect = m_rects[index];
  QCPAxis* x = rect->axis(QCPAxis::atBottom);
  QCPAxis* y = rect->axis(QCPAxis::atLeft);
  const bool last = index + 1 == m_parts.size();
  const bool sampled = std::any_of(part.curves.begin(), part.curves.end(), [](const SweepCurve& curve) {
    return std::any_of(curve.points.begin(), curve.points.end(),
                       [](const SweepCurve::Point& point) { return point.mean.sampled(); });
  });
  y->setLabel(axisLabel(*part.measure, sampled));
  x->setLabel(last ? m_x.label : QString());
  x->setTickLabels(last);
  x->setScaleType(m_logX && m_x.numeric && m_x.values.front() > 0 ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
  y->setScaleType(m_logY ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
  if (m_logY) {
    y->setTicker(QSharedPointer<QCPAxisTickerLog>::create());
    y->setSubTickPen(QPen(Colours(palette()).faint));
    y->setSubTickLength(0, 2);
  }

  const Ground ground{palette().color(QPalette::WindowText), isDark(palette())};
  std::map<Method, int> drawn;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const SweepCurve& curve : part.curves) {
    const CurveStyle style = curveStyle(curve.of, drawn[curve.of]++, ground);
    QCPGraph* graph = m_plot->addGraph(x, y);
    graph->setName(curve.name);
    graph->setPen(QPen(style.colour, 1.6, style.line));
    graph->setScatterStyle(scatterStyle(style, 8));
    graph->setAdaptiveSampling(false);
    if (index == 0) graph->addToLegend(m_plot->legend);
    auto* bars = m_samples > 1 || sampled ? new QCPErrorBars(x, y) : nullptr;
    const auto add = [&](double at, const SweepCurve::Point& point) {
      const double mean = unit.factor * point.mean.value;
      if (m_logY && mean <= 0) return;  // has no place on a logarithmic axis
      const double least = m_logY ? std::max(unit.factor * point.low, 1e-3 * mean) : unit.factor * point.low;
      const double most = unit.factor * point.high;
      graph->addData(at, mean);
      if (bars) bars->addData(mean - least, most - mean);
      low = std::min(low, least);
      high = std::max(high, most);
    };
    if (curve.flat) {
      for (const double at : m_x.values) add(at, curve.points.front());
    } else {
      for (const SweepCurve::Point& point : curve.points) add(point.x, point);
    }
    if (bars) {
      bars->setDataPlottable(graph);
      bars->setErrorType(QCPErrorBars::etValueError);
      bars->setPen(QPen(style.colour, 1));
      bars->setWhiskerWidth(6);
      bars->setSymbolGap(0);
    }
  }
  if (low > high) low = high = 1;
  // Curves of a cost begin at nothing, so that their heights compare.
  if (!m_logY && part.measure->format != Measure::Format::kShare && low >= 0) low = 0;
  y->setRange(padded(low, high, m_logY));
  if (!m_logY && low == 0) y->setRangeLower(0);
  x->setRange(padded(m_x.values.front(), m_x.values.back(), x->scaleType() == QCPAxis::stLogarithmic));
}

void SweepPlot::placeLegend() {
  if (m_plot->legend == nullptr || !m_why.isEmpty()) return;
  // As many columns as fit.
  int widest = 1;
  const QFontMetrics metrics(font());
  for (const SweepCurve& curve : m_parts.front().curves) {
    widest = std::max(widest, metrics.horizontalAdvance(curve.name) + 34 + 7 + 14);
  }
  m_plot->legend->setWrap(std::max(1, (std::max(width(), 100) - 10) / widest));
  m_plot->legend->setFillOrder(QCPLegend::foColumnsFirst, true);
}

// The values themselves are the ticks, as far as their texts do not touch.
void SweepPlot::placeTicks() {
  if (!m_why.isEmpty()) return;
  const QFontMetrics metrics(smallFont(font()));
  const double room = std::max(60, width() - 90);
  for (QCPAxisRect* rect : m_rects) {
    QCPAxis* x = rect->axis(QCPAxis::atBottom);
    const QCPRange range = x->range();
    const bool logarithmic = x->scaleType() == QCPAxis::stLogarithmic;
    const auto place = [&](double value) {
      return room * (logarithmic ? std::log(value / range.lower) / std::log(range.upper / range.lower)
                                 : (value - range.lower) / range.size());
    };
    auto ticker = QSharedPointer<QCPAxisTickerText>::create();
    double taken = -1e9;
    for (std::size_t i = 0; i < m_x.values.size(); ++i) {
      const QString text = m_x.texts[static_cast<int>(i)];
      const double half = metrics.horizontalAdvance(text) / 2.0;
      const double at = place(m_x.values[i]);
      const bool fits = at - half > taken;
      ticker->addTick(m_x.values[i], fits ? text : QString());
      if (fits) taken = at + half + 8;
    }
    x->setTicker(ticker);
  }
}

double SweepPlot::pixelX(std::size_t part, const SweepCurve& curve, std::size_t point, double near) const {
  const QCPAxis* x = m_rects[part]->axis(QCPAxis::atBottom);
  if (!curve.flat) return x->coordToPixel(curve.points[point].x);
  double best = x->coordToPixel(m_x.values.front());
  for (const double value : m_x.values) {
    const double pixel = x->coordToPixel(value);
    if (std::abs(pixel - near) < std::abs(best - near)) best = pixel;
  }
  return best;
}

QPointF SweepPlot::pixelOf(std::size_t part, std::size_t curve, std::size_t point) const {
  const SweepCurve& at = m_parts[part].curves[curve];
  const MeasureUnit unit = unitOf(*m_parts[part].measure);
  return {pixelX(part, at, point, 0),
          m_rects[part]->axis(QCPAxis::atLeft)->coordToPixel(unit.factor * at.points[point].mean.value)};
}

QString SweepPlot::describe(std::size_t part, std::size_t curve, std::size_t point) const {
  const Measure& measure = *m_parts[part].measure;
  const SweepCurve& at = m_parts[part].curves[curve];
  const SweepCurve::Point& here = at.points[point];
  const auto value = std::find(m_x.values.begin(), m_x.values.end(), here.x);
  const QString x = at.flat
                        ? tr("any %1").arg(m_x.label.section(u',', 0, 0).toLower())
                        : QStringLiteral("%1 %2").arg(m_x.label.section(u',', 0, 0).toLower(),
                                                      m_x.texts.value(static_cast<int>(value - m_x.values.begin())));
  QString text =
      tr("%1 · %2 · %3 %4").arg(at.name, x, measureTitle(measure).toLower(), formatMeasured(measure, here.mean));
  if (here.samples > 1) {
    text += tr(" · mean of %1, %2 to %3")
                .arg(counted(here.samples, "sample", "samples"), formatMeasured(measure, Measured{here.low}),
                     formatMeasured(measure, Measured{here.high}));
  }
  return text;
}

bool SweepPlot::nearest(QPointF position, Place& place) const {
  double best = kReach * kReach;
  bool found = false;
  for (std::size_t part = 0; part < m_rects.size(); ++part) {
    const MeasureUnit unit = unitOf(*m_parts[part].measure);
    for (std::size_t curve = 0; curve < m_parts[part].curves.size(); ++curve) {
      const SweepCurve& at = m_parts[part].curves[curve];
      for (std::size_t point = 0; point < at.points.size(); ++point) {
        if (m_logY && at.points[point].mean.value <= 0) continue;
        const double x = pixelX(part, at, point, position.x());
        const double y = m_rects[part]->axis(QCPAxis::atLeft)->coordToPixel(unit.factor * at.points[point].mean.value);
        const double distance = (x - position.x()) * (x - position.x()) + (y - position.y()) * (y - position.y());
        if (distance >= best) continue;
        best = distance;
        place = {part, curve, point};
        found = true;
      }
    }
  }
  return found;
}

void SweepPlot::mark(const Place* place) {
  auto* tracer = m_plot->itemCount() > 0 ? qobject_cast<QCPItemTracer*>(m_plot->item(0)) : nullptr;
  if (tracer == nullptr) return;
  tracer->setVisible(place != nullptr);
  if (place != nullptr) {
    const MeasureUnit unit = unitOf(*m_parts[place->part].measure);
    const SweepCurve& curve = m_parts[place->part].curves[place->curve];
    QCPAxisRect* rect = m_rects[place->part];
    tracer->position->setAxisRect(rect);
    tracer->position->setAxes(rect->axis(QCPAxis::atBottom), rect->axis(QCPAxis::atLeft));
    tracer->position->setType(QCPItemPosition::ptPlotCoords);
    const double x = curve.flat ? m_x.values.front() : curve.points[place->point].x;
    tracer->position->setCoords(x, unit.factor * curve.points[place->point].mean.value);
  }
  m_plot->layer(QStringLiteral("overlay"))->replot();
}

bool SweepPlot::eventFilter(QObject* watched, QEvent* event) {
  if (watched != m_plot || !m_why.isEmpty()) return QWidget::eventFilter(watched, event);
  if (event->type() == QEvent::MouseMove) {
    const auto* mouse = static_cast<QMouseEvent*>(event);
    Place place;
    if (nearest(mouse->position(), place)) {
      const QString text = describe(place.part, place.curve, place.point);
      mark(&place);
      QToolTip::showText(mouse->globalPosition().toPoint(), wrappedTip(text), this);
      Q_EMIT statusText(text);
    } else {
      mark(m_marked ? &m_focus : nullptr);
      QToolTip::hideText();
      Q_EMIT statusText({});
    }
  } else if (event->type() == QEvent::MouseButtonPress) {
    setFocus(Qt::MouseFocusReason);
    Place place;
    if (nearest(static_cast<QMouseEvent*>(event)->position(), place)) {
      m_focus = place;
      m_marked = true;
      setSpokenValue(this, describe(place.part, place.curve, place.point));
      mark(&m_focus);
    }
  } else if (event->type() == QEvent::Leave) {
    mark(m_marked ? &m_focus : nullptr);
    Q_EMIT statusText({});
  }
  return QWidget::eventFilter(watched, event);
}

void SweepPlot::keyPressEvent(QKeyEvent* event) {
  const int key = event->key();
  const bool arrow = key == Qt::Key_Left || key == Qt::Key_Right || key == Qt::Key_Up || key == Qt::Key_Down;
  if (!arrow || !m_why.isEmpty()) {
    QWidget::keyPressEvent(event);
    return;
  }
  if (m_marked) {
    const auto step = [](std::size_t value, int by, std::size_t size) {
      const auto to = static_cast<std::ptrdiff_t>(value) + by;
      return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(to, 0, static_cast<std::ptrdiff_t>(size) - 1));
    };
    if (key == Qt::Key_Left || key == Qt::Key_Right) {
      const SweepCurve& curve = m_parts[m_focus.part].curves[m_focus.curve];
      m_focus.point = step(m_focus.point, key == Qt::Key_Left ? -1 : 1, curve.points.size());
    } else {
      // Through the curves of the upper part, then those of the lower one.
      const std::size_t curves = m_parts.front().curves.size();
      const std::size_t next =
          step(m_focus.part * curves + m_focus.curve, key == Qt::Key_Up ? -1 : 1, curves * m_parts.size());
      m_focus.part = next / curves;
      m_focus.curve = next % curves;
      m_focus.point = std::min(m_focus.point, m_parts[m_focus.part].curves[m_focus.curve].points.size() - 1);
    }
  }
  m_marked = true;
  const QString text = describe(m_focus.part, m_focus.curve, m_focus.point);
  mark(&m_focus);
  setSpokenValue(this, text);
  Q_EMIT statusText(text);
}

void SweepPlot::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  placeLegend();
  placeTicks();
  m_plot->replot(QCustomPlot::rpQueuedReplot);
}

void SweepPlot::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) draw();
  QWidget::changeEvent(event);
}

}  // namespace dhsa
