#include "ui/views/importance_strip.h"

#include <QApplication>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/plot/axis_ticks.h"
#include "ui/views/spoken_value.h"
#include "ui/views/tool_tips.h"

namespace dhsa {

namespace {

constexpr double kLeastView = 8;
constexpr int kLaneGap = 5;

}  // namespace

ImportanceStrip::ImportanceStrip(QWidget* parent) : QWidget(parent) {
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setAccessibleName(tr("Token importance"));
  setAccessibleDescription(
      tr("Curves along the tokens. Left and Right move from token to token, Shift extends the selection, "
         "plus and minus zoom, Home shows all."));
  setSpokenValue(this, tr("No token"));
  m_theme = ViewTheme::of(palette());
}

void ImportanceStrip::setLanes(std::vector<ImportanceLane> lanes) {
  const qint64 before = tokens();
  m_lanes = std::move(lanes);
  if (tokens() != before) {
    m_begin = 0;
    m_end = std::max<double>(1, static_cast<double>(tokens()));
    m_selected = {};
    m_crosshair = m_anchor = -1;
  }
  update();
}

void ImportanceStrip::setBoundaries(MatrixView::Boundaries boundaries) {
  m_boundaries = std::move(boundaries);
  update();
}

void ImportanceStrip::setTokenText(MatrixView::TokenText text) { m_tokenText = std::move(text); }

void ImportanceStrip::setSkipKeys(qint64 keys) {
  m_skip = std::max<qint64>(0, keys);
  update();
}

void ImportanceStrip::setBusy(bool busy) {
  m_busy = busy;
  update();
}

qint64 ImportanceStrip::tokens() const {
  qint64 most = 0;
  for (const ImportanceLane& lane : m_lanes)
    if (lane.values) most = std::max(most, static_cast<qint64>(lane.values->size()));
  return most;
}

void ImportanceStrip::setView(double begin, double end) {
  const auto whole = static_cast<double>(tokens());
  if (whole <= 0) return;
  const double span = std::clamp(end - begin, std::min(kLeastView, whole), whole);
  begin = std::clamp((begin + end - span) / 2, 0.0, whole - span);
  if (begin == m_begin && begin + span == m_end) return;
  m_begin = begin;
  m_end = begin + span;
  update();
  Q_EMIT viewChanged(m_begin, m_end);
}

void ImportanceStrip::setSelectedKeys(KeySpan keys) {
  m_selected = keys.empty() ? KeySpan{} : keys;
  update();
}

void ImportanceStrip::setCrosshair(qint64 token) {
  token = token < 0 || token >= tokens() ? -1 : token;
  if (m_crosshair == token) return;
  m_crosshair = token;
  update();
}

QRect ImportanceStrip::plotArea() const {
  const QFontMetrics small(smallFont(font()));
  const int left = small.horizontalAdvance(QStringLiteral("0.008888")) + 12;
  const int bottom = (m_boundaries ? 14 : 0) + 4 + 2 * small.height() + 6;
  return {left, 4, std::max(20, width() - left - 12), std::max(20, height() - 4 - bottom)};
}

AxisMap ImportanceStrip::axis() const {
  const QRect area = plotArea();
  return {m_begin, m_end, static_cast<double>(area.left()), static_cast<double>(area.right() + 1)};
}

QRect ImportanceStrip::laneRect(int lane) const {
  const QRect area = plotArea();
  const int lanes = std::max<int>(1, static_cast<int>(m_lanes.size()));
  const int height = (area.height() - (lanes - 1) * kLaneGap) / lanes;
  return {area.left(), area.top() + lane * (height + kLaneGap), area.width(), height};
}

qint64 ImportanceStrip::tokenAt(double x) const {
  const QRect area = plotArea();
  if (tokens() == 0 || x < area.left() || x > area.right() + 1) return -1;
  return std::clamp<qint64>(static_cast<qint64>(std::floor(axis().toToken(x))), 0, tokens() - 1);
}

QString ImportanceStrip::describe(qint64 token) const {
  if (token < 0 || token >= tokens()) return {};
  QString text = tr("token %1").arg(indexLabel(static_cast<double>(token)));
  if (m_tokenText) text += QStringLiteral(" “%1”").arg(m_tokenText(token).replace(QLatin1Char('\n'), QChar(0x21b5)));
  for (const ImportanceLane& lane : m_lanes) {
    if (!lane.values || token >= static_cast<qint64>(lane.values->size())) continue;
    const float v = (*lane.values)[static_cast<std::size_t>(token)];
    text += QStringLiteral(" · ") +
            tr("%1: %2").arg(lane.title, std::isnan(v) ? tr("undefined")
                                                       : (lane.sampled ? QStringLiteral("≈ ") : QString()) +
                                                             valueLabel(static_cast<double>(v)));
  }
  return text;
}

void ImportanceStrip::drawLane(QPainter& painter, int lane) const {
  const ImportanceLane& shown = m_lanes[static_cast<std::size_t>(lane)];
  const QRect area = laneRect(lane);
  const QFont small = smallFont(font());
  const QFontMetricsF metrics(small);
  painter.fillRect(area, m_theme.plot);
  if (shown.values && !shown.values->empty()) {
    // Largest and mean value behind each device pixel: a lone peak stays visible at every zoom.
    const int pixels = std::max(1, static_cast<int>(std::lround(area.width() * devicePixelRatioF())));
    const AxisPartition parts(m_begin, m_end, pixels, m_skip, static_cast<std::int64_t>(shown.values->size()));
    const auto nan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> peaks(static_cast<std::size_t>(pixels), nan);
    std::vector<float> means(static_cast<std::size_t>(pixels), nan);
    float most = nan;
    float least = nan;
    for (int p = 0; p < pixels; ++p) {
      const int span = parts.span_of_pixel(p);
      if (span < 0) continue;
      float peak = nan;
      double sum = 0;
      int count = 0;
      for (std::int64_t t = parts.begin(span); t < parts.end(span); ++t) {
        const float v = (*shown.values)[static_cast<std::size_t>(t)];
        if (std::isnan(v)) continue;
        peak = std::fmax(peak, v);
        least = std::fmin(least, v);
        sum += static_cast<double>(v);
        ++count;
      }
      peaks[static_cast<std::size_t>(p)] = peak;
      if (count > 0) means[static_cast<std::size_t>(p)] = static_cast<float>(sum / count);
      most = std::fmax(most, peak);
    }
    if (!std::isnan(most)) {
      const double low = least >= 0 ? 0.0 : static_cast<double>(least);
      const double high = std::max(static_cast<double>(most), low + 1e-30);
      const ValueScale scale(low < 0 ? ColourScale::Linear : shown.scale, low, high, false);
      const QColor colours[3] = {m_theme.seriesA, m_theme.seriesB,
                                 QColor::fromRgb(m_theme.dark ? 0xff39c69a : okabe_ito::bluishGreen)};
      const QColor colour = colours[lane % 3];
      QColor light = colour;
      light.setAlpha(m_theme.dark ? 110 : 90);
      const double step = static_cast<double>(area.width()) / pixels;
      const double depth = area.height() - 2;
      for (int p = 0; p < pixels; ++p) {
        const float peak = peaks[static_cast<std::size_t>(p)];
        if (std::isnan(peak)) continue;
        const auto bar = [&](double value, const QColor& fill) {
          const double d = std::max(scale.position(value) * depth, value > low ? 1.0 : 0.0);
          painter.fillRect(QRectF(area.left() + p * step, area.bottom() + 1 - d, step, d), fill);
        };
        bar(static_cast<double>(peak), light);
        bar(static_cast<double>(means[static_cast<std::size_t>(p)]), colour);
      }
      painter.setFont(small);
      painter.setPen(m_theme.quiet);
      const QString top = valueLabel(static_cast<double>(most));
      painter.drawText(QPointF(area.left() - metrics.horizontalAdvance(top) - 5, area.top() + metrics.ascent() - 1),
                       top);
      if (area.height() > 2.5 * metrics.height()) {
        const QString base = valueLabel(scale.low());
        painter.drawText(QPointF(area.left() - metrics.horizontalAdvance(base) - 5, area.bottom()), base);
      }
    }
  }
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(mixed(m_theme.frame, m_theme.window, 0.4), 1));
  painter.drawRect(area.adjusted(0, 0, -1, -1));
  // The title lies on the curve's ground, on a veil so that it can be read over bars.
  painter.setFont(small);
  QString title = shown.unit.isEmpty() ? shown.title : tr("%1 (%2)", "title (unit)").arg(shown.title, shown.unit);
  if (shown.scale == ColourScale::Log) title = tr("%1, log").arg(title);
  if (shown.scale == ColourScale::Sqrt) title = tr("%1, square root").arg(title);
  QRectF words(area.left() + 4, area.top() + 2, metrics.horizontalAdvance(title) + 6, metrics.height());
  QColor veil = m_theme.plot;
  veil.setAlpha(205);
  painter.fillRect(words, veil);
  painter.setPen(m_theme.text);
  painter.drawText(words, Qt::AlignCenter, title);
}

void ImportanceStrip::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(rect(), m_theme.window);
  if (tokens() == 0) {
    painter.setPen(m_theme.quiet);
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap, tr("No importance to show yet"));
    return;
  }
  for (int lane = 0; lane < static_cast<int>(m_lanes.size()); ++lane) drawLane(painter, lane);
  const QRect area = plotArea();
  const MatrixAxes axes(painter, m_theme, font());
  const bool band = m_boundaries != nullptr;
  const QRect below(area.left(), area.bottom() + 2, area.width(), height() - area.bottom() - 2);
  axes.keyAxis(below, axis(), band ? std::span<const std::int32_t>(*m_boundaries) : std::span<const std::int32_t>(),
               band, tr("token"));
  painter.save();
  painter.setClipRect(area);
  const AxisMap keys = axis();
  if (!m_selected.empty()) {
    const double from = keys.toPixel(static_cast<double>(m_selected.begin));
    const double to = std::max(from + 1, keys.toPixel(static_cast<double>(m_selected.end)));
    QColor veil = m_theme.selection;
    veil.setAlpha(46);
    painter.fillRect(QRectF(from, area.top(), to - from, area.height()), veil);
    painter.setPen(QPen(m_theme.selection, 1.4, Qt::DashLine));
    painter.drawLine(QPointF(from, area.top()), QPointF(from, area.bottom()));
    painter.drawLine(QPointF(to, area.top()), QPointF(to, area.bottom()));
  }
  painter.restore();
  if (m_crosshair >= 0) {
    const double x = keys.toPixel(static_cast<double>(m_crosshair) + 0.5);
    if (x >= area.left() && x <= area.right() + 1) {
      painter.setPen(QPen(m_theme.text, 1));
      painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()));
      const auto labels = axes.keyLabels(below, keys, band);
      axes.tag({x, below.top() + (band ? 15.0 : 1.0)}, Qt::AlignTop, indexLabel(static_cast<double>(m_crosshair)),
               m_theme.text, labels);
    }
  }
  if (m_busy) {
    QColor veil = m_theme.window;
    veil.setAlpha(150);
    painter.fillRect(rect(), veil);
  }
  if (hasFocus()) {
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(palette().color(QPalette::Highlight), 1));
    painter.drawRect(rect().adjusted(0, 0, -1, -1));
  }
}

void ImportanceStrip::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
    m_theme = ViewTheme::of(palette());
    update();
  }
  QWidget::changeEvent(event);
}

bool ImportanceStrip::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip) {
    const auto* help = static_cast<QHelpEvent*>(event);
    const QString text = describe(tokenAt(help->pos().x())).replace(QStringLiteral(" · "), QStringLiteral("\n"));
    if (text.isEmpty())
      QToolTip::hideText();
    else
      QToolTip::showText(help->globalPos(), wrappedTip(text), this);
    return true;
  }
  return QWidget::event(event);
}

void ImportanceStrip::showToken(qint64 token) {
  if (token == m_crosshair) return;
  setCrosshair(token);
  const QString text = describe(token);
  setSpokenValue(this, text.isEmpty() ? tr("No token") : text);
  Q_EMIT statusText(text);
  Q_EMIT hovered(m_crosshair);
}

void ImportanceStrip::zoom(double factor, double at) {
  const double token = axis().toToken(at);
  const double share = (token - m_begin) / (m_end - m_begin);
  const double span = std::clamp((m_end - m_begin) / factor, std::min(kLeastView, static_cast<double>(tokens())),
                                 static_cast<double>(tokens()));
  setView(token - share * span, token + (1 - share) * span);
}

void ImportanceStrip::mousePressEvent(QMouseEvent* event) {
  const qint64 token = tokenAt(event->position().x());
  if (event->button() != Qt::LeftButton || token < 0) return;
  m_pressedX = event->position().x();
  m_pressedBegin = m_begin;
  if (event->modifiers().testFlag(Qt::ShiftModifier)) {
    m_drag = Drag::Range;
    m_anchor = token;
    setSelectedKeys({token, token + 1});
  } else {
    m_drag = Drag::MayPan;
  }
}

void ImportanceStrip::mouseMoveEvent(QMouseEvent* event) {
  const double x = event->position().x();
  if (m_drag == Drag::MayPan && std::abs(x - m_pressedX) >= QApplication::startDragDistance()) m_drag = Drag::Pan;
  if (m_drag == Drag::Pan) {
    const double span = m_end - m_begin;
    const double begin = m_pressedBegin - (x - m_pressedX) / plotArea().width() * span;
    setView(begin, begin + span);
  } else if (m_drag == Drag::Range) {
    const QRect area = plotArea();
    const qint64 token = tokenAt(std::clamp<double>(x, area.left(), area.right()));
    setSelectedKeys({std::min(m_anchor, token), std::max(m_anchor, token) + 1});
  } else {
    showToken(tokenAt(x));
  }
}

void ImportanceStrip::mouseReleaseEvent(QMouseEvent* event) {
  const Drag done = std::exchange(m_drag, Drag::None);
  if (done == Drag::Range) {
    Q_EMIT keyRangeSelected(m_selected.begin, m_selected.end);
  } else if (done == Drag::MayPan) {
    const qint64 token = tokenAt(event->position().x());
    if (token < 0) return;
    m_anchor = token;
    setSelectedKeys({token, token + 1});
    Q_EMIT keyRangeSelected(m_selected.begin, m_selected.end);
  }
}

void ImportanceStrip::mouseDoubleClickEvent(QMouseEvent*) { setView(0, static_cast<double>(tokens())); }

void ImportanceStrip::wheelEvent(QWheelEvent* event) {
  if (tokens() == 0) return;
  const QPoint turn = event->angleDelta();
  if (event->modifiers().testFlag(Qt::ShiftModifier) || turn.y() == 0) {
    const double by = -(turn.y() != 0 ? turn.y() : turn.x()) / 1200.0 * (m_end - m_begin);
    setView(m_begin + by, m_end + by);
  } else {
    zoom(std::pow(1.25, turn.y() / 120.0), event->position().x());
  }
  event->accept();
}

void ImportanceStrip::leaveEvent(QEvent*) { showToken(-1); }

void ImportanceStrip::keyPressEvent(QKeyEvent* event) {
  if (tokens() == 0) {
    QWidget::keyPressEvent(event);
    return;
  }
  const double span = m_end - m_begin;
  const auto step = [&](int by) {
    if (event->modifiers().testFlag(Qt::ControlModifier)) {
      setView(m_begin + by * span / 10, m_end + by * span / 10);
      return;
    }
    const qint64 from = m_crosshair >= 0 ? m_crosshair : static_cast<qint64>((m_begin + m_end) / 2) - by;
    const qint64 token = std::clamp<qint64>(from + by, 0, tokens() - 1);
    if (event->modifiers().testFlag(Qt::ShiftModifier)) {
      if (m_anchor < 0) m_anchor = from;
      setSelectedKeys({std::min(m_anchor, token), std::max(m_anchor, token) + 1});
      Q_EMIT keyRangeSelected(m_selected.begin, m_selected.end);
    } else {
      m_anchor = token;
    }
    const auto at = static_cast<double>(token);
    if (at < m_begin) setView(at - span / 8, at - span / 8 + span);
    if (at + 1 > m_end) setView(at + span / 8 - span, at + span / 8);
    showToken(token);
  };
  const double middle = m_crosshair >= 0 ? axis().toPixel(static_cast<double>(m_crosshair) + 0.5)
                                         : static_cast<double>(plotArea().center().x());
  switch (event->key()) {
    case Qt::Key_Left:
      step(-1);
      break;
    case Qt::Key_Right:
      step(1);
      break;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
      zoom(1.25, middle);
      break;
    case Qt::Key_Minus:
      zoom(0.8, middle);
      break;
    case Qt::Key_Home:
      setView(0, static_cast<double>(tokens()));
      break;
    case Qt::Key_Escape:
      if (m_selected.empty()) {
        QWidget::keyPressEvent(event);
      } else {
        setSelectedKeys({});
        Q_EMIT keyRangeSelected(0, 0);
      }
      break;
    default:
      QWidget::keyPressEvent(event);
  }
}

}  // namespace dhsa
