// All shortcuts, from the one table of commands.
#pragma once

#include <QDialog>

namespace dhsa {

class ShortcutsDialog : public QDialog {
  Q_OBJECT

 public:
  explicit ShortcutsDialog(QWidget* parent = nullptr);
};

}  // namespace dhsa
