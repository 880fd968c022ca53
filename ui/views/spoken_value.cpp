#include "ui/views/spoken_value.h"

#include <QAccessible>
#include <QAccessibleWidget>
#include <QVariant>

namespace dhsa {

namespace {

constexpr char kProperty[] = "dhsaSpokenValue";

class SpokenWidget : public QAccessibleWidget {
 public:
  explicit SpokenWidget(QWidget* widget) : QAccessibleWidget(widget, QAccessible::Chart) {}
  [[nodiscard]] QString text(QAccessible::Text kind) const override {
    if (kind == QAccessible::Value) return widget()->property(kProperty).toString();
    return QAccessibleWidget::text(kind);
  }
};

QAccessibleInterface* makeInterface(const QString&, QObject* object) {
  auto* widget = qobject_cast<QWidget*>(object);
  return widget != nullptr && widget->property(kProperty).isValid() ? new SpokenWidget(widget) : nullptr;
}

}  // namespace

void setSpokenValue(QWidget* widget, const QString& text) {
  [[maybe_unused]] static const bool installed = (QAccessible::installFactory(makeInterface), true);
  if (widget->property(kProperty).isValid() && widget->property(kProperty).toString() == text) return;
  widget->setProperty(kProperty, text);
  if (!QAccessible::isActive()) return;
  QAccessibleValueChangeEvent event(widget, text);
  QAccessible::updateAccessibility(&event);
}

QString spokenValue(const QWidget* widget) { return widget->property(kProperty).toString(); }

}  // namespace dhsa
