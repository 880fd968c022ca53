#include "ui/state/what_if.h"

#include <utility>

#include "core/analysis/pyramid.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/parameters_name.h"

namespace dhsa {
namespace {

constexpr int kDebounceMs = 80;

std::shared_ptr<const MeasuredLayer> planAndMeasure(WhatIfSources sources, const LoadedModel& model, int layer,
                                                    const SparsityParameters& parameters, const CancelToken* cancel) {
  sources.predictor = loadPredictor(parameters, model);
  auto plan = plan_layer(sources, layer, parameters, cancel);
  const auto& captured = sources.captured[static_cast<std::size_t>(layer)];
  return measure_layer(std::move(plan), captured, parameters, row_step_for(sources.document.tokens, kLivePairs),
                       cancel);
}

}  // namespace

WhatIf::WhatIf(Session* session, ParameterSet* parameters, ViewState* view, Engine* engine, QObject* parent)
    : QObject(parent), m_session(session), m_parameters(parameters), m_view(view), m_engine(engine) {
  m_debounce.setSingleShot(true);
  m_debounce.setInterval(kDebounceMs);
  connect(&m_debounce, &QTimer::timeout, this, &WhatIf::requestLayer);
  connect(session, &Session::documentChanged, this, &WhatIf::reset);
  connect(parameters, &ParameterSet::changed, this, &WhatIf::parametersChanged);
  connect(view, &ViewState::layerChanged, this, &WhatIf::layerSelected);
  connect(view, &ViewState::headChanged, this, [this] {
    requestAttention();
    requestRow();
  });
  connect(view, &ViewState::rowSelected, this, &WhatIf::requestRow);
  const auto ended = [this](JobKind kind) {
    if (kind == JobKind::kLayer) m_planning = false;
  };
  connect(engine, &Engine::finished, this, ended);
  connect(engine, &Engine::cancelled, this, ended);
  connect(engine, &Engine::failed, this, ended);
}

std::shared_ptr<const MeasuredLayer> WhatIf::layer(int index) const {
  return index >= 0 && index < layers() ? m_layers[static_cast<std::size_t>(index)] : nullptr;
}

bool WhatIf::isWhatIf(int index) const {
  const auto shown = layer(index);
  return shown && shown->parameters != m_ranWith;
}

bool WhatIf::isOutdated(int index) const {
  const auto shown = layer(index);
  return shown && shown->parameters != m_parameters->values();
}

QString WhatIf::outdatedNote(int index) const {
  if (!isOutdated(index)) return {};
  const auto shown = layer(index);
  return tr("Under %1, not under the present parameters: %2.")
      .arg(QString::fromStdString(parameters_name(shown->parameters)),
           shown->captured ? tr("the layer is planned again in a moment")
                           : tr("the run did not keep the queries and keys of this layer, run again (F5)"));
}

// What is still being computed belongs to the text, or the model, that was here before.
void WhatIf::reset() {
  for (const JobKind kind : {JobKind::kLayer, JobKind::kRow, JobKind::kPicture, JobKind::kRefine}) {
    m_engine->cancel(kind);
  }
  m_planning = false;
  m_debounce.stop();
  m_row.reset();
  m_attention.reset();
  m_lastFinished = {};
  m_finished = false;
  const Gemma2Config& config = m_session->model()->weights->config();
  m_layers.assign(static_cast<std::size_t>(config.layers), nullptr);
  const QString sha = m_session->document()->sha256;
  if (std::exchange(m_documentSha, sha) != sha) m_view->clearSelection();
  refreshStale();
  if (m_view->layer() >= layers()) m_view->setLayer(0);
  if (m_view->head() >= m_session->heads()) m_view->setHead(0);
  Q_EMIT layersReset();
}

void WhatIf::runBegins() {
  m_engine->cancel(JobKind::kRefine);
  m_running = true;
  m_firstLayer = true;
}

void WhatIf::runReached(std::shared_ptr<const MeasuredLayer> view) {
  if (std::exchange(m_firstLayer, false)) {
    if (std::exchange(m_finished, false)) m_lastFinished = {m_ranWith, m_layers};
    m_ranWith = view->parameters;
  }
  take(std::move(view));
}

void WhatIf::runEnds(bool finished) {
  m_running = false;
  const Layers last = std::exchange(m_lastFinished, {});
  if (finished) {
    m_finished = true;
  } else if (!last.views.empty()) {
    m_finished = true;
    m_ranWith = last.ranWith;
    for (const auto& view : last.views) take(view);
  }
  requestLayer();
}

void WhatIf::layerSelected() {
  m_attention.reset();
  refreshStale();
  if (m_stale && layerInView()->captured) {
    requestLayer();
  } else {
    requestAttention();
  }
  requestRow();
  requestRefinement();
}

void WhatIf::parametersChanged() {
  refreshStale();
  if (m_parameters->problem().isEmpty()) follow();
}

// At once where nothing is under way. A what-if that runs is let finish, so that a drag shows where it has been and the
// next one starts from its end; only if the hand has rested for a moment by then the newest replaces it.
void WhatIf::follow() {
  const auto shown = layerInView();
  const bool undone = shown && shown->parameters == m_parameters->values();  // what is planned is of the past
  if (m_planning && !undone) {
    m_debounce.start();
  } else {
    requestLayer();
  }
}

void WhatIf::refreshStale() {
  const bool stale = isOutdated(m_view->layer());
  if (std::exchange(m_stale, stale) != stale) Q_EMIT staleChanged(stale);
}

WhatIfSources WhatIf::sources() const {
  WhatIfSources sources;
  sources.captured.reserve(m_layers.size());
  for (const auto& view : m_layers) sources.captured.push_back(view ? view->captured : nullptr);
  sources.local = m_session->model()->weights->config().local_layer;
  sources.document = m_session->document()->content.info();
  return sources;
}

void WhatIf::requestLayer() {
  m_debounce.stop();
  const auto shown = layerInView();
  if (!m_parameters->problem().isEmpty()) return;
  if (!shown || !shown->captured || shown->parameters == m_parameters->values()) {
    m_engine->cancel(JobKind::kLayer);
    m_planning = false;
    refreshStale();
    requestAttention();
    requestRefinement();
    return;
  }
  m_planning = true;
  m_engine->submit(JobKind::kLayer,
                   [this, sources = sources(), layer = m_view->layer(), parameters = m_parameters->values(),
                    model = m_session->model()](const JobContext& job) {
                     auto view = planAndMeasure(sources, *model, layer, parameters, job.cancel());
                     job.post([this, view] {
                       m_planning = false;
                       take(view);
                       if (!m_planning) requestRefinement();
                     });
                   });
}

void WhatIf::take(std::shared_ptr<const MeasuredLayer> view) {
  if (!view) return;
  const int index = view->layer;
  m_layers[static_cast<std::size_t>(index)] = std::move(view);
  if (index == m_view->layer()) {
    const auto& now = *m_layers[static_cast<std::size_t>(index)];
    refreshStale();
    if (!m_stale && now.captured) {
      requestAttention();
      requestRow();
    }
    // The parameters have been changed since.
    if (m_stale && now.captured) follow();
  }
  Q_EMIT layerChanged(index);
}

// Exact figures for the layer in view, then the other layers under the present parameters, one at a time.
void WhatIf::requestRefinement() {
  if (m_running) return;  // the run itself brings the other layers
  if (!m_parameters->problem().isEmpty()) return;
  int next = -1;
  bool exact = false;
  for (int step = 0; step < layers() && next < 0; ++step) {
    const int index = (m_view->layer() + step) % layers();
    const auto shown = layer(index);
    if (!shown || !shown->captured) continue;
    if (shown->parameters != m_parameters->values()) next = index;
    if (step == 0 && next < 0 && shown->row_step() > 1) {
      next = index;
      exact = true;
    }
  }
  if (next < 0) return;
  m_engine->submit(JobKind::kRefine,
                   [this, sources = sources(), next, exact, old = layer(next), parameters = m_parameters->values(),
                    model = m_session->model()](const JobContext& job) {
                     auto view = exact && old->parameters == parameters
                                     ? measure_layer(old->plan, old->captured, parameters, 1, job.cancel())
                                     : planAndMeasure(sources, *model, next, parameters, job.cancel());
                     job.post([this, view, parameters, exact] {
                       if (parameters != m_parameters->values()) return;
                       if (exact) {
                         // Same plan: only the figures are better, nothing has to be drawn anew.
                         m_layers[static_cast<std::size_t>(view->layer)] = view;
                         if (!isWhatIf(view->layer)) Q_EMIT measuredExactly(view->layer);
                         Q_EMIT layerChanged(view->layer);
                       } else {
                         take(view);
                       }
                       requestRefinement();
                     });
                   });
}

void WhatIf::requestRow() {
  const auto shown = layerInView();
  const qint64 row = m_view->row();
  if (row < 0 || !shown || !shown->captured || row >= shown->plan->mask.rows()) {
    m_engine->cancel(JobKind::kRow);
    if (m_row) {
      m_row.reset();
      Q_EMIT rowChanged();
    }
    return;
  }
  m_engine->submit(JobKind::kRow, [this, shown, head = m_view->head(), row](const JobContext& job) {
    auto view = view_row(*shown, head, row);
    job.post([this, view] {
      m_row = view;
      Q_EMIT rowChanged();
    });
  });
}

void WhatIf::requestAttention() {
  const auto shown = layerInView();
  if (!shown || !shown->captured) {
    m_engine->cancel(JobKind::kPicture);
    m_attention.reset();
    Q_EMIT attentionChanged();
    return;
  }
  const int head = m_view->head();
  if (m_attention && m_attention->input().owner == shown->captured && m_attention->input().heads.front() == head &&
      m_attention->input().mask.get() == &shown->plan->mask) {
    m_engine->cancel(JobKind::kPicture);  // of a head that was in view in between
    return;
  }
  m_engine->submit(JobKind::kPicture, [this, shown, head](const JobContext& job) {
    AttentionLevels::Options options;
    options.cancel = job.cancel();
    auto levels = AttentionLevels::build({shown->captured->q(),
                                          shown->captured->k(),
                                          {head},
                                          shown->captured->layer(),
                                          std::shared_ptr<const KeyMask>(shown->plan, &shown->plan->mask),
                                          shown->captured},
                                         options);
    job.post([this, levels] {
      m_attention = levels;
      Q_EMIT attentionChanged();
    });
  });
}

}  // namespace dhsa
