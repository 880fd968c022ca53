#include "ui/state/generation.h"

#include <algorithm>
#include <functional>

#include "core/run/run.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/text/tokenizer.h"
#include "ui/state/document.h"
#include "ui/state/run.h"

namespace dhsa {
namespace {

// Lets the layer and the row in view be worked on between two stages of the prefill.
class Between : public PrefillObserver {
 public:
  explicit Between(const JobContext& job) : m_job(job) {}
  void stage_ends(const StageReport& /*report*/) override {
    m_job.serveInteractive();
    m_job.cancel()->check();
  }

 private:
  const JobContext& m_job;
};

}  // namespace

Generation::Generation(Session* session, ParameterSet* parameters, Engine* engine, QObject* parent)
    : QObject(parent), m_session(session), m_parameters(parameters), m_engine(engine) {
  connect(session, &Session::opening, this, &Generation::cancel);
  connect(parameters, &ParameterSet::changed, this, &Generation::presentChanged);
  // What was written belongs to the text before.
  connect(session, &Session::documentChanged, this, [this] {
    cancel();  // what was begun while the text was being opened
    m_sides.clear();
  });
  connect(engine, &Engine::finished, this, [this](JobKind kind) {
    if (kind == JobKind::kGenerate) stopped(Continued::State::kEnded, {});
  });
  connect(engine, &Engine::cancelled, this, [this](JobKind kind) {
    if (kind == JobKind::kGenerate) stopped(Continued::State::kCancelled, {});
  });
  connect(engine, &Engine::failed, this, [this](JobKind kind, quint64, const QString& sentence) {
    if (kind == JobKind::kGenerate) stopped(Continued::State::kFailed, sentence);
  });
}

std::size_t commonTokens(const Continued& a, const Continued& b) {
  return static_cast<std::size_t>(
      std::distance(a.ids.begin(), std::mismatch(a.ids.begin(), a.ids.end(), b.ids.begin(), b.ids.end()).first));
}

bool Generation::isOutdated(const Continued& side) const {
  return side.parameters.method != Method::kDense && side.parameters != m_parameters->values();
}

QString Generation::presentMethod() const { return labelOf(m_parameters->values()); }

void Generation::cancel() {
  if (m_running) m_engine->cancel(JobKind::kGenerate);
}

// Whatever has not ended by itself.
void Generation::stopped(Continued::State state, const QString& end) {
  m_running = false;
  for (std::size_t side = 0; side < m_sides.size(); ++side) {
    if (m_sides[side].state == Continued::State::kEnded) continue;
    m_sides[side].state = state;
    m_sides[side].end = end;
    Q_EMIT changed(static_cast<int>(side));
  }
  Q_EMIT ended();
}

void Generation::start(int mostTokens) {
  const auto model = m_session->model();
  const auto document = m_session->document();
  if (!model || !document) return;
  SparsityParameters dense;
  dense.method = Method::kDense;
  std::vector<SparsityParameters> methods = {dense};
  if (m_parameters->values().method != Method::kDense) methods.push_back(m_parameters->values());
  m_sides.clear();
  for (const SparsityParameters& parameters : methods) {
    m_sides.emplace_back();
    m_sides.back().method = labelOf(parameters);
    m_sides.back().parameters = parameters;
  }
  m_running = true;
  Q_EMIT begun();
  m_engine->submit(JobKind::kGenerate, [this, mostTokens, methods, model, document](const JobContext& job) {
    for (std::size_t side = 0; side < methods.size(); ++side) {
      const auto tell = [this, &job, side](const std::function<void(Continued&)>& change) {
        job.post([this, side, change] {
          change(m_sides[side]);
          Q_EMIT changed(static_cast<int>(side));
        });
      };
      Between between(job);
      RunOptions options;
      options.metrics_rows = 0;
      options.logit_positions = 0;
      options.max_new_tokens = mostTokens;
      options.observer = &between;
      options.cancel = job.cancel();
      options.progress = [&](const CompareProgress& progress) {
        if (progress.phase == CompareProgress::Phase::kAnswer) job.serveInteractive();
        tell([progress](Continued& one) {
          const bool writing = progress.phase == CompareProgress::Phase::kAnswer;
          one.state = writing ? Continued::State::kWriting : Continued::State::kReading;
          one.read = progress.layers > 0 ? std::max(0, progress.layer) / static_cast<double>(progress.layers) : 0;
        });
      };
      options.answer_piece = [&](const std::string& piece) {
        const QString text = QString::fromStdString(piece);
        job.post([this, side, text] {
          m_sides[side].text += text;
          Q_EMIT grown(static_cast<int>(side), text);
        });
      };
      const RunSubject subject{*model->weights, document->content.encoding.ids, document->content.info(),
                               model->tokenizer.get(), loadPredictor(methods[side], *model)};
      const MethodRun run = run_method(subject, {name_of(methods[side].method), methods[side]}, options);
      tell([end = QString::fromStdString(run.answer_end), ids = run.answer, prefill = run.seconds,
            seconds = run.answer_seconds](Continued& one) {
        one.state = Continued::State::kEnded;
        one.end = end;
        one.ids = ids;
        one.prefillSeconds = prefill;
        one.seconds = seconds;
      });
    }
  });
}

}  // namespace dhsa
