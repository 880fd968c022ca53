// The state behind the window: model, document, parameters, what is known of every layer, the runs, and the flow of
// work between them. Views read it and listen to its signals; none of them talks to the engine itself.
#pragma once

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>
#include <memory>
#include <vector>

#include "core/model/gemma2.h"
#include "ui/state/document.h"
#include "ui/state/engine.h"
#include "ui/state/layer_view.h"
#include "ui/state/parameter_set.h"
#include "ui/state/run.h"
#include "ui/state/view_state.h"

namespace dhsa {

class AttentionLevels;

struct LoadedModel {
  QString folder;
  QString name;
  bool embedded = false;
  std::shared_ptr<const Gemma2> weights;
  std::shared_ptr<const Tokenizer> tokenizer;
};

struct DocumentRequest {
  QString path;     // a file, or
  QByteArray text;  // pasted text, or neither: the sample
  QString title;    // of a text that is not a file; empty: "Pasted text"
  bool allowLong = false;
};

// A run while it runs, and the last one afterwards.
struct RunProgress {
  bool running = false;
  bool dense = false;  // the dense run that others are compared with
  std::int64_t tokens = 0;
  int layers = 0;
  std::vector<StageReport> stages;
  Stage stage = Stage::kEmbed;  // under way
  int layer = -1;
  std::int64_t residentBytes = 0;
  std::int64_t peakBytes = 0;
  double elapsed = 0;     // seconds, wall clock
  double remaining = -1;  // estimate in seconds; negative: not known yet
  [[nodiscard]] double fraction() const;
};

class Explorer : public QObject {
  Q_OBJECT

 public:
  explicit Explorer(QObject* parent = nullptr);
  ~Explorer() override;

  [[nodiscard]] ParameterSet* parameters() const noexcept { return m_parameters; }
  [[nodiscard]] ViewState* view() const noexcept { return m_view; }
  [[nodiscard]] RunList* runs() const noexcept { return m_runs; }
  [[nodiscard]] Engine* engine() const noexcept { return m_engine; }

  [[nodiscard]] const std::shared_ptr<const LoadedModel>& model() const noexcept { return m_model; }
  [[nodiscard]] const std::shared_ptr<const OpenDocument>& document() const noexcept { return m_document; }
  [[nodiscard]] const DocumentRequest& request() const noexcept { return m_request; }
  [[nodiscard]] int layers() const noexcept { return static_cast<int>(m_layers.size()); }
  [[nodiscard]] int heads() const noexcept;
  [[nodiscard]] std::shared_ptr<const LayerView> layer(int index) const;  // null until a run has reached it
  [[nodiscard]] std::shared_ptr<const LayerView> layerInView() const { return layer(m_view->layer()); }
  [[nodiscard]] std::shared_ptr<const RowView> row() const noexcept { return m_row; }  // of the selected row
  // Reduced dense and sparse attention of the head in view; null until built, and of an older plan while isStale().
  [[nodiscard]] std::shared_ptr<const AttentionLevels> attention() const noexcept { return m_attention; }
  [[nodiscard]] const RunProgress& progress() const noexcept { return m_progress; }
  // Parameters of the run whose q and k are shown.
  [[nodiscard]] const SparsityParameters& ranWith() const noexcept { return m_ranWith; }
  // True while what is shown for the layer in view does not belong to the present parameters yet.
  [[nodiscard]] bool isStale() const noexcept { return m_stale; }
  // Run that the layer in view is compared with (the pinned one), null without one or if it does not fit.
  [[nodiscard]] const Run* comparison() const;
  [[nodiscard]] int currentRunId() const noexcept { return m_currentRun; }
  [[nodiscard]] bool compareAfterRun() const noexcept { return m_compareAfterRun; }

  // Embedded model and `document`, run with the present parameters.
  void start(const QString& modelFolder, const DocumentRequest& document);
  // Says the memory a model will take (modelInspected) before anything is loaded.
  void inspectModel(const QString& folder);
  void openModel(const QString& folder);
  void openDocument(const DocumentRequest& request);

 public Q_SLOTS:
  void run();
  void compareWithDense();
  void cancel();  // run, comparison or loading, whatever goes on; else the work in the background
  void setCompareAfterRun(bool on) { m_compareAfterRun = on; }

 Q_SIGNALS:
  void modelChanged();
  void documentChanged();
  void layersReset();            // number of layers or tokens changed; all views of layers are gone
  void layerChanged(int layer);  // plan, metrics or importance of a layer are new
  void rowChanged();
  void attentionChanged();
  void staleChanged(bool stale);
  void progressChanged();
  void busyChanged();
  void runFinished(int id);
  void modelInspected(const QString& folder, qint64 bytes, qint64 available);
  // For the message bar: `failed` for errors, otherwise news.
  void message(const QString& sentence, bool failed);
  void documentCut(const QString& sentence);  // the text is longer than the model's context

 private:
  struct DenseReference;
  class LiveObserver;

  void modelLoaded(std::shared_ptr<const LoadedModel> model);
  void documentLoaded(std::shared_ptr<const OpenDocument> document);
  void jobEnded(JobKind kind);
  void parametersChanged();
  void setStale(bool stale);
  void followParameters();
  void requestLayer();
  void requestRow();
  void requestAttention();
  void requestRefinement();
  void takeLayer(std::shared_ptr<const LayerView> view);
  void finishRun(Run run, std::shared_ptr<const std::vector<float>> hidden);
  void takeProgress(const RunProgress& progress);
  [[nodiscard]] LayerSources sources() const;
  [[nodiscard]] std::vector<int> layersToCapture() const;
  void submitPrefill(JobKind kind, const SparsityParameters& parameters, bool capture);
  void submitComparison();

  ParameterSet* m_parameters;
  ViewState* m_view;
  RunList* m_runs;
  Engine* m_engine;

  std::shared_ptr<const LoadedModel> m_model;
  std::shared_ptr<const OpenDocument> m_document;
  DocumentRequest m_request;  // of the document that is shown or being loaded
  std::vector<std::shared_ptr<const LayerView>> m_layers;
  std::shared_ptr<const RowView> m_row;
  std::shared_ptr<const AttentionLevels> m_attention;
  RunProgress m_progress;
  QElapsedTimer m_clock;
  QTimer m_tick;            // elapsed and remaining time during a run
  QTimer m_debounce;        // slider to what-if, while an older one runs
  bool m_planning = false;  // a what-if of the layer in view is under way
  SparsityParameters m_ranWith;
  int m_currentRun = 0;
  bool m_stale = false;
  bool m_compareAfterRun = true;
  std::shared_ptr<const std::vector<float>> m_finalHidden;  // of the current run
  std::shared_ptr<const DenseReference> m_dense;
};

}  // namespace dhsa
