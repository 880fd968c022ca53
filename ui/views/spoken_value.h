// Lets a widget that paints its own contents say the value under its cursor to a screen reader.
#pragma once

#include <QString>
#include <QWidget>

namespace dhsa {

// The widget's accessible value becomes `text`, and assistive programs are told of the change.
void setSpokenValue(QWidget* widget, const QString& text);
[[nodiscard]] QString spokenValue(const QWidget* widget);

}  // namespace dhsa
