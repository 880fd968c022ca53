#include "ui/state/sweep_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/model/gemma2.h"

namespace dhsa {
namespace {

// Progress is told to the window at most this often.
constexpr qint64 kTellEveryMs = 30;

}  // namespace

SweepRun::SweepRun(Explorer* explorer) : Experiment(explorer, JobKind::kSweep) {}

SweepResults SweepRun::asked(const SweepSettings& settings, const std::vector<MethodChoice>& methods) const {
  SweepResults results;
  results.settings = settings;
  results.methods = with_dense_first(methods);
  for (MethodChoice& method : results.methods) method.parameters.instruction_tokens = 0;
  if (const auto model = explorer()->session()->model()) {
    results.model = model->name.toStdString();
    results.fingerprint = model->weights->fingerprint();
  }
  return results;
}

QString SweepRun::problem(const SweepSettings& settings, const std::vector<MethodChoice>& methods) const {
  const auto model = explorer()->session()->model();
  try {
    check_settings(settings);
    const std::int64_t longest = settings.lengths.back();
    if (model && longest > model->weights->config().context) {
      throw Error(tr("Texts of %1 tokens are longer than the model's context of %2.")
                      .arg(longest)
                      .arg(model->weights->config().context)
                      .toStdString());
    }
    for (const MethodChoice& method : with_dense_first(methods)) {
      if (settings.axes.empty()) check_parameters(method.parameters);
      for (const SweepAxis& axis : settings.axes) {
        if (!varies_with(method.parameters.method, axis.key)) continue;
        for (const ParameterValue& value : axis.values) {
          SparsityParameters parameters = method.parameters;
          set_parameter(parameters, axis.key, value);
          try {
            check_parameters(parameters);
          } catch (const Error& error) {
            throw Error(method.name + " with " + axis.key + " " + plain_text(value) + ": " + error.what());
          }
        }
      }
    }
  } catch (const Error& error) {
    return QString::fromStdString(error.what());
  }
  return {};
}

bool SweepRun::goesOn(const SweepSettings& settings, const std::vector<MethodChoice>& methods, QString* why) const {
  if (isEmpty() || isFinished()) return false;
  const std::string other = difference(m_results, asked(settings, methods));
  if (why) *why = QString::fromStdString(other);
  return other.empty();
}

void SweepRun::start(const SweepSettings& settings, const std::vector<MethodChoice>& methods) {
  const auto model = explorer()->session()->model();
  if (!model || isRunning()) return;
  if (const QString sentence = problem(settings, methods); !sentence.isEmpty()) {
    Q_EMIT explorer()->message(sentence, true);
    return;
  }
  SweepResults begin = asked(settings, methods);
  const bool same = goesOn(settings, methods);
  if (same) begin.points = m_results.points;
  submit([this, model, begin = std::move(begin), file = fileFor(same)](const JobContext& job) {
    SweepResults results = begin;
    QElapsedTimer sinceProgress;
    bool shown = false;
    SweepOptions options;
    options.cancel = job.cancel();
    options.progress = [&](const SweepProgress& at) {
      if (!std::exchange(shown, true)) {
        // Nothing was refused: what was shown before makes room.
        job.post([this, results, file] {
          m_results = results;
          begun(file);
        });
      }
      if (!sinceProgress.isValid() || sinceProgress.elapsed() >= kTellEveryMs) {
        sinceProgress.start();
        job.post([this, at] {
          tell(at.fraction,
               tr("%1 tokens · text %2 · %3").arg(at.length).arg(at.sample + 1).arg(QString::fromStdString(at.method)));
        });
      }
      job.serveInteractive();
    };
    options.updated = [&](const SweepResults& soFar, std::size_t index) {
      file->write(soFar);
      job.post([this, index, point = soFar.points[index]] {
        m_results.points[index] = point;
        added(static_cast<int>(index));
      });
      // Between two points only: a run inside a measured prefill would count as its memory.
      job.serveAll();
    };
    run_sweep(*model->weights, *model->tokenizer, results, options, predictorFor(results.methods, *model));
  });
}

nlohmann::json SweepRun::json() const { return m_results; }
std::string SweepRun::csv() const { return to_csv(m_results); }
void SweepRun::read(const std::string& text, const std::string& where) { m_results = parse_sweep_results(text, where); }
QString SweepRun::suggestedName() const { return tr("sweep"); }
QString SweepRun::cancelledSentence() const {
  const auto whole = std::count_if(m_results.points.begin(), m_results.points.end(), [this](const SweepPoint& point) {
    return static_cast<std::int64_t>(point.samples.size()) >= m_results.settings.samples;
  });
  return tr("Sweep cancelled; %1 of %2 points are kept, and Start goes on from there.")
      .arg(whole)
      .arg(m_results.points.size());
}

}  // namespace dhsa
