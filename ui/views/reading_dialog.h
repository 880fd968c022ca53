// How the open text is read (as a turn of a chat, which line is its question, whole or cut), and what came of it.
#pragma once

#include <QDialog>

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QUndoStack;

namespace dhsa {

class Session;

// Apply and OK read the text again where anything was changed. Follows the session.
class ReadingDialog : public QDialog {
  Q_OBJECT

 public:
  // A change is a step of `undo`.
  ReadingDialog(Session* session, QUndoStack* undo, QWidget* parent = nullptr);
  void accept() override;

 private:
  bool apply();    // false where what was entered does not fit; it is said
  void refresh();  // what the session's request says
  void say();      // what the document came to

  Session* m_session;
  QUndoStack* m_undo;
  QComboBox* m_chat;
  QLineEdit* m_marks;
  QCheckBox* m_whole;
  QLabel* m_result;
};

}  // namespace dhsa
