// Importance of every token along the text, and retained mass of every layer and head.
#pragma once

#include <QWidget>

class QLabel;

namespace dhsa {

class Explorer;
class HeadMap;
class ImportanceStrip;

class ImportancePanel : public QWidget {
  Q_OBJECT

 public:
  explicit ImportancePanel(Explorer* explorer, QWidget* parent = nullptr);
  [[nodiscard]] ImportanceStrip* strip() const noexcept { return m_strip; }
  [[nodiscard]] HeadMap* headMap() const noexcept { return m_heads; }

 Q_SIGNALS:
  void statusText(const QString& text);

 private:
  void resetHeads();
  void showHeads(int layer);
  void showWorst();
  void showLayer();

  Explorer* m_explorer;
  ImportanceStrip* m_strip;
  HeadMap* m_heads;
  QLabel* m_worst;
};

}  // namespace dhsa
