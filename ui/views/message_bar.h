// News and errors inside the window: never a modal dialog. Errors stay until closed, news goes by itself.
#pragma once

#include <QFrame>
#include <QTimer>
#include <functional>

class QLabel;
class QPushButton;
class QToolButton;

namespace dhsa {

// Lies over the lower edge of its parent, above the status line, so that no panel moves when it comes or goes.
class MessageBar : public QFrame {
  Q_OBJECT

 public:
  explicit MessageBar(QWidget* parent);

  struct Answer {
    QString text;
    std::function<void()> act;
  };

  void showError(const QString& sentence);
  void showNews(const QString& sentence);
  // A question with one or two things to do; closing the bar is the answer "no".
  void ask(const QString& sentence, const Answer& answer, const Answer& other = {});
  void clear();  // what it says is no longer so
  [[nodiscard]] QString text() const;
  [[nodiscard]] bool isError() const noexcept { return m_error; }
  [[nodiscard]] QPushButton* actionButton() const noexcept { return m_action; }
  [[nodiscard]] QPushButton* otherButton() const noexcept { return m_other; }

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;
  void paintEvent(QPaintEvent* event) override;

 private:
  void open(const QString& sentence, bool error);
  void place();
  QLabel* m_icon;
  QLabel* m_text;
  QPushButton* m_action;
  QPushButton* m_other;
  QToolButton* m_close;
  QTimer m_timer;
  bool m_question = false;
  bool m_error = false;
};

}  // namespace dhsa
