#include "ui/views/theme.h"

#include <QApplication>
#include <QProxyStyle>
#include <QStyleOptionButton>

namespace dhsa {
namespace {

QPalette lightPalette() {
  QPalette p(QColor(0xf4, 0xf5, 0xf7));
  const QColor text(0x1d, 0x23, 0x2b);
  p.setColor(QPalette::Window, QColor(0xf1, 0xf3, 0xf5));
  p.setColor(QPalette::WindowText, text);
  p.setColor(QPalette::Base, Qt::white);
  p.setColor(QPalette::AlternateBase, QColor(0xf6, 0xf8, 0xfa));
  p.setColor(QPalette::Text, text);
  p.setColor(QPalette::PlaceholderText, QColor(0x7a, 0x84, 0x90));
  p.setColor(QPalette::Button, QColor(0xf4, 0xf5, 0xf7));
  p.setColor(QPalette::ButtonText, text);
  p.setColor(QPalette::ToolTipBase, QColor(0xff, 0xff, 0xf2));
  p.setColor(QPalette::ToolTipText, text);
  p.setColor(QPalette::Highlight, QColor(0x00, 0x6b, 0xb0));
  p.setColor(QPalette::HighlightedText, Qt::white);
  p.setColor(QPalette::Link, QColor(0x00, 0x6b, 0xb0));
  for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText}) {
    p.setColor(QPalette::Disabled, role, QColor(0x9a, 0xa3, 0xad));
  }
  p.setColor(QPalette::Disabled, QPalette::Highlight, QColor(0xc3, 0xca, 0xd1));
  return p;
}

QPalette darkPalette() {
  QPalette p(QColor(0x2c, 0x31, 0x38));
  const QColor text(0xe4, 0xe8, 0xec);
  p.setColor(QPalette::Window, QColor(0x23, 0x27, 0x2d));
  p.setColor(QPalette::WindowText, text);
  p.setColor(QPalette::Base, QColor(0x1a, 0x1d, 0x22));
  p.setColor(QPalette::AlternateBase, QColor(0x20, 0x24, 0x2a));
  p.setColor(QPalette::Text, text);
  p.setColor(QPalette::PlaceholderText, QColor(0x8b, 0x95, 0xa1));
  p.setColor(QPalette::Button, QColor(0x2f, 0x34, 0x3c));
  p.setColor(QPalette::ButtonText, text);
  p.setColor(QPalette::BrightText, QColor(0xff, 0x8a, 0x65));
  p.setColor(QPalette::ToolTipBase, QColor(0x32, 0x38, 0x40));
  p.setColor(QPalette::ToolTipText, text);
  p.setColor(QPalette::Highlight, QColor(0x2f, 0x86, 0xc9));
  p.setColor(QPalette::HighlightedText, Qt::white);
  p.setColor(QPalette::Link, QColor(0x6c, 0xb6, 0xf0));
  for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText}) {
    p.setColor(QPalette::Disabled, role, QColor(0x6d, 0x76, 0x80));
  }
  p.setColor(QPalette::Disabled, QPalette::Highlight, QColor(0x46, 0x4d, 0x56));
  return p;
}

// Fusion draws the frame of a check box in a darker colour than the window's, which nobody sees on a dark one.
class VisibleChecks : public QProxyStyle {
 public:
  VisibleChecks() : QProxyStyle(QStringLiteral("Fusion")) {}
  void drawPrimitive(PrimitiveElement element, const QStyleOption* option, QPainter* painter,
                     const QWidget* widget) const override {
    const auto* box = qstyleoption_cast<const QStyleOptionButton*>(option);
    if (element != PE_IndicatorCheckBox || box == nullptr || !isDark(option->palette)) {
      QProxyStyle::drawPrimitive(element, option, painter, widget);
      return;
    }
    QStyleOptionButton seen = *box;
    seen.palette.setColor(QPalette::Window,
                          option->palette.color(QPalette::Disabled, QPalette::WindowText).lighter(140));
    QProxyStyle::drawPrimitive(element, &seen, painter, widget);
  }
};

}  // namespace

bool isDark(const QPalette& palette) {
  return palette.color(QPalette::Window).lightness() < palette.color(QPalette::WindowText).lightness();
}

void applyTheme(Theme theme) {
  // What the desktop gave us before the first change; Fusion's own where the platform has no opinion.
  static const QPalette system = QApplication::palette();
  QApplication::setStyle(new VisibleChecks);
  const bool dark = theme == Theme::kDark || (theme == Theme::kSystem && isDark(system));
  QApplication::setPalette(dark ? darkPalette() : lightPalette());
}

Colours::Colours(const QPalette& palette) {
  const bool dark = isDark(palette);
  const QColor base = palette.color(QPalette::Base);
  const QColor text = palette.color(QPalette::Text);
  const QColor blue(0x00, 0x72, 0xb2);
  const QColor sky(0x56, 0xb4, 0xe9);
  const QColor vermilion(0xd5, 0x5e, 0x00);
  accent = dark ? sky : blue;
  chunkTint[0] = base;
  chunkTint[1] = mixed(base, text, dark ? 0.1 : 0.07);  // grey: blue is for what is kept
  chunkRule = mixed(base, text, dark ? 0.6 : 0.55);
  kept = dark ? QColor(0x3f, 0x9b, 0xd8) : QColor(0x3a, 0x94, 0xce);
  dropped = mixed(base, text, 0.35);
  important = dark ? QColor(0xf0, 0x7b, 0x2c) : vermilion;
  importance = dark ? QColor(0xe6, 0x9f, 0x00) : QColor(0xe6, 0x9f, 0x00);
  faint = mixed(palette.color(QPalette::Window), palette.color(QPalette::WindowText), 0.62);
  grid = mixed(base, text, dark ? 0.16 : 0.11);
  warning = important;
  stage = {QColor(0x99, 0x99, 0x99), QColor(0x00, 0x9e, 0x73), QColor(0xf0, 0xe4, 0x42), QColor(0x00, 0x72, 0xb2),
           QColor(0xcc, 0x79, 0xa7), QColor(0xe6, 0x9f, 0x00), QColor(0x66, 0x66, 0x66)};
}

}  // namespace dhsa
