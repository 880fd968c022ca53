#include "ui/state/run_history.h"

#include <algorithm>

#include "core/sparsity/boundary_predictor.h"
#include "ui/state/what_if.h"

namespace dhsa {
namespace {

constexpr int kTickMs = 100;
// A comparison with dense starts by itself only where the run was shorter than this.
constexpr double kAutoCompareSeconds = 30.0;
// Progress is told to the window at most this often.
constexpr qint64 kTellEveryMs = 30;
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

RunSubject subjectOf(const OpenDocument& document, const LoadedModel& model,
                     std::shared_ptr<const BoundaryPredictor> predictor) {
  return {*model.weights, document.content.encoding.ids, document.content.info(), model.tokenizer.get(),
          std::move(predictor)};
}

Run runOf(const OpenDocument& document, const LoadedModel& model, const SparsityParameters& parameters,
          MethodRun result) {
  Run run;
  run.label = labelOf(parameters);
  run.when = QDateTime::currentDateTime();
  run.documentTitle = document.title;
  run.modelName = model.name;
  run.input = inputOf(document, model);
  run.parameters = parameters;
  run.answer = QString::fromStdString(result.answer_text).trimmed().section(u'\n', 0, 0);
  result.trace.captured.assign(result.trace.captured.size(), nullptr);  // the views hold them while they are shown
  result.states.reset();
  run.result = std::move(result);
  return run;
}

}  // namespace

double RunProgress::fraction() const {
  if (!running) return stages.empty() ? 0.0 : 1.0;
  if (layers == 0) return 0.0;
  const auto done = std::count_if(stages.begin(), stages.end(), [](const StageReport& r) { return r.layer >= 0; });
  return std::min(1.0, static_cast<double>(done) / (5.0 * layers));
}

// Tells the window of a prefill under way, and lets what-if work in between two stages.
class RunHistory::LiveObserver : public PrefillObserver {
 public:
  LiveObserver(RunHistory* history, const JobContext& job, bool dense) : m_history(history), m_job(job) {
    m_progress.running = true;
    m_progress.dense = dense;
    m_sinceProgress.start();
  }

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
    m_progress.peakBytes = std::max(m_progress.peakBytes, report.resident_bytes);
    tell(report.stage == Stage::kMlp);
    m_job.serveInteractive();
    m_job.cancel()->check();
  }

 private:
  void tell(bool now) {
    if (!now && m_sinceProgress.elapsed() < kTellEveryMs) return;
    m_sinceProgress.restart();
    m_job.post([history = m_history, progress = m_progress] { history->takeProgress(progress); });
  }

  RunHistory* m_history;
  const JobContext& m_job;
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
  return pinned && pinned->input == input() ? pinned : nullptr;
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

void RunHistory::refine(const MeasuredLayer& layer) {
  const Run* run = current();
  if (run && run->parameters == layer.parameters) m_runs->setMetrics(run->id, layer.layer, layer.metrics);
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

// Every run of a text answers alike: what is kept for the answer counts in the memory of both that are compared.
RunOptions RunHistory::optionsOf(const OpenDocument& document, LiveObserver& live, const JobContext& job) {
  RunOptions options;
  if (document.content.question_tokens == 0) options.max_new_tokens = 0;
  options.observer = &live;
  options.progress = [&job](const CompareProgress& progress) {
    if (progress.phase == CompareProgress::Phase::kAnswer) job.serveInteractive();
  };
  options.cancel = job.cancel();
  return options;
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
    LiveObserver live(this, job, false);
    RunOptions options = optionsOf(*document, live, job);
    options.metrics_rows = row_step_for(document->tokens(), kLivePairs);
    options.capture_layers = layers;
    options.measured = [&](std::shared_ptr<const MeasuredLayer> layer) {
      job.post([this, layer = std::move(layer)] { Q_EMIT layerReached(layer); });
    };
    MethodRun result = run_method(subjectOf(*document, *model, loadPredictor(parameters, *model)),
                                  {name_of(parameters.method), parameters}, options);
    const States states = result.states;
    job.post([this, states, run = runOf(*document, *model, parameters, std::move(result))] { finish(run, states); });
  });
}

Run RunHistory::timed(Run run) const {
  run.elapsed = static_cast<double>(m_clock.elapsed()) / 1000.0;
  return run;
}

void RunHistory::finish(Run run, const States& states) {
  m_states = states;
  const double seconds = run.result.seconds;
  const bool dense = run.parameters.method == Method::kDense;
  // A dense run needs no other to be compared with, and serves those to come.
  if (dense) m_denseStates = m_states;
  m_current = m_runs->add(timed(std::move(run)));
  Q_EMIT runFinished(m_current);
  Q_EMIT currentChanged();
  if (m_compareAfterRun && !dense && (m_denseStates || seconds < kAutoCompareSeconds)) submitComparison();
}

void RunHistory::submitComparison() {
  m_engine->submit(
      JobKind::kCompare, [this, run = m_current, sparse = m_states, known = m_denseStates, model = m_session->model(),
                          document = m_session->document()](const JobContext& job) {
        States dense = known;
        if (!dense) {
          SparsityParameters parameters;
          parameters.method = Method::kDense;
          LiveObserver live(this, job, true);
          MethodRun result = run_method(subjectOf(*document, *model, nullptr), {name_of(parameters.method), parameters},
                                        optionsOf(*document, live, job));
          dense = result.states;
          job.post([this, dense, made = runOf(*document, *model, parameters, std::move(result))] {
            m_denseStates = dense;
            m_runs->add(timed(made));
          });
        }
        const LogitCloseness logits = compare_logits(
            *model->weights, *dense, *sparse, [&](double) { job.serveInteractive(); }, job.cancel());
        job.post([this, run, logits] { m_runs->setLogits(run, logits); });
      });
}

}  // namespace dhsa
