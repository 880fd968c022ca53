// Figure of what is open, as it will be printed: choose what and for which venue, see it at true size, save or copy it.
#pragma once

#include <QDialog>
#include <QTimer>
#include <memory>

#include "core/evaluate/figure_companion.h"

class QComboBox;
class QLabel;
class QProgressBar;
class QPushButton;
class QThread;

namespace dhsa {

class Explorer;

class ExportDialog : public QDialog {
  Q_OBJECT

 public:
  explicit ExportDialog(Explorer* explorer, QWidget* parent = nullptr);
  ~ExportDialog() override;
  [[nodiscard]] FigureSpec spec() const;
  // Figure, data and description; with all layers one set for each, the layer's number in the name. False, with a
  // sentence in the dialog, where that is impossible.
  bool saveTo(const QString& path);
  [[nodiscard]] bool isBusy() const { return m_thread != nullptr; }

 private:
  void refresh();  // data and preview anew, on a thread of their own
  void showPreview();
  void choosePath();
  void copyFigure();
  void copyData();
  [[nodiscard]] std::shared_ptr<const FigureMaterial> material() const;
  [[nodiscard]] FigureOrigin origin(const FigureSpec& spec, const QString& path) const;
  void writeOne(FigureSpec spec, const FigureMaterial& material, const QString& path);

  Explorer* m_explorer;
  QComboBox* m_what;
  QComboBox* m_layer;
  QComboBox* m_venue;
  QComboBox* m_columns;
  QComboBox* m_map;
  QLabel* m_preview;
  QLabel* m_message;
  QProgressBar* m_busy;
  QPushButton* m_save;
  QPushButton* m_copyFigure;
  QPushButton* m_copyData;
  QTimer m_soon;
  QThread* m_thread = nullptr;
  std::shared_ptr<CancelToken> m_cancel;
  std::shared_ptr<const FigureData> m_data;
  FigureSpec m_shown;
  bool m_again = false;
};

}  // namespace dhsa
