#include "ui/views/multiples_view.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QScrollArea>
#include <QToolTip>
#include <algorithm>
#include <limits>

#include "ui/views/cell_grid.h"
#include "ui/views/matrix_axes.h"
#include "ui/views/spoken_value.h"

namespace dhsa {
namespace {

constexpr int kGap = 10;
constexpr int kLeast = 84;  // pixels of a picture's side
constexpr int kMost = 260;
constexpr int kBarWidth = 78;

}  // namespace

MultiplesView::MultiplesView(QWidget* parent) : QWidget(parent) {
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setAccessibleName(tr("Small multiples"));
  setAccessibleDescription(tr("Arrow keys move from picture to picture, Enter goes there."));
  m_theme = ViewTheme::of(palette());
}

void MultiplesView::setMultiples(std::vector<Multiple> multiples) {
  m_multiples = std::move(multiples);
  m_focus = std::clamp(m_focus, 0, std::max(0, static_cast<int>(m_multiples.size()) - 1));
  colour();
  place();
}

void MultiplesView::setLook(ColourMapId map, ColourScale scale, const QString& quantity) {
  m_map = map;
  m_colourScale = scale;
  m_quantity = quantity;
}

void MultiplesView::setCurrent(int layer, int head) {
  const auto found = std::find_if(m_multiples.begin(), m_multiples.end(),
                                  [&](const Multiple& one) { return one.layer == layer && one.head == head; });
  m_current = found == m_multiples.end() ? -1 : static_cast<int>(found - m_multiples.begin());
  if (m_current >= 0) m_focus = m_current;
  update();
}

void MultiplesView::colour() {
  ValueRange range{std::numeric_limits<double>::infinity(), 0};
  for (const Multiple& one : m_multiples) {
    if (!one.values) continue;
    const ValueRange own = rangeOf(*one.values);
    range = {std::min(range.low, own.low), std::max(range.high, own.high)};
  }
  // Shares of kept pairs have ends of their own.
  const bool shares = m_map == ColourMapId::Mask;
  m_scale = shares || range.low > range.high ? ValueScale(shares ? ColourScale::Linear : m_colourScale, 0, 1, false)
                                             : ValueScale(m_colourScale, range.low, range.high, false);
  const ColourMap map(m_map, m_theme.dark);
  m_images.assign(m_multiples.size(), {});
  for (std::size_t i = 0; i < m_multiples.size(); ++i) {
    const Multiple& one = m_multiples[i];
    if (one.values) m_scale.colour(*one.values, one.side, one.side, map, m_images[i]);
  }
  update();
}

int MultiplesView::labelHeight() const { return 2 * QFontMetrics(smallFont(font())).height() + 2; }

// As large as all of them fit, but never too small to see: then the panel scrolls.
void MultiplesView::place() {
  const auto count = std::max(1, static_cast<int>(m_multiples.size()));
  const auto* scroll = parentWidget() ? qobject_cast<QScrollArea*>(parentWidget()->parentWidget()) : nullptr;
  const int height = scroll ? scroll->viewport()->height() : this->height();
  const int room = width() - kBarWidth - kGap;
  const auto columnsOf = [&](int side) { return std::clamp(room / (side + kGap), 1, count); };
  const auto heightOf = [&](int side) {
    const int rows = (count + columnsOf(side) - 1) / columnsOf(side);
    return rows * (side + labelHeight() + kGap) + kGap;
  };
  m_side = kMost;
  while (m_side > kLeast && (heightOf(m_side) > height || m_side + kGap > room)) --m_side;
  m_columns = columnsOf(m_side);
  setMinimumHeight(heightOf(m_side) > height ? heightOf(m_side) : 0);
  update();
}

QRectF MultiplesView::pictureRect(int index) const {
  return QRectF(kGap + index % m_columns * (m_side + kGap),
                kGap + labelHeight() + index / m_columns * (m_side + labelHeight() + kGap), m_side, m_side);
}

int MultiplesView::at(QPointF position) const {
  for (int index = 0; index < static_cast<int>(m_multiples.size()); ++index) {
    if (pictureRect(index).adjusted(0, -labelHeight(), 0, 0).contains(position)) return index;
  }
  return -1;
}

void MultiplesView::paintEvent(QPaintEvent* event) {
  QPainter painter(this);
  painter.fillRect(event->rect(), m_theme.window);
  if (m_multiples.empty()) {
    painter.setPen(m_theme.quiet);
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap, tr("No layer to show yet"));
    return;
  }
  const QFont small = smallFont(font());
  const QFontMetrics metrics(small);
  painter.setFont(small);
  painter.setRenderHint(QPainter::SmoothPixmapTransform);
  bool any = false;
  for (int index = 0; index < static_cast<int>(m_multiples.size()); ++index) {
    const Multiple& one = m_multiples[static_cast<std::size_t>(index)];
    const QRectF box = pictureRect(index);
    if (!box.adjusted(-4, -labelHeight(), 4, 4).intersects(event->rect())) continue;
    const QRectF label(box.left(), box.top() - labelHeight(), box.width(), metrics.height());
    painter.setPen(m_theme.text);
    painter.drawText(label, Qt::AlignLeft | Qt::AlignVCenter,
                     metrics.elidedText(one.name, Qt::ElideRight, static_cast<int>(label.width())));
    painter.setPen(m_theme.quiet);
    painter.drawText(label.translated(0, metrics.height()), Qt::AlignLeft | Qt::AlignVCenter,
                     metrics.elidedText(one.cost, Qt::ElideRight, static_cast<int>(label.width())));
    painter.fillRect(box, m_theme.neutral);
    painter.fillRect(box, m_theme.hatchBrush());
    const QImage& image = m_images[static_cast<std::size_t>(index)];
    any = any || !image.isNull();
    if (image.isNull())
      painter.drawText(box, Qt::AlignCenter, QStringLiteral("…"));
    else
      painter.drawImage(box, image);
    painter.setPen(QPen(index == m_current ? m_theme.selection : m_theme.frame, index == m_current ? 3 : 1));
    painter.drawRect(box);
    if (hasFocus() && index == m_focus) {
      painter.setPen(QPen(palette().color(QPalette::Highlight), 2, Qt::DotLine));
      painter.drawRect(box.adjusted(3, 3, -3, -3));
    }
  }
  if (any) {
    drawColourBar(painter, m_theme, small,
                  QRectF(width() - kBarWidth, kGap + labelHeight(), kBarWidth, std::min(kMost, std::max(m_side, 120))),
                  ColourMap(m_map, m_theme.dark), m_scale, m_quantity);
  }
}

void MultiplesView::resizeEvent(QResizeEvent*) { place(); }

void MultiplesView::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
    m_theme = ViewTheme::of(palette());
    colour();
    place();
  }
  QWidget::changeEvent(event);
}

bool MultiplesView::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip) {
    const auto* help = static_cast<QHelpEvent*>(event);
    const int index = at(help->pos());
    if (index >= 0)
      QToolTip::showText(help->globalPos(), m_multiples[static_cast<std::size_t>(index)].help, this);
    else
      QToolTip::hideText();
    return true;
  }
  return QWidget::event(event);
}

void MultiplesView::moveTo(int index) {
  if (m_multiples.empty()) return;
  m_focus = std::clamp(index, 0, static_cast<int>(m_multiples.size()) - 1);
  const QString& text = m_multiples[static_cast<std::size_t>(m_focus)].help;
  setSpokenValue(this, text);
  Q_EMIT statusText(text);
  if (auto* scroll = parentWidget() ? qobject_cast<QScrollArea*>(parentWidget()->parentWidget()) : nullptr) {
    const QPointF centre = pictureRect(m_focus).center();
    scroll->ensureVisible(static_cast<int>(centre.x()), static_cast<int>(centre.y()), 0, m_side / 2 + labelHeight());
  }
  update();
}

void MultiplesView::choose(int index) {
  if (index < 0 || index >= static_cast<int>(m_multiples.size())) return;
  const int layer = m_multiples[static_cast<std::size_t>(index)].layer;
  const int head = m_multiples[static_cast<std::size_t>(index)].head;
  moveTo(index);
  Q_EMIT chosen(layer, head);
}

void MultiplesView::mousePressEvent(QMouseEvent* event) {
  if (event->button() == Qt::LeftButton) choose(at(event->position()));
}

void MultiplesView::mouseMoveEvent(QMouseEvent* event) {
  const int index = at(event->position());
  setCursor(index >= 0 ? Qt::PointingHandCursor : Qt::ArrowCursor);
  Q_EMIT statusText(index >= 0 ? m_multiples[static_cast<std::size_t>(index)].help : QString());
}

void MultiplesView::leaveEvent(QEvent*) { Q_EMIT statusText({}); }

void MultiplesView::keyPressEvent(QKeyEvent* event) {
  switch (event->key()) {
    case Qt::Key_Left:
      moveTo(m_focus - 1);
      break;
    case Qt::Key_Right:
      moveTo(m_focus + 1);
      break;
    case Qt::Key_Up:
      if (m_focus >= m_columns) moveTo(m_focus - m_columns);
      break;
    case Qt::Key_Down:
      if (m_focus + m_columns < static_cast<int>(m_multiples.size())) moveTo(m_focus + m_columns);
      break;
    case Qt::Key_Home:
      moveTo(0);
      break;
    case Qt::Key_End:
      moveTo(static_cast<int>(m_multiples.size()) - 1);
      break;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
      choose(m_focus);
      break;
    default:
      QWidget::keyPressEvent(event);
  }
}

}  // namespace dhsa
