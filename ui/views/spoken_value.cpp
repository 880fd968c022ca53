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
    const QString spoken = widget()->property(kProperty).toString();
    if (kind == QAccessible::Value) return spoken;
    // Screen readers say a changed description; few ask a chart for its value.
    if (kind == QAccessible::Description) return spoken + QStringLiteral(". ") + QAccessibleWidget::text(kind);
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
  const bool first = !widget->property(kProperty).isValid();
  if (!first && widget->property(kProperty).toString() == text) return;
  widget->setProperty(kProperty, text);
  if (first) {
    // Naming the widget may have made a plain interface already, which would be kept.
    if (QAccessibleInterface* plain = QAccessible::queryAccessibleInterface(widget))
      QAccessible::deleteAccessibleInterface(QAccessible::uniqueId(plain));
  }
  QAccessibleEvent event(widget, QAccessible::DescriptionChanged);
  QAccessible::updateAccessibility(&event);
}

QString spokenValue(const QWidget* widget) { return widget->property(kProperty).toString(); }

}  // namespace dhsa
