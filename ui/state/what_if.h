// What is known of every layer, and what the layer in view would be under the present parameters: planned and measured
// again from the run's queries and keys while a slider moves, at once for the layer in view, then for the others.
#pragma once

#include <QObject>
#include <QTimer>
#include <memory>
#include <vector>

#include "core/run/what_if.h"
#include "ui/state/engine.h"
#include "ui/state/parameter_set.h"
#include "ui/state/session.h"
#include "ui/state/view_state.h"

namespace dhsa {

class AttentionLevels;

class WhatIf : public QObject {
  Q_OBJECT

 public:
  WhatIf(Session* session, ParameterSet* parameters, ViewState* view, Engine* engine, QObject* parent = nullptr);

  [[nodiscard]] int layers() const noexcept { return static_cast<int>(m_layers.size()); }
  [[nodiscard]] std::shared_ptr<const MeasuredLayer> layer(int index) const;  // null until a run has reached it
  [[nodiscard]] std::shared_ptr<const MeasuredLayer> layerInView() const { return layer(m_view->layer()); }
  [[nodiscard]] std::shared_ptr<const QueryRow> row() const noexcept { return m_row; }  // of the selected row
  // Reduced dense and sparse attention of the head in view; null until built, and of an older plan while isStale().
  [[nodiscard]] std::shared_ptr<const AttentionLevels> attention() const noexcept { return m_attention; }
  // Parameters of the run whose q and k are shown.
  [[nodiscard]] const SparsityParameters& ranWith() const noexcept { return m_ranWith; }
  // The layer is planned on q and k of a run with other parameters.
  [[nodiscard]] bool isWhatIf(int index) const;
  // What is shown of the layer belongs to other parameters than the present ones: not planned again yet, or never
  // where the run did not keep its q, k and v.
  [[nodiscard]] bool isOutdated(int index) const;
  [[nodiscard]] QString outdatedNote(int index) const;             // a sentence for tool tips; empty where it is not
  [[nodiscard]] bool isStale() const noexcept { return m_stale; }  // isOutdated() of the layer in view

  // A run's layers replace those of the one before as they come. If it ends early, those of the last finished run of
  // the same document come back: q and k of all layers have to be of one run.
  void runBegins();
  void runReached(std::shared_ptr<const MeasuredLayer> view);
  void runEnds(bool finished);

 Q_SIGNALS:
  void layersReset();            // number of layers or tokens changed; all views of layers are gone
  void layerChanged(int layer);  // plan, metrics or importance of a layer are new
  void rowChanged();
  void attentionChanged();
  void staleChanged(bool stale);
  void measuredExactly(int layer);  // of the run itself: all rows, where the run looked at some

 private:
  // Of one run.
  struct Layers {
    SparsityParameters ranWith;
    std::vector<std::shared_ptr<const MeasuredLayer>> views;
  };
  void reset();
  void layerSelected();
  void parametersChanged();
  void refreshStale();
  void follow();
  void requestLayer();
  void requestRow();
  void requestAttention();
  void requestRefinement();
  void take(std::shared_ptr<const MeasuredLayer> view);
  [[nodiscard]] WhatIfSources sources() const;

  Session* m_session;
  ParameterSet* m_parameters;
  ViewState* m_view;
  Engine* m_engine;
  std::vector<std::shared_ptr<const MeasuredLayer>> m_layers;
  Layers m_lastFinished;    // while layers of another run come
  bool m_finished = false;  // m_layers are those of a run that came to its end
  bool m_running = false;
  bool m_firstLayer = false;  // of the run under way is awaited
  SparsityParameters m_ranWith;
  QString m_documentSha;
  std::shared_ptr<const QueryRow> m_row;
  std::shared_ptr<const AttentionLevels> m_attention;
  QTimer m_debounce;        // slider to what-if, while an older one runs
  bool m_planning = false;  // a what-if of the layer in view is under way
  bool m_stale = false;
};

// Query-key pairs per head that a live measurement looks at, and one in the middle of a run.
inline constexpr std::int64_t kLivePairs = 1'000'000;

}  // namespace dhsa
