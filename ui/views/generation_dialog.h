// Two continuations of the open text next to each other: dense's and the present method's.
#pragma once

#include <QDialog>
#include <array>

class QLabel;
class QPlainTextEdit;
class QPushButton;
class QSpinBox;

namespace dhsa {

class Generation;

class GenerationDialog : public QDialog {
  Q_OBJECT

 public:
  explicit GenerationDialog(Generation* generation, QWidget* parent = nullptr);

 private:
  struct Side {
    QLabel* method = nullptr;
    QPlainTextEdit* text = nullptr;
    QLabel* figures = nullptr;  // tokens and speed
    QLabel* state = nullptr;
  };
  void refresh();  // all of it
  void refreshHeadings();
  void refreshButtons();
  void compare();
  void say(int side);
  void add(int side, const QString& piece);

  Generation* m_generation;
  QSpinBox* m_most;
  QPushButton* m_start;
  QPushButton* m_cancel;
  QLabel* m_prompt;
  QLabel* m_agreement;
  std::array<Side, 2> m_sides;
};

}  // namespace dhsa
