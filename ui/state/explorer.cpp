#include "ui/state/explorer.h"

#include <QDir>
#include <algorithm>
#include <array>

#include "core/analysis/pyramid.h"
#include "core/base/memory.h"
#include "ui/state/explorer_internal.h"

namespace dhsa {
namespace {

constexpr int kDebounceMs = 80;
constexpr int kTickMs = 100;
// A comparison with dense starts by itself only where the run was shorter than this.
constexpr double kAutoCompareSeconds = 30.0;

double estimateRemaining(const RunProgress& progress, double elapsed) {
  // Stages alternate with the kind of layer, so what the last two layers took is the best guess for the rest.
  std::vector<double> seconds(static_cast<std::size_t>(std::max(progress.layers, 1)), 0.0);
  int reached = -1;
  for (const StageReport& report : progress.stages) {
    if (report.layer < 0) continue;
    seconds[static_cast<std::size_t>(report.layer)] += report.seconds;
    if (report.stage == Stage::kMlp) reached = report.layer;
  }
  if (reached < 1) return -1;
  const auto at = static_cast<std::size_t>(reached);
  const double perLayer = (seconds[at] + seconds[at - 1]) / 2;
  double total = 0;
  for (std::size_t l = 0; l <= at; ++l) total += seconds[l];
  // Views are measured between the stages; that time is part of what a person waits for.
  const double overhead = std::clamp(elapsed / std::max(total, 1e-6), 1.0, 3.0);
  return perLayer * overhead * (progress.layers - 1 - reached);
}

}  // namespace

double RunProgress::fraction() const {
  if (!running) return stages.empty() ? 0.0 : 1.0;
  if (layers == 0) return 0.0;
  const auto done = std::count_if(stages.begin(), stages.end(), [](const StageReport& r) { return r.layer >= 0; });
  return std::min(1.0, static_cast<double>(done) / (5.0 * layers));
}

Explorer::Explorer(QObject* parent)
    : QObject(parent),
      m_parameters(new ParameterSet(this)),
      m_view(new ViewState(this)),
      m_runs(new RunList(this)),
      m_engine(new Engine(this)) {
  m_debounce.setSingleShot(true);
  m_debounce.setInterval(kDebounceMs);
  m_tick.setInterval(kTickMs);
  connect(&m_debounce, &QTimer::timeout, this, &Explorer::requestLayer);
  connect(&m_tick, &QTimer::timeout, this, [this] {
    const double now = static_cast<double>(m_clock.elapsed()) / 1000.0;
    if (m_progress.remaining > 0) {
      m_progress.remaining = std::max(0.0, m_progress.remaining - (now - m_progress.elapsed));
    }
    m_progress.elapsed = now;
    Q_EMIT progressChanged();
  });
  connect(m_parameters, &ParameterSet::changed, this, &Explorer::parametersChanged);
  connect(m_parameters, &ParameterSet::refused, this,
          [this](const QString& sentence) { Q_EMIT message(sentence, true); });
  connect(m_view, &ViewState::layerChanged, this, [this] {
    m_attention.reset();
    const auto shown = layerInView();
    const bool fits = shown && shown->parameters == m_parameters->values();
    if (shown && !fits && shown->captured) {
      setStale(true);
      requestLayer();
    } else {
      setStale(false);
      requestAttention();
    }
    requestRow();
    requestRefinement();
  });
  connect(m_view, &ViewState::headChanged, this, [this] {
    requestAttention();
    requestRow();
  });
  connect(m_view, &ViewState::rowSelected, this, &Explorer::requestRow);
  connect(m_engine, &Engine::started, this, &Explorer::busyChanged);
  connect(m_engine, &Engine::finished, this, &Explorer::jobEnded);
  connect(m_engine, &Engine::cancelled, this, [this](JobKind kind) {
    jobEnded(kind);
    if (kind == JobKind::kPrefill) Q_EMIT message(tr("Run cancelled."), false);
    if (kind == JobKind::kCompare) Q_EMIT message(tr("Comparison with dense cancelled."), false);
  });
  connect(m_engine, &Engine::failed, this, [this](JobKind kind, quint64, const QString& sentence) {
    jobEnded(kind);
    Q_EMIT message(sentence, true);
  });
}

Explorer::~Explorer() {
  // Join before anything the jobs' deliveries refer to goes away.
  delete m_engine;
}

int Explorer::heads() const noexcept { return m_model ? static_cast<int>(m_model->weights->config().heads) : 0; }

std::shared_ptr<const LayerView> Explorer::layer(int index) const {
  return index >= 0 && index < layers() ? m_layers[static_cast<std::size_t>(index)] : nullptr;
}

const Run* Explorer::comparison() const {
  const Run* pinned = m_runs->pinned();
  return pinned && m_document && pinned->tokens == m_document->tokens() && pinned->trace &&
                 pinned->trace->layers == layers()
             ? pinned
             : nullptr;
}

void Explorer::start(const QString& modelFolder, const DocumentRequest& document) {
  m_request = document;
  openModel(modelFolder);
}

void Explorer::openDocument(const DocumentRequest& request) {
  if (!m_model) {
    m_request = request;
    return;
  }
  m_engine->cancel(JobKind::kCompare);
  m_engine->cancel(JobKind::kPrefill);
  m_engine->submit(JobKind::kLoadDocument, [this, request, model = m_model](const JobContext& job) {
    auto document = loadDocument(request, *model);
    job.cancel()->check();
    job.post([this, request, document] {
      m_request = request;
      documentLoaded(document);
    });
  });
}

void Explorer::inspectModel(const QString& folder) {
  m_engine->submit(JobKind::kInspectModel, [this, folder](const JobContext& job) {
    const std::int64_t bytes = weight_bytes(folder.toStdString(), {});
    const std::int64_t available = available_bytes();
    job.post([this, folder, bytes, available] { Q_EMIT modelInspected(folder, bytes, available); });
  });
}

void Explorer::openModel(const QString& folder) {
  m_engine->cancel(JobKind::kCompare);
  m_engine->cancel(JobKind::kPrefill);
  m_engine->submit(JobKind::kLoadModel, [this, folder](const JobContext& job) {
    auto model = loadModel(folder, job.cancel());
    job.post([this, model] { modelLoaded(model); });
  });
}

void Explorer::modelLoaded(std::shared_ptr<const LoadedModel> model) {
  // The first layer that sees the whole text is the one to look at first.
  const bool first = !m_model;
  m_model = std::move(model);
  if (first && m_view->layer() == 0) {
    const auto& local = m_model->weights->config().local_layer;
    const auto global = std::find(local.begin(), local.end(), false);
    if (global != local.end()) m_view->setLayer(static_cast<int>(std::distance(local.begin(), global)));
  }
  m_dense.reset();
  m_finalHidden.reset();
  Q_EMIT modelChanged();
  openDocument(m_request);
}

void Explorer::documentLoaded(std::shared_ptr<const OpenDocument> document) {
  // What is still being computed belongs to the text, or the model, that was here before.
  for (const JobKind kind : {JobKind::kLayer, JobKind::kRow, JobKind::kPicture, JobKind::kRefine}) {
    m_engine->cancel(kind);
  }
  m_planning = false;
  m_debounce.stop();
  const bool sameText = m_document && m_document->sha256 == document->sha256;
  m_document = std::move(document);
  m_dense.reset();
  m_finalHidden.reset();
  m_row.reset();
  m_attention.reset();
  m_layers.assign(static_cast<std::size_t>(m_model->weights->config().layers), nullptr);
  if (!sameText) m_view->clearSelection();
  if (m_view->layer() >= layers()) m_view->setLayer(0);
  if (m_view->head() >= heads()) m_view->setHead(0);
  Q_EMIT layersReset();
  Q_EMIT documentChanged();
  QStringList notes;
  for (const std::string& note : m_document->content.notes) notes << QString::fromStdString(note);
  if (m_document->tokens() < m_document->content.whole_tokens) {
    Q_EMIT documentCut(notes.join(u' '));
  } else if (!notes.isEmpty()) {
    Q_EMIT message(notes.join(u' '), false);
  }
  run();
}

void Explorer::parametersChanged() {
  const auto shown = layerInView();
  if (!shown || !shown->captured) return;
  if (!m_parameters->problem().isEmpty()) {
    setStale(true);
    return;
  }
  setStale(shown->parameters != m_parameters->values());
  followParameters();
}

// At once where nothing is under way. A what-if that runs is let finish, so that a drag shows where it has been and the
// next one starts from its end; only if the hand has rested for a moment by then the newest replaces it.
void Explorer::followParameters() {
  if (m_planning) {
    m_debounce.start();
  } else {
    requestLayer();
  }
}

void Explorer::setStale(bool stale) {
  if (stale == m_stale) return;
  m_stale = stale;
  Q_EMIT staleChanged(stale);
}

LayerSources Explorer::sources() const {
  LayerSources sources;
  sources.captured.reserve(m_layers.size());
  for (const auto& view : m_layers) sources.captured.push_back(view ? view->captured : nullptr);
  sources.document = m_document->content.info();
  return sources;
}

void Explorer::requestLayer() {
  m_debounce.stop();
  const auto shown = layerInView();
  if (!shown || !shown->captured || !m_parameters->problem().isEmpty()) return;
  if (shown->parameters == m_parameters->values()) {
    m_engine->cancel(JobKind::kLayer);
    m_planning = false;
    setStale(false);
    requestAttention();
    requestRefinement();
    return;
  }
  const bool whatIf = m_parameters->values() != m_ranWith;
  m_planning = true;
  m_engine->submit(JobKind::kLayer, [this, sources = sources(), layer = m_view->layer(), whatIf,
                                     parameters = m_parameters->values(), model = m_model](const JobContext& job) {
    auto view = whatIfLayer(sources, *model, layer, parameters, whatIf, kLivePairs, job.cancel());
    job.post([this, view] {
      m_planning = false;
      takeLayer(view);
      if (!m_planning) requestRefinement();
    });
  });
}

void Explorer::takeLayer(std::shared_ptr<const LayerView> view) {
  const int index = view->layer;
  m_layers[static_cast<std::size_t>(index)] = std::move(view);
  if (index == m_view->layer()) {
    const auto& now = *m_layers[static_cast<std::size_t>(index)];
    setStale(now.parameters != m_parameters->values());
    if (!m_stale && now.captured) {
      requestAttention();
      requestRow();
    }
    // The parameters have been changed since.
    if (m_stale && now.captured) followParameters();
  }
  Q_EMIT layerChanged(index);
}

// Exact figures for the layer in view, then the other layers under the present parameters, one at a time.
void Explorer::requestRefinement() {
  if (m_progress.running && !m_progress.dense) return;  // the run itself brings the other layers
  if (!m_parameters->problem().isEmpty() || !m_document) return;
  int next = -1;
  bool exact = false;
  for (int step = 0; step < layers() && next < 0; ++step) {
    const int index = (m_view->layer() + step) % layers();
    const auto shown = layer(index);
    if (!shown || !shown->captured) continue;
    if (shown->parameters != m_parameters->values()) next = index;
    if (step == 0 && next < 0 && shown->rowStep > 1) {
      next = index;
      exact = true;
    }
  }
  if (next < 0) return;
  const bool whatIf = m_parameters->values() != m_ranWith;
  m_engine->submit(JobKind::kRefine, [this, sources = sources(), next, exact, whatIf, old = layer(next),
                                      parameters = m_parameters->values(), model = m_model](const JobContext& job) {
    auto view = exact && old->parameters == parameters
                    ? measureLayer(old->plan, old->captured, parameters, 1, whatIf, job.cancel())
                    : whatIfLayer(sources, *model, next, parameters, whatIf, kLivePairs, job.cancel());
    job.post([this, view, parameters, exact] {
      if (parameters != m_parameters->values()) return;
      if (exact) {
        // Same plan: only the figures are better, nothing has to be drawn anew.
        m_layers[static_cast<std::size_t>(view->layer)] = view;
        const Run* run = m_runs->find(m_currentRun);
        if (run && !view->whatIf && view->metrics && run->parameters == view->parameters) {
          m_runs->setMetrics(m_currentRun, view->layer, *view->metrics, view->rowStep);
        }
        Q_EMIT layerChanged(view->layer);
      } else {
        takeLayer(view);
      }
      requestRefinement();
    });
  });
}

void Explorer::requestRow() {
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
    auto view = viewRow(*shown, head, row);
    job.post([this, view] {
      m_row = view;
      Q_EMIT rowChanged();
    });
  });
}

void Explorer::requestAttention() {
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

void Explorer::run() {
  if (!m_document || !m_model) return;
  if (!m_parameters->problem().isEmpty()) {
    Q_EMIT message(m_parameters->problem(), true);
    return;
  }
  m_engine->cancel(JobKind::kCompare);
  m_engine->cancel(JobKind::kRefine);
  submitPrefill(JobKind::kPrefill, m_parameters->values(), true);
}

void Explorer::compareWithDense() {
  if (!m_finalHidden) {
    Q_EMIT message(tr("There is no finished run to compare; run first."), true);
    return;
  }
  submitComparison();
}

void Explorer::cancel() {
  const auto cancelAll = [this](std::initializer_list<JobKind> kinds) {
    bool any = false;
    for (const JobKind kind : kinds) {
      if (!m_engine->isBusy(kind)) continue;
      m_engine->cancel(kind);
      any = true;
    }
    return any;
  };
  if (!cancelAll({JobKind::kLoadModel, JobKind::kLoadDocument, JobKind::kPrefill, JobKind::kCompare})) {
    cancelAll({JobKind::kNeedle, JobKind::kSweep});
  }
}

void Explorer::takeProgress(const RunProgress& progress) {
  if (progress.running && !m_tick.isActive()) {
    m_clock.restart();
    m_tick.start();
  }
  const double remaining = m_progress.remaining;
  const std::size_t known = m_progress.stages.size();
  const bool same = m_progress.running && m_progress.dense == progress.dense;
  m_progress = progress;
  m_progress.elapsed = static_cast<double>(m_clock.elapsed()) / 1000.0;
  m_progress.remaining =
      same && known == progress.stages.size() ? remaining : estimateRemaining(m_progress, m_progress.elapsed);
  Q_EMIT progressChanged();
}

void Explorer::jobEnded(JobKind kind) {
  if (kind == JobKind::kLayer) m_planning = false;
  if ((kind == JobKind::kPrefill || kind == JobKind::kCompare) && m_progress.running) {
    m_tick.stop();
    m_progress.running = false;
    m_progress.remaining = 0;
    Q_EMIT progressChanged();
  }
  if (kind == JobKind::kPrefill || kind == JobKind::kCompare) requestRefinement();
  Q_EMIT busyChanged();
}

void Explorer::finishRun(Run run, std::shared_ptr<const std::vector<float>> hidden) {
  m_finalHidden = std::move(hidden);
  const double seconds = run.seconds;
  const bool dense = run.parameters.method == Method::kDense;
  // A dense run needs no other to be compared with, and serves those to come.
  if (dense) m_dense = std::make_shared<const DenseReference>(DenseReference{m_finalHidden});
  for (const auto& view : m_layers) {
    run.metrics.push_back(view ? view->metrics : std::nullopt);
    run.rowSteps.push_back(view ? view->rowStep : 1);
  }
  m_currentRun = m_runs->add(std::move(run));
  Q_EMIT runFinished(m_currentRun);
  requestLayer();
  if (m_compareAfterRun && !dense && (m_dense || seconds < kAutoCompareSeconds)) submitComparison();
}

}  // namespace dhsa
