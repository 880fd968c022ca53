// Tool tips of a readable width: Qt breaks the lines of rich text only.
#pragma once

#include <QObject>
#include <QString>

namespace dhsa {

// The text as it is where it is short or rich, else as rich text that is broken into lines.
[[nodiscard]] QString wrappedTip(const QString& text);

// On the application: shows the tips of widgets, tables and their headings so.
class ToolTips : public QObject {
 public:
  using QObject::QObject;
  bool eventFilter(QObject* watched, QEvent* event) override;
};

}  // namespace dhsa
