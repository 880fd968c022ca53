// The text with its shading picker, what the selected row loses, a legend, and the find bar.
#pragma once

#include <QWidget>

class QComboBox;
class QLabel;
class QLineEdit;

namespace dhsa {

class Explorer;
struct OpenDocument;
struct QueryRow;
class TextLegend;
class TextView;

class TextPanel : public QWidget {
  Q_OBJECT

 public:
  explicit TextPanel(Explorer* explorer, QWidget* parent = nullptr);
  [[nodiscard]] TextView* textView() const noexcept { return m_text; }
  [[nodiscard]] int shading() const;
  void setShading(int shading);

 public Q_SLOTS:
  void openFind();
  void find(const QString& text);  // its first place; the keyboard stays where it is. Empty: ends the search
  void findNext();
  void findPrevious();

 Q_SIGNALS:
  void described(const QString& text);

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  [[nodiscard]] static QString tokensText(const OpenDocument& document);  // "16,384 of 20,000" where it was cut
  void find(bool backwards, bool fromStart);
  void selectMatch();    // as the row; where it is that already, the next one
  void updateHeading();  // and what is said of the selected row
  void updateLegend();
  [[nodiscard]] static QString lossText(const QueryRow& row, const OpenDocument& document);

  Explorer* m_explorer;
  TextView* m_text;
  QComboBox* m_shading;
  QLabel* m_heading;
  TextLegend* m_legend;
  QLabel* m_loss;
  QWidget* m_findBar;
  QLineEdit* m_needle;
  QLabel* m_matches;
};

}  // namespace dhsa
