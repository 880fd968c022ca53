// Selects the row of a token, or the keys of a chunk, by its number.
#pragma once

#include <QDialog>
#include <cstdint>
#include <vector>

class QComboBox;
class QLabel;
class QSpinBox;

namespace dhsa {

class Explorer;

class GoToDialog : public QDialog {
  Q_OBJECT

 public:
  explicit GoToDialog(Explorer* explorer, QWidget* parent = nullptr);
  void accept() override;

 private:
  [[nodiscard]] const std::vector<std::int32_t>* boundaries() const;  // null where there are no chunks
  [[nodiscard]] qint64 firstToken() const;                            // of what is named
  void chooseKind();
  void describe();

  Explorer* m_explorer;
  QComboBox* m_kind;
  QSpinBox* m_number;
  QLabel* m_text;
};

}  // namespace dhsa
