#include "ui/state/run_history.h"

#include <algorithm>
#include <array>

#include "core/analysis/metrics.h"
#include "core/analysis/pyramid.h"
#include "core/base/memory.h"
#include "core/run/trace.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/planner.h"
#include "ui/state/what_if.h"

namespace dhsa {
namespace {

constexpr int kTickMs = 100;
// A comparison with dense starts by itself only where the run was shorter than this.
constexpr double kAutoCompareSeconds = 30.0;
// Progress is told to the window at most this often.
constexpr qint64 kTellEveryMs = 30;
// Logits are compared at this many positions at most; with a large vocabulary every one costs as much as a layer.
constexpr std::int64_t kComparedPositions = 1024;
constexpr std::int64_t kAnswerTokens = 12;
// At most this share of free memory goes into q, k and v kept for looking inside.
constexpr std::int64_t kCaptureShare = 4;

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

Run runOf(const OpenDocument& document, const LoadedModel& model, const SparsityParameters& parameters,
          const PrefillResult& result) {
  Run run;
  run.label = QString::fromUtf8(label_of(parameters.method));
  if (parameters.method != Method::kDense) run.label += QStringLiteral(" %1").arg(parameters.budget);
  run.when = QDateTime::currentDateTime();
  run.documentTitle = document.title;
  run.modelName = model.name;
  run.input = inputOf(document, model);
  run.parameters = parameters;
  run.seconds = result.seconds;
  run.peakBytes = result.peak_bytes;
  run.startBytes = result.start_bytes;
  return run;
}

}  // namespace

double RunProgress::fraction() const {
  if (!running) return stages.empty() ? 0.0 : 1.0;
  if (layers == 0) return 0.0;
  const auto done = std::count_if(stages.begin(), stages.end(), [](const StageReport& r) { return r.layer >= 0; });
  return std::min(1.0, static_cast<double>(done) / (5.0 * layers));
}

// Streams a prefill to the window, layer by layer, and lets what-if work in between two stages.
class RunHistory::LiveObserver : public PrefillObserver {
 public:
  LiveObserver(RunHistory* history, const JobContext& job, const SparsityParameters& parameters, bool dense,
               bool measure)
      : m_history(history), m_job(job), m_parameters(parameters), m_measure(measure) {
    m_progress.running = true;
    m_progress.dense = dense;
    m_sinceProgress.start();
  }
  void watch(const TraceRecorder* recorder) { m_recorder = recorder; }

  void prefill_begins(std::int64_t tokens, int layers) override {
    m_progress.tokens = tokens;
    m_progress.layers = layers;
    tell(true);
  }
  void stage_begins(Stage stage, int layer) override {
    m_progress.stage = stage;
    m_progress.layer = layer;
    tell(false);
  }
  void stage_ends(const StageReport& report) override {
    m_progress.stages.push_back(report);
    m_progress.residentBytes = report.resident_bytes;
    m_progress.peakBytes = std::max(m_progress.peakBytes, report.resident_bytes);
    tell(report.stage == Stage::kMlp);
    m_job.serveInteractive();
    m_job.cancel()->check();
  }
  [[nodiscard]] bool wants_attention(int /*layer*/) const override { return m_measure; }
  void attended(const AttendedLayer& layer) override {
    if (!m_measure) return;
    const auto index = static_cast<std::size_t>(layer.layer.index);
    auto captured = m_recorder->trace().captured[index];
    auto plan = m_recorder->trace().plans[index];
    std::shared_ptr<const LayerView> view;
    if (captured) {
      view =
          measureLayer(plan, captured, m_parameters, rowStepFor(m_progress.tokens, kLivePairs), false, m_job.cancel());
    } else {
      auto measured = std::make_shared<LayerView>();
      measured->layer = layer.layer.index;
      measured->parameters = m_parameters;
      measured->plan = plan;
      MetricOptions options;
      options.row_step = measured->rowStep = rowStepFor(m_progress.tokens, kLivePairs);
      options.cancel = m_job.cancel();
      measured->metrics = measure_mask(layer.q, layer.k, layer.v, plan->mask, layer.layer, options);
      measured->importance =
          token_importance(layer.q, layer.k, plan->mask, layer.layer, options.row_step, m_job.cancel());
      measured->predicted = predicted_importance(*plan);
      measured->masks = maskSources(plan);
      view = std::move(measured);
    }
    m_layers.push_back(view);
    m_job.post([history = m_history, view] { Q_EMIT history->layerReached(view); });
  }
  [[nodiscard]] std::vector<std::shared_ptr<const LayerView>> takeLayers() { return std::move(m_layers); }

 private:
  void tell(bool now) {
    if (!now && m_sinceProgress.elapsed() < kTellEveryMs) return;
    m_sinceProgress.restart();
    m_job.post([history = m_history, progress = m_progress] { history->takeProgress(progress); });
  }

  RunHistory* m_history;
  const JobContext& m_job;
  SparsityParameters m_parameters;
  bool m_measure;
  const TraceRecorder* m_recorder = nullptr;
  std::vector<std::shared_ptr<const LayerView>> m_layers;
  RunProgress m_progress;
  QElapsedTimer m_sinceProgress;
};

RunHistory::RunHistory(Session* session, ParameterSet* parameters, const ViewState* view, Engine* engine,
                       QObject* parent)
    : QObject(parent),
      m_session(session),
      m_parameters(parameters),
      m_view(view),
      m_engine(engine),
      m_runs(new RunList(this)) {
  m_tick.setInterval(kTickMs);
  connect(&m_tick, &QTimer::timeout, this, [this] {
    const double now = static_cast<double>(m_clock.elapsed()) / 1000.0;
    if (m_progress.remaining > 0) {
      m_progress.remaining = std::max(0.0, m_progress.remaining - (now - m_progress.elapsed));
    }
    m_progress.elapsed = now;
    Q_EMIT progressChanged();
  });
  connect(session, &Session::opening, this, [this] {
    m_engine->cancel(JobKind::kCompare);
    m_engine->cancel(JobKind::kPrefill);
  });
  connect(session, &Session::documentChanged, this, &RunHistory::forget);
  connect(engine, &Engine::finished, this, [this](JobKind kind) { jobEnded(kind, true); });
  connect(engine, &Engine::failed, this, [this](JobKind kind) { jobEnded(kind, false); });
  connect(engine, &Engine::cancelled, this, [this](JobKind kind) {
    jobEnded(kind, false);
    if (kind == JobKind::kPrefill) Q_EMIT message(tr("Run cancelled."), false);
    if (kind == JobKind::kCompare) Q_EMIT message(tr("Comparison with dense cancelled."), false);
  });
}

const Run* RunHistory::comparison() const {
  const Run* pinned = m_runs->pinned();
  if (!pinned || !pinned->trace || !m_session->document()) return nullptr;
  const RunInput now = input();
  const bool fits = pinned->input.documentSha == now.documentSha && pinned->input.tokens == now.tokens &&
                    pinned->trace->layers == m_session->model()->weights->config().layers;
  return fits ? pinned : nullptr;
}

RunInput RunHistory::input() const {
  return m_session->document() ? inputOf(*m_session->document(), *m_session->model()) : RunInput{};
}

// What ran on another document or model says nothing about this one.
void RunHistory::forget() {
  m_states.reset();
  m_denseStates.reset();
  m_current = 0;
  m_progress = {};
  Q_EMIT currentChanged();
  Q_EMIT progressChanged();
}

void RunHistory::run() {
  if (!m_session->document() || !m_session->model()) return;
  if (!m_parameters->problem().isEmpty()) {
    Q_EMIT message(m_parameters->problem(), true);
    return;
  }
  m_engine->cancel(JobKind::kCompare);
  submitPrefill();
}

void RunHistory::compareWithDense() {
  if (!m_states) {
    Q_EMIT message(tr("There is no finished run to compare; run first."), true);
    return;
  }
  submitComparison();
}

void RunHistory::refine(const LayerView& view) {
  const Run* run = current();
  if (run && view.metrics && run->parameters == view.parameters) {
    m_runs->setMetrics(run->id, view.layer, *view.metrics, view.rowStep);
  }
}

void RunHistory::takeProgress(const RunProgress& progress) {
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

void RunHistory::jobEnded(JobKind kind, bool finished) {
  if (kind != JobKind::kPrefill && kind != JobKind::kCompare) return;
  if (m_progress.running) {
    m_tick.stop();
    m_progress.running = false;
    m_progress.remaining = 0;
    Q_EMIT progressChanged();
  }
  if (kind == JobKind::kPrefill) Q_EMIT runEnds(finished);
}

std::vector<int> RunHistory::layersToCapture() const {
  const LoadedModel& model = *m_session->model();
  const OpenDocument& document = *m_session->document();
  const Gemma2Config& config = model.weights->config();
  const std::int64_t each = capture_bytes(config, model.weights->options().compute, document.tokens(), 1);
  // Nor what the run itself needs.
  PrefillOptions options;
  options.keep_final_hidden = true;
  options.keep_cache = document.content.question_tokens > 0;
  const PrefillEstimate need = model.weights->estimate(document.tokens(), options);
  const std::int64_t room = std::max(each, std::min(need.available / kCaptureShare, need.available - need.activations));
  std::vector<int> layers;
  for (std::int64_t step = 0; step < config.layers && static_cast<std::int64_t>(layers.size() + 1) * each <= room;
       ++step) {
    layers.push_back(static_cast<int>((m_view->layer() + step) % config.layers));
  }
  return layers;
}

void RunHistory::submitPrefill() {
  const auto layers = layersToCapture();
  const int all = static_cast<int>(m_session->model()->weights->config().layers);
  if (static_cast<int>(layers.size()) < all) {
    Q_EMIT message(tr("Keys and queries of %1 of %2 layers, from the one in view, are kept for looking inside; more "
                      "would not fit in memory.")
                       .arg(layers.size())
                       .arg(all),
                   false);
  }
  Q_EMIT runBegins();
  m_engine->submit(JobKind::kPrefill, [this, parameters = m_parameters->values(), layers, model = m_session->model(),
                                       document = m_session->document()](const JobContext& job) {
    PrefillOptions options;
    options.keep_final_hidden = true;
    options.keep_cache = document->content.question_tokens > 0;
    auto planner = make_planner(parameters, document->content.info(), loadPredictor(parameters, *model));
    LiveObserver live(this, job, parameters, false, true);
    RecordOptions record;
    record.capture_layers = layers;
    TraceRecorder recorder(record, &live);
    live.watch(&recorder);
    options.observer = &recorder;
    options.cancel = job.cancel();
    PrefillResult result = model->weights->prefill(document->content.encoding.ids, *planner, options);

    Run run = runOf(*document, *model, parameters, result);
    if (options.keep_cache) {
      const auto answer = generate_greedy(*model->weights, result, kAnswerTokens, job.cancel());
      run.answer = QString::fromStdString(model->tokenizer->decode(answer)).trimmed().section(u'\n', 0, 0);
    }
    RunTrace trace = recorder.take(result);
    trace.captured.assign(trace.captured.size(), nullptr);  // the views hold them as long as they are shown
    run.trace = std::make_shared<const RunTrace>(std::move(trace));
    const States states = std::make_shared<const std::vector<float>>(std::move(result.final_hidden));
    job.post([this, run, states, views = live.takeLayers()] { finish(run, states, views); });
  });
}

void RunHistory::finish(Run run, const States& states, std::vector<std::shared_ptr<const LayerView>> layers) {
  m_states = states;
  run.elapsed = static_cast<double>(m_clock.elapsed()) / 1000.0;
  const double seconds = run.seconds;
  const bool dense = run.parameters.method == Method::kDense;
  // A dense run needs no other to be compared with, and serves those to come.
  if (dense) m_denseStates = m_states;
  for (const auto& view : layers) {
    run.metrics.push_back(view->metrics);
    run.rowSteps.push_back(view->rowStep);
  }
  m_current = m_runs->add(std::move(run));
  Q_EMIT runFinished(m_current);
  Q_EMIT currentChanged();
  if (m_compareAfterRun && !dense && (m_denseStates || seconds < kAutoCompareSeconds)) submitComparison();
}

void RunHistory::submitComparison() {
  m_engine->submit(JobKind::kCompare, [this, run = m_current, sparse = m_states, known = m_denseStates,
                                       model = m_session->model(),
                                       document = m_session->document()](const JobContext& job) {
    States dense = known;
    if (!dense) {
      SparsityParameters parameters;
      parameters.method = Method::kDense;
      PrefillOptions options;
      options.keep_final_hidden = true;
      auto planner = make_planner(parameters, document->content.info());
      LiveObserver live(this, job, parameters, true, false);
      TraceRecorder recorder({}, &live);
      options.observer = &recorder;
      options.cancel = job.cancel();
      PrefillResult result = model->weights->prefill(document->content.encoding.ids, *planner, options);
      Run denseRun = runOf(*document, *model, parameters, result);
      denseRun.trace = std::make_shared<const RunTrace>(recorder.take(result));
      denseRun.metrics.resize(static_cast<std::size_t>(denseRun.trace->layers));
      denseRun.rowSteps.resize(denseRun.metrics.size(), 1);
      dense = std::make_shared<const std::vector<float>>(std::move(result.final_hidden));
      job.post([this, denseRun, dense] {
        m_denseStates = dense;
        m_runs->add(denseRun);
      });
    }

    const auto vocabulary = static_cast<std::size_t>(model->weights->config().vocab_size);
    const auto width = static_cast<std::size_t>(model->weights->config().hidden_size);
    const std::int64_t tokens = document->tokens();
    const std::int64_t step = std::max<std::int64_t>(1, tokens / kComparedPositions);
    // In blocks of rows, so that the embedding table is read once for many positions.
    constexpr std::int64_t kRows = 32;
    std::vector<float> rows;
    std::vector<float> denseLogits;
    std::vector<float> sparseLogits;
    const auto logitsOf = [&](const std::vector<float>& hidden, const std::vector<std::int64_t>& positions,
                              std::vector<float>& out) {
      rows.clear();
      for (const std::int64_t position : positions) {
        const auto from = hidden.begin() + static_cast<std::ptrdiff_t>(position) * static_cast<std::ptrdiff_t>(width);
        rows.insert(rows.end(), from, from + static_cast<std::ptrdiff_t>(width));
      }
      out.resize(positions.size() * vocabulary);
      model->weights->logits(rows, static_cast<std::int64_t>(positions.size()), out.data());
    };
    LogitAgreement agreement;
    std::vector<std::int64_t> positions;
    for (std::int64_t position = tokens - 1; position >= 0; position -= step) {
      positions.push_back(position);
      if (static_cast<std::int64_t>(positions.size()) < kRows && position >= step) continue;
      job.serveInteractive();
      job.cancel()->check();
      logitsOf(*dense, positions, denseLogits);
      logitsOf(*sparse, positions, sparseLogits);
      agreement.add(denseLogits, sparseLogits, static_cast<std::int64_t>(vocabulary));
      positions.clear();
    }
    const LogitComparison result{agreement.mean_kl(), agreement.same_top(), agreement.positions()};
    job.post([this, run, result] { m_runs->setLogits(run, result); });
  });
}

}  // namespace dhsa
