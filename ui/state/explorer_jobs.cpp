#include <QDir>
#include <QFileInfo>
#include <algorithm>
#include <filesystem>

#include "core/analysis/metrics.h"
#include "core/analysis/pyramid.h"
#include "core/base/memory.h"
#include "core/base/resources.h"
#include "core/files/atomic_write.h"
#include "core/run/open_model.h"
#include "core/run/trace.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/planner.h"
#include "core/text/document.h"
#include "ui/state/explorer.h"
#include "ui/state/explorer_internal.h"

namespace dhsa {
namespace {

// Progress is told to the window at most this often.
constexpr qint64 kTellEveryMs = 30;
// Logits are compared at this many positions at most; with a large vocabulary every one costs as much as a layer.
constexpr std::int64_t kComparedPositions = 1024;
constexpr std::int64_t kAnswerTokens = 12;
constexpr std::int64_t kWarmUpTokens = 256;
// At most this share of free memory goes into q, k and v kept for looking inside.
constexpr std::int64_t kCaptureShare = 4;

std::filesystem::path pathOf(const QString& path) { return {path.toStdU16String()}; }

// Threads start and weights come into memory before the first run, which would look slower than dense otherwise.
void warmUp(const Gemma2& model, const CancelToken* cancel) {
  const std::vector<std::int32_t> few(static_cast<std::size_t>(std::min(kWarmUpTokens, model.config().context)), 0);
  SparsityParameters dense;
  dense.method = Method::kDense;
  PrefillOptions options;
  options.cancel = cancel;
  static_cast<void>(model.prefill(few, *make_planner(dense, {static_cast<std::int64_t>(few.size()), {}}), options));
}

}  // namespace

std::shared_ptr<const OpenDocument> loadDocument(const DocumentRequest& request, const LoadedModel& model) {
  OpenDocument origin;
  origin.allowLong = request.allowLong;
  if (!request.text.isEmpty()) {
    origin.title = request.title.isEmpty() ? Explorer::tr("Pasted text") : request.title;
    origin.source = request.text;
  } else {
    const auto file = request.path.isEmpty() ? resource_path("documents/sample.txt") : pathOf(request.path);
    origin.sample = request.path.isEmpty();
    if (!origin.sample) origin.path = QFileInfo(request.path).absoluteFilePath();
    origin.title = origin.sample ? Explorer::tr("Sample") : QFileInfo(request.path).fileName();
    origin.source = QByteArray::fromStdString(read_text(file));
  }
  return openDocument(std::move(origin), *model.tokenizer, model.weights->config().context);
}

std::shared_ptr<const LoadedModel> loadModel(const QString& folder, const CancelToken* cancel) {
  auto model = std::make_shared<LoadedModel>();
  const auto embedded = resource_path("models/demo");
  const auto path = folder.isEmpty() ? embedded : pathOf(folder);
  std::error_code ignored;
  model->embedded = folder.isEmpty() || std::filesystem::equivalent(path, embedded, ignored);
  model->folder = QString::fromStdU16String(std::filesystem::absolute(path).lexically_normal().u16string());
  model->name = model->embedded ? Explorer::tr("Demo model") : QFileInfo(QDir(model->folder).absolutePath()).fileName();
  model->weights = Gemma2::load(path, {}, cancel);
  model->tokenizer = Tokenizer::of_model(path, model->weights->config().vocab_size);
  check_vocabulary(model->weights->config(), *model->tokenizer);
  warmUp(*model->weights, cancel);
  return model;
}

std::shared_ptr<const BoundaryPredictor> loadPredictor(const SparsityParameters& parameters, const LoadedModel& model) {
  const bool wanted = parameters.boundaries == BoundarySource::kAuto;
  if (parameters.method != Method::kDhsa || (!wanted && parameters.boundaries != BoundarySource::kLearned)) {
    return nullptr;
  }
  const std::filesystem::path path = parameters.predictor.empty() ? pathOf(model.folder) / "predictor.safetensors"
                                                                  : std::filesystem::path(parameters.predictor);
  if (parameters.predictor.empty() && !std::filesystem::exists(path)) {
    if (wanted) return nullptr;
    throw Error("The model \"" + model.name.toStdString() +
                "\" has no predictor.safetensors for learned boundaries; choose a predictor file or another boundary "
                "source.");
  }
  // A slider asks for the same file many times. Only the engine thread comes here.
  thread_local std::filesystem::path known;
  thread_local std::shared_ptr<const BoundaryPredictor> predictor;
  if (!predictor || known != path) {
    predictor = BoundaryPredictor::load(path);
    known = path;
  }
  return predictor;
}

std::shared_ptr<const LayerView> whatIfLayer(LayerSources sources, const LoadedModel& model, int layer,
                                             const SparsityParameters& parameters, bool whatIf, std::int64_t pairs,
                                             const CancelToken* cancel) {
  sources.predictor = loadPredictor(parameters, model);
  auto plan = planLayer(sources, layer, parameters, cancel);
  const auto& captured = sources.captured[static_cast<std::size_t>(layer)];
  return measureLayer(std::move(plan), captured, parameters, rowStepFor(sources.document.tokens, pairs), whatIf,
                      cancel);
}

// Streams a prefill to the window, layer by layer, and lets what-if work in between two stages.
class Explorer::LiveObserver : public PrefillObserver {
 public:
  LiveObserver(Explorer* explorer, const JobContext& job, const SparsityParameters& parameters, bool dense,
               bool measure)
      : m_explorer(explorer), m_job(job), m_parameters(parameters), m_measure(measure) {
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
    m_job.post([explorer = m_explorer, view, parameters = m_parameters] {
      explorer->m_ranWith = parameters;
      explorer->takeLayer(view);
    });
  }

 private:
  void tell(bool now) {
    if (!now && m_sinceProgress.elapsed() < kTellEveryMs) return;
    m_sinceProgress.restart();
    m_job.post([explorer = m_explorer, progress = m_progress] { explorer->takeProgress(progress); });
  }

  Explorer* m_explorer;
  const JobContext& m_job;
  SparsityParameters m_parameters;
  bool m_measure;
  const TraceRecorder* m_recorder = nullptr;
  RunProgress m_progress;
  QElapsedTimer m_sinceProgress;
};

std::vector<int> Explorer::layersToCapture() const {
  const auto& config = m_model->weights->config();
  const std::int64_t each = capture_bytes(config, m_model->weights->options().compute, m_document->tokens(), 1);
  // Nor what the run itself needs.
  PrefillOptions options;
  options.keep_final_hidden = true;
  options.keep_cache = m_document->content.question_tokens > 0;
  const PrefillEstimate need = m_model->weights->estimate(m_document->tokens(), options);
  const std::int64_t room = std::max(each, std::min(need.available / kCaptureShare, need.available - need.activations));
  std::vector<int> layers;
  for (std::int64_t step = 0; step < config.layers && static_cast<std::int64_t>(layers.size() + 1) * each <= room;
       ++step) {
    layers.push_back(static_cast<int>((m_view->layer() + step) % config.layers));
  }
  return layers;
}

void Explorer::submitPrefill(JobKind kind, const SparsityParameters& parameters, bool capture) {
  const auto layers = layersToCapture();
  if (capture && static_cast<int>(layers.size()) < this->layers()) {
    Q_EMIT message(tr("Keys and queries of %1 of %2 layers, from the one in view, are kept for looking inside; more "
                      "would not fit in memory.")
                       .arg(layers.size())
                       .arg(this->layers()),
                   false);
  }
  m_engine->submit(kind, [this, parameters, layers, model = m_model, document = m_document](const JobContext& job) {
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

    Run run;
    run.label = QString::fromUtf8(label_of(parameters.method));
    if (parameters.method != Method::kDense) run.label += QStringLiteral(" %1").arg(parameters.budget);
    run.when = QDateTime::currentDateTime();
    run.documentTitle = document->title;
    run.documentSha = document->sha256;
    run.modelName = model->name;
    run.tokens = document->tokens();
    run.parameters = parameters;
    run.seconds = result.seconds;
    run.peakBytes = result.peak_bytes;
    run.startBytes = result.start_bytes;
    if (options.keep_cache) {
      const auto answer = generate_greedy(*model->weights, result, kAnswerTokens, job.cancel());
      run.answer = QString::fromStdString(model->tokenizer->decode(answer)).trimmed().section(u'\n', 0, 0);
    }
    RunTrace trace = recorder.take(result);
    trace.captured.assign(trace.captured.size(), nullptr);  // the views hold them as long as they are shown
    run.trace = std::make_shared<const RunTrace>(std::move(trace));
    auto hidden = std::make_shared<const std::vector<float>>(std::move(result.final_hidden));
    job.post([this, run, hidden] { finishRun(run, hidden); });
  });
}

void Explorer::submitComparison() {
  m_engine->submit(JobKind::kCompare, [this, run = m_currentRun, sparse = m_finalHidden, known = m_dense,
                                       model = m_model, document = m_document](const JobContext& job) {
    std::shared_ptr<const DenseReference> dense = known;
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
      Run denseRun;
      denseRun.label = QString::fromUtf8(label_of(Method::kDense));
      denseRun.when = QDateTime::currentDateTime();
      denseRun.documentTitle = document->title;
      denseRun.documentSha = document->sha256;
      denseRun.modelName = model->name;
      denseRun.tokens = document->tokens();
      denseRun.parameters = parameters;
      denseRun.seconds = result.seconds;
      denseRun.peakBytes = result.peak_bytes;
      denseRun.startBytes = result.start_bytes;
      denseRun.trace = std::make_shared<const RunTrace>(recorder.take(result));
      denseRun.metrics.resize(static_cast<std::size_t>(denseRun.trace->layers));
      denseRun.rowSteps.resize(denseRun.metrics.size(), 1);
      dense = std::make_shared<const DenseReference>(
          DenseReference{std::make_shared<const std::vector<float>>(std::move(result.final_hidden))});
      job.post([this, denseRun, dense] {
        m_dense = dense;
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
      logitsOf(*dense->finalHidden, positions, denseLogits);
      logitsOf(*sparse, positions, sparseLogits);
      agreement.add(denseLogits, sparseLogits, static_cast<std::int64_t>(vocabulary));
      positions.clear();
    }
    const LogitComparison result{agreement.mean_kl(), agreement.same_top(), agreement.positions()};
    job.post([this, run, result] { m_runs->setLogits(run, result); });
  });
}

}  // namespace dhsa
