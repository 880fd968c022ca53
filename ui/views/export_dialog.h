// Figure of what is open, as it will be printed: choose what and for which venue, see it, save or copy it.
#pragma once

#include <QDialog>
#include <QImage>
#include <QTimer>
#include <functional>
#include <memory>
#include <vector>

#include "core/figures/sidecar.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QProgressBar;
class QPushButton;
class QScrollArea;
class QSpinBox;
class QThread;

namespace dhsa {

class Explorer;
struct LoadedModel;
struct OpenDocument;

class ExportDialog : public QDialog {
  Q_OBJECT

 public:
  explicit ExportDialog(Explorer* explorer, QWidget* parent = nullptr);
  ~ExportDialog() override;
  [[nodiscard]] FigureSpec spec() const;
  // Figure, data and description, on a thread; with all layers or heads one set for each, their numbers in the name.
  // Says in the dialog how it went. A file is written whole or not at all.
  void saveTo(const QString& path);
  void setResults(const QString& path);  // the file that curves, scores and needle tests are drawn from
  void showResults(const QString& what, const QString& path);  // `what`: key of a figure's kind
  // All layers of the head in view, or all heads of the layer, in one figure.
  void showMultiples(const QString& what, bool byLayer);
  void cancel();  // the saving; figures that are finished stay
  [[nodiscard]] bool isBusy() const { return m_thread != nullptr; }

 protected:
  void resizeEvent(QResizeEvent* event) override;

 private:
  struct Job {
    QString path;
    FigureSpec spec;
  };
  [[nodiscard]] std::vector<Job> jobs(const QString& path) const;
  // What the window holds, taken on its own thread and looked into on another.
  struct Sources {
    std::shared_ptr<const OpenDocument> document;  // null, and model too, for figures of results
    std::shared_ptr<const LoadedModel> model;
    SparsityParameters parameters;  // under which the layer in view is shown
    SparsityParameters ranWith;     // under which q and k were made
    FigureMaterial material;
    std::vector<SparsityParameters> plannedWith;  // [layers]

    // Names the panels' layers in full and plans again the layers of the figure that are still shown under other
    // parameters. Throws Error, Cancelled.
    void follow(FigureSpec& spec, const CancelToken* cancel);
    // Where text and model are found; a text that is not on disk as it was read is `beside` the figures. Throws Error.
    [[nodiscard]] FigureOrigin origin(bool beside) const;
    [[nodiscard]] bool textIsOnDisk() const;
  };
  // Null where there is nothing to draw yet, and `why` says so.
  [[nodiscard]] std::shared_ptr<Sources> sources(QString& why) const;
  void refresh();  // data and preview anew, on a thread of their own
  void showPreview();
  void placePreview();
  void showWhatCounts();
  void say(const QString& sentence, bool ofPreview);  // the next preview takes its own words back, no others
  void choosePath();
  void copyFigure();
  void copyData();
  void setSaving(bool saving);
  // What is done on the thread, and once it is over, in the window.
  void work(std::function<void()> onThread, std::function<void()> afterwards);

  Explorer* m_explorer;
  int m_layerInView;  // when the dialog was opened; it keeps to them
  int m_headInView;
  QComboBox* m_what;
  QPushButton* m_results;
  QString m_resultsPath;
  QComboBox* m_layer;
  QComboBox* m_head;
  QComboBox* m_venue;
  QComboBox* m_columns;
  QComboBox* m_map;
  QComboBox* m_scale;
  QComboBox* m_part;
  QSpinBox* m_dpi;
  QLabel* m_preview;
  QScrollArea* m_scroll;
  QCheckBox* m_fit;
  QImage m_image;  // of the preview, at the figure's size
  QLabel* m_message;
  QProgressBar* m_busy;
  QPushButton* m_save;
  QPushButton* m_copyFigure;
  QPushButton* m_copyData;
  QPushButton* m_cancelSaving;
  QTimer m_soon;
  QThread* m_thread = nullptr;
  std::shared_ptr<CancelToken> m_cancel;
  std::shared_ptr<const FigureData> m_data;
  FigureSpec m_shown;
  bool m_saving = false;
  bool m_saysFault = true;
  bool m_again = false;  // something was chosen while the thread was at work
};

}  // namespace dhsa
