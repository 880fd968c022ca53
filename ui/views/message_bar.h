// News and errors inside the window: never a modal dialog. Errors stay until closed, news goes by itself.
#pragma once

#include <QTimer>
#include <QToolBar>
#include <functional>

class QLabel;
class QPushButton;
class QToolButton;

namespace dhsa {

// A tool bar, so that the main window makes room for it above the panels.
class MessageBar : public QToolBar {
  Q_OBJECT

 public:
  explicit MessageBar(QWidget* parent = nullptr);

  void showError(const QString& sentence);
  void showNews(const QString& sentence);
  // A question with one thing to do; closing the bar is the answer "no".
  void ask(const QString& sentence, const QString& action, std::function<void()> act);
  void clear();  // what it says is no longer so
  [[nodiscard]] QString text() const;
  [[nodiscard]] bool isError() const noexcept { return m_error; }
  [[nodiscard]] QPushButton* actionButton() const noexcept { return m_action; }

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void open(const QString& sentence, bool error);
  QWidget* m_body;
  QLabel* m_icon;
  QLabel* m_text;
  QPushButton* m_action;
  QToolButton* m_close;
  QTimer m_timer;
  std::function<void()> m_act;
  bool m_error = false;
};

}  // namespace dhsa
