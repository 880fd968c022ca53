// What the open model is: its sizes, its files, how it computes, and the memory it needs.
#pragma once

#include <QDialog>

class QFormLayout;

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

  Session* m_session;
  QFormLayout* m_facts;
};

}  // namespace dhsa
