// What the open model is: its sizes, its files, and the memory it needs; how it computes can be chosen.
#pragma once

#include <QDialog>

class QComboBox;
class QFormLayout;
class QLabel;
class QProgressBar;
class QPushButton;

namespace dhsa {

class Session;

// Follows the session: another model is shown as soon as it is open.
class ModelDialog : public QDialog {
  Q_OBJECT

 public:
  explicit ModelDialog(Session* session, QWidget* parent = nullptr);

 private:
  void refresh();
  void add(const QString& what, const QString& text);
  void makeChoices();
  void reload();
  void showLoading(const QString& what);  // empty: nothing is loaded
  void refreshChoices();                  // to what is in use
  void refreshReload();

  Session* m_session;
  QFormLayout* m_facts;
  QComboBox* m_type;
  QComboBox* m_device;
  QPushButton* m_reload;
  QPushButton* m_cancel;
  QProgressBar* m_progress;
  QLabel* m_state;
};

}  // namespace dhsa
