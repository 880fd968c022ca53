#include "ui/views/head_map.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/plot/axis_ticks.h"
#include "ui/views/matrix_axes.h"
#include "ui/views/spoken_value.h"
#include "ui/views/tool_tips.h"

namespace dhsa {

HeadMap::HeadMap(QWidget* parent) : QWidget(parent), m_quantity(tr("retained mass")) {
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setAccessibleName(tr("Layer and head overview"));
  setAccessibleDescription(tr("Layers down, heads across. Arrow keys move, Enter goes there."));
  setSpokenValue(this, tr("No cell"));
  m_theme = ViewTheme::of(palette());
}

void HeadMap::setValues(int layers, int heads, std::vector<float> values) {
  values.resize(static_cast<std::size_t>(layers) * static_cast<std::size_t>(heads),
                std::numeric_limits<float>::quiet_NaN());
  m_layers = layers;
  m_heads = heads;
  m_values = std::move(values);
  m_estimates.assign(m_values.size(), {});
  m_outdated.assign(static_cast<std::size_t>(layers), {});
  m_focusLayer = std::clamp(m_focusLayer, 0, std::max(0, layers - 1));
  m_focusHead = std::clamp(m_focusHead, 0, std::max(0, heads - 1));
  rescale();
  place();
}

void HeadMap::setValue(int layer, int head, float value, const QString& estimate) {
  if (layer < 0 || layer >= m_layers || head < 0 || head >= m_heads) return;
  m_values[static_cast<std::size_t>(layer * m_heads + head)] = value;
  m_estimates[static_cast<std::size_t>(layer * m_heads + head)] = estimate;
  rescale();
}

void HeadMap::setOutdated(int layer, const QString& note) {
  if (layer < 0 || layer >= m_layers) return;
  m_outdated[static_cast<std::size_t>(layer)] = note;
  update();
}

void HeadMap::setLocalLayers(std::vector<bool> local) {
  m_local = std::move(local);
  place();
}

void HeadMap::setQuantity(const QString& name) {
  m_quantity = name;
  update();
}

void HeadMap::setColourMap(ColourMapId map) {
  m_map = map;
  update();
}

void HeadMap::setCurrent(int layer, int head) {
  m_layer = layer;
  m_head = head;
  if (layer >= 0) m_focusLayer = layer;
  if (head >= 0) m_focusHead = head;
  update();
}

void HeadMap::rescale() {
  // Masses crowd near 1: the range starts at a round value below the least, so that differences show.
  const ValueRange range = rangeOf(m_values);
  const double low = std::min(0.9, std::floor(range.low * 10) / 10);
  m_scale =
      ValueScale(ColourScale::Linear, std::min(0.0, range.low) < 0 ? range.low : low, std::max(1.0, range.high), false);
  update();
}

void HeadMap::place() {
  const QFontMetricsF metrics(smallFont(font()));
  const double left =
      metrics.horizontalAdvance(m_local.empty() ? QStringLiteral("88") : tr("88 local")) + 14 + metrics.height();
  const double right = 16 + 40 + metrics.height() + 12;
  const double bottom = 2 * metrics.height() + 10;
  m_grid = {m_layers, m_heads,
            QRectF(left, 8, std::max(10.0, width() - left - right), std::max(10.0, height() - 8 - bottom))};
  update();
}

float HeadMap::valueAt(int layer, int head) const { return m_values[static_cast<std::size_t>(layer * m_heads + head)]; }

QString HeadMap::cellText(int layer, int head) const {
  const QString number = QString::number(static_cast<double>(valueAt(layer, head)), 'f', 2);
  if (m_estimates[static_cast<std::size_t>(layer * m_heads + head)].isEmpty()) return number;
  const QString marked = QStringLiteral("≈") + number;
  // Rather "≈.87" than nothing: it is the worst cells that are sampled.
  const bool fits = QFontMetricsF(smallFont(font())).horizontalAdvance(marked) + 4 < m_grid.cell(layer, head).width();
  return fits || !number.startsWith(u'0') ? marked : QStringLiteral("≈") + number.sliced(1);
}

QString HeadMap::describe(int layer, int head) const {
  if (layer < 0 || layer >= m_layers || head < 0 || head >= m_heads) return {};
  const float value = valueAt(layer, head);
  const QString& estimate = m_estimates[static_cast<std::size_t>(layer * m_heads + head)];
  const QString kind = m_local.size() <= static_cast<std::size_t>(layer) ? QString()
                       : m_local[static_cast<std::size_t>(layer)]        ? tr(" (local)")
                                                                         : tr(" (global)");
  const QString& outdated = m_outdated[static_cast<std::size_t>(layer)];
  const QString text = tr("layer %1%2 · head %3 · %4: %5")
                           .arg(layer)
                           .arg(kind)
                           .arg(head)
                           .arg(m_quantity, std::isnan(value)     ? tr("not measured")
                                            : !estimate.isEmpty() ? estimate
                                                                  : valueLabel(static_cast<double>(value)));
  return outdated.isEmpty() ? text : QStringLiteral("%1 · %2").arg(text, outdated);
}

void HeadMap::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(rect(), m_theme.window);
  if (m_layers == 0 || m_heads == 0) {
    painter.setPen(m_theme.quiet);
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap, tr("No layers measured yet"));
    return;
  }
  const ColourMap map(m_map, m_theme.dark);
  const QFont small = smallFont(font());
  m_grid.draw(
      painter, m_theme, small, map, m_scale,
      [this](int row, int column) { return static_cast<double>(valueAt(row, column)); },
      [this](int row, int column) { return cellText(row, column); });
  QColor veil = m_theme.window;
  veil.setAlphaF(0.6F);
  for (int layer = 0; layer < m_layers; ++layer) {
    if (!m_outdated[static_cast<std::size_t>(layer)].isEmpty())
      painter.fillRect(m_grid.cell(layer, 0).united(m_grid.cell(layer, m_heads - 1)), veil);
  }
  QStringList layers, heads;
  for (int layer = 0; layer < m_layers; ++layer) {
    const bool local = m_local.size() > static_cast<std::size_t>(layer) && m_local[static_cast<std::size_t>(layer)];
    layers << (local ? tr("%1 local").arg(layer) : QString::number(layer));
  }
  for (int head = 0; head < m_heads; ++head) heads << QString::number(head);
  m_grid.drawLabels(painter, m_theme, small, layers, heads, tr("layer"), tr("head"));
  const bool sampled =
      std::any_of(m_estimates.begin(), m_estimates.end(), [](const QString& text) { return !text.isEmpty(); });
  drawColourBar(painter, m_theme, small, QRectF(m_grid.area.right() + 12, m_grid.area.top(), 60, m_grid.area.height()),
                map, m_scale, sampled ? tr("%1 (≈: some rows)").arg(m_quantity) : m_quantity);
  if (m_layer >= 0 && m_layer < m_layers) {
    if (m_head >= 0 && m_head < m_heads) {
      m_grid.outline(painter, m_theme, m_layer, m_head, m_theme.selection);
    } else {
      CellGrid whole = m_grid;
      whole.columns = 1;
      whole.outline(painter, m_theme, m_layer, 0, m_theme.selection);
    }
  }
  if (hasFocus()) {
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(palette().color(QPalette::Highlight), 2, Qt::DotLine));
    painter.drawRect(m_grid.cell(m_focusLayer, m_focusHead).adjusted(2, 2, -3, -3));
  }
}

void HeadMap::resizeEvent(QResizeEvent*) { place(); }

void HeadMap::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
    m_theme = ViewTheme::of(palette());
    place();
  }
  QWidget::changeEvent(event);
}

bool HeadMap::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip) {
    const auto* help = static_cast<QHelpEvent*>(event);
    int layer = 0;
    int head = 0;
    if (m_grid.hit(help->pos(), layer, head))
      QToolTip::showText(help->globalPos(), wrappedTip(describe(layer, head)), this);
    else
      QToolTip::hideText();
    return true;
  }
  return QWidget::event(event);
}

void HeadMap::moveTo(int layer, int head) {
  if (m_layers == 0 || m_heads == 0) return;
  m_focusLayer = std::clamp(layer, 0, m_layers - 1);
  m_focusHead = std::clamp(head, 0, m_heads - 1);
  const QString text = describe(m_focusLayer, m_focusHead);
  setSpokenValue(this, text);
  Q_EMIT statusText(text);
  update();
}

void HeadMap::mousePressEvent(QMouseEvent* event) {
  int layer = 0;
  int head = 0;
  if (event->button() != Qt::LeftButton || !m_grid.hit(event->position(), layer, head)) return;
  moveTo(layer, head);
  setCurrent(layer, head);
  Q_EMIT headChosen(layer, head);
}

void HeadMap::mouseMoveEvent(QMouseEvent* event) {
  int layer = 0;
  int head = 0;
  const bool inside = m_grid.hit(event->position(), layer, head);
  setCursor(inside ? Qt::PointingHandCursor : Qt::ArrowCursor);
  Q_EMIT statusText(inside ? describe(layer, head) : QString());
}

void HeadMap::leaveEvent(QEvent*) { Q_EMIT statusText({}); }

void HeadMap::keyPressEvent(QKeyEvent* event) {
  switch (event->key()) {
    case Qt::Key_Left:
      moveTo(m_focusLayer, m_focusHead - 1);
      break;
    case Qt::Key_Right:
      moveTo(m_focusLayer, m_focusHead + 1);
      break;
    case Qt::Key_Up:
      moveTo(m_focusLayer - 1, m_focusHead);
      break;
    case Qt::Key_Down:
      moveTo(m_focusLayer + 1, m_focusHead);
      break;
    case Qt::Key_Home:
      moveTo(0, 0);
      break;
    case Qt::Key_End:
      moveTo(m_layers - 1, m_heads - 1);
      break;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
      if (m_layers == 0 || m_heads == 0) break;
      setCurrent(m_focusLayer, m_focusHead);
      Q_EMIT headChosen(m_focusLayer, m_focusHead);
      break;
    default:
      QWidget::keyPressEvent(event);
  }
}

}  // namespace dhsa
