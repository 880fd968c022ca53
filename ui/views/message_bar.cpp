#include "ui/views/message_bar.h"

#include <QAccessible>
#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QMainWindow>
#include <QPainter>
#include <QPushButton>
#include <QStatusBar>
#include <QToolButton>
#include <algorithm>

#include "ui/views/theme.h"

namespace dhsa {
namespace {

constexpr int kNewsMs = 8000;
constexpr int kWidest = 860;
constexpr int kMargin = 10;

}  // namespace

MessageBar::MessageBar(QWidget* parent)
    : QFrame(parent),
      m_icon(new QLabel(this)),
      m_text(new QLabel(this)),
      m_action(new QPushButton(this)),
      m_other(new QPushButton(this)),
      m_close(new QToolButton(this)) {
  setObjectName(QStringLiteral("messageBar"));
  setAccessibleName(tr("Messages"));
  m_text->setObjectName(QStringLiteral("messageText"));
  m_text->setWordWrap(true);
  m_text->setTextFormat(Qt::PlainText);
  m_text->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  m_close->setText(QStringLiteral("✕"));
  m_close->setAutoRaise(true);
  m_close->setToolTip(tr("Close this message"));
  m_close->setAccessibleName(tr("Close this message"));
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(14, 5, 6, 5);
  layout->addWidget(m_icon);
  layout->addWidget(m_text, 1);
  layout->addWidget(m_action);
  layout->addWidget(m_other);
  layout->addWidget(m_close);
  m_timer.setSingleShot(true);
  connect(&m_timer, &QTimer::timeout, this, &QWidget::hide);
  connect(m_close, &QToolButton::clicked, this, &QWidget::hide);
  parent->installEventFilter(this);
  hide();
}

void MessageBar::clear() {
  m_text->clear();
  hide();
}

QString MessageBar::text() const { return m_text->text(); }

// As high as the sentence needs at the width there is.
void MessageBar::place() {
  const auto* window = qobject_cast<const QMainWindow*>(parentWidget());
  const int floor = window && window->statusBar()->isVisible() ? window->statusBar()->y() : parentWidget()->height();
  const int width = std::min(kWidest, parentWidget()->width() - 2 * kMargin);
  layout()->activate();
  const int height = std::max(layout()->totalHeightForWidth(width), 34);
  setGeometry((parentWidget()->width() - width) / 2, floor - height - kMargin, width, height);
  raise();
}

void MessageBar::open(const QString& sentence, bool error) {
  m_error = error;
  m_question = false;
  m_action->hide();
  m_other->hide();
  m_icon->setText(error ? QStringLiteral("⚠") : QStringLiteral("ℹ"));
  m_text->setText(sentence);
  m_timer.stop();
  show();  // first: a bar that was never shown does not know its fonts, nor lays out its parts
  place();
  update();
  setAccessibleDescription(sentence);
  QAccessibleEvent alert(this, QAccessible::Alert);
  QAccessible::updateAccessibility(&alert);
}

void MessageBar::showError(const QString& sentence) { open(sentence, true); }

void MessageBar::showNews(const QString& sentence) {
  if (isVisible() && (m_error || m_question)) return;  // an error or a question is not pushed aside by news
  open(sentence, false);
  m_timer.start(kNewsMs);
}

void MessageBar::ask(const QString& sentence, const Answer& answer, const Answer& other) {
  open(sentence, false);
  m_question = true;
  const auto offer = [this](QPushButton* button, const Answer& offered) {
    button->disconnect(this);
    if (offered.text.isEmpty()) return;
    button->setText(offered.text);
    button->setAccessibleName(offered.text);
    connect(button, &QPushButton::clicked, this, [this, act = offered.act] {
      hide();
      act();
    });
    button->show();
  };
  offer(m_action, answer);
  offer(m_other, other);
  place();
}

bool MessageBar::eventFilter(QObject* watched, QEvent* event) {
  if (watched == parentWidget() && (event->type() == QEvent::Resize || event->type() == QEvent::LayoutRequest) &&
      !isHidden()) {
    place();
  }
  return QFrame::eventFilter(watched, event);
}

void MessageBar::paintEvent(QPaintEvent* /*event*/) {
  const Colours colours(palette());
  QPainter painter(this);
  const QColor mark = m_error ? colours.warning : colours.accent;
  painter.fillRect(rect(), mixed(palette().color(QPalette::Window), mark, 0.14));
  painter.fillRect(QRect(0, 0, 4, height()), mark);
  painter.setPen(mixed(palette().color(QPalette::Window), mark, 0.5));
  painter.drawRect(rect().adjusted(0, 0, -1, -1));
}

}  // namespace dhsa
