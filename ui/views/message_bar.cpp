#include "ui/views/message_bar.h"

#include <QAccessible>
#include <QAction>
#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QPushButton>
#include <QToolButton>
#include <algorithm>

#include "ui/views/theme.h"

namespace dhsa {
namespace {

constexpr int kNewsMs = 8000;

}  // namespace

MessageBar::MessageBar(QWidget* parent)
    : QToolBar(parent),
      m_body(new QWidget(this)),
      m_icon(new QLabel(this)),
      m_text(new QLabel(this)),
      m_action(new QPushButton(this)),
      m_close(new QToolButton(this)) {
  setObjectName(QStringLiteral("messageBar"));
  setAccessibleName(tr("Messages"));
  m_action->setAccessibleName(tr("Do what the message offers"));
  m_text->setObjectName(QStringLiteral("messageText"));
  m_text->setWordWrap(true);
  m_text->setTextFormat(Qt::PlainText);
  m_text->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  m_close->setText(QStringLiteral("✕"));
  m_close->setAutoRaise(true);
  m_close->setToolTip(tr("Close this message"));
  m_close->setAccessibleName(tr("Close this message"));
  setMovable(false);
  setFloatable(false);
  setWindowTitle(tr("Messages"));
  toggleViewAction()->setVisible(false);
  setContentsMargins(0, 0, 0, 0);
  layout()->setContentsMargins(0, 0, 0, 0);
  m_body->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  m_body->installEventFilter(this);
  addWidget(m_body);
  auto* layout = new QHBoxLayout(m_body);
  layout->setContentsMargins(14, 5, 6, 5);
  layout->addWidget(m_icon);
  layout->addWidget(m_text, 1);
  layout->addWidget(m_action);
  layout->addWidget(m_close);
  m_timer.setSingleShot(true);
  connect(&m_timer, &QTimer::timeout, this, &QWidget::hide);
  connect(m_close, &QToolButton::clicked, this, &QWidget::hide);
  connect(m_action, &QPushButton::clicked, this, [this] {
    hide();
    if (m_act) m_act();
  });
  hide();
}

void MessageBar::clear() {
  m_text->clear();
  hide();
}

QString MessageBar::text() const { return m_text->text(); }

void MessageBar::open(const QString& sentence, bool error) {
  m_error = error;
  m_act = nullptr;
  m_action->hide();
  m_icon->setText(error ? QStringLiteral("⚠") : QStringLiteral("ℹ"));
  m_text->setText(sentence);
  m_timer.stop();
  show();
  m_body->setFixedHeight(std::max(m_body->layout()->minimumHeightForWidth(std::max(m_body->width(), 200)), 30));
  m_body->update();
  setAccessibleDescription(sentence);
  QAccessibleEvent alert(this, QAccessible::Alert);
  QAccessible::updateAccessibility(&alert);
}

void MessageBar::showError(const QString& sentence) { open(sentence, true); }

void MessageBar::showNews(const QString& sentence) {
  if (isVisible() && (m_error || m_act)) return;  // an error or a question is not pushed aside by news
  open(sentence, false);
  m_timer.start(kNewsMs);
}

void MessageBar::ask(const QString& sentence, const QString& action, std::function<void()> act) {
  open(sentence, false);
  m_act = std::move(act);
  m_action->setText(action);
  m_action->setAccessibleName(action);
  m_action->show();
}

bool MessageBar::eventFilter(QObject* watched, QEvent* event) {
  if (watched == m_body && event->type() == QEvent::Resize) {
    // A tool bar does not ask its widgets for a height that goes with their width.
    m_body->setFixedHeight(std::max(m_body->layout()->minimumHeightForWidth(m_body->width()), 30));
  }
  if (watched == m_body && event->type() == QEvent::Paint) {
    const Colours colours(palette());
    QPainter painter(m_body);
    const QColor mark = m_error ? colours.warning : colours.accent;
    painter.fillRect(m_body->rect(), mixed(palette().color(QPalette::Window), mark, 0.14));
    painter.fillRect(QRect(0, 0, 4, m_body->height()), mark);
    return true;
  }
  return QToolBar::eventFilter(watched, event);
}

}  // namespace dhsa
