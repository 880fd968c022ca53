#include "ui/state/sweep_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/model/gemma2.h"
#include "ui/models/format.h"

namespace dhsa {

SweepRun::SweepRun(Explorer* explorer) : SweepExperiment(explorer, JobKind::kSweep) {}

void SweepRun::complete(SweepResults& asked) const {
  asked.methods = with_dense_first(std::move(asked.methods));
  for (MethodChoice& method : asked.methods) method.parameters.instruction_tokens = 0;
}

void SweepRun::check(const SweepResults& asked) const {
  for (const SweepPoint& point : make_points(asked.settings, asked.methods)) {
    try {
      check_parameters(point.parameters);
    } catch (const Error& error) {
      std::string which = asked.methods[point.method].name;
      for (const SweepAxis& axis : asked.settings.axes) {
        which += " with " + axis.key + " " + plain_text(get_parameter(point.parameters, axis.key));
      }
      throw Error(which + ": " + error.what());
    }
  }
}

void SweepRun::run(const LoadedModel& model, SweepResults& results, const SweepOptions& options) {
  run_sweep(*model.weights, *model.tokenizer, results, options, predictorFor(results.methods, model));
}

void SweepRun::read(const std::string& text, const std::string& where) { adopt(parse_sweep_results(text, where)); }
QString SweepRun::suggestedName() const { return tr("sweep"); }
QString SweepRun::cancelledSentence() const {
  const auto whole = std::count_if(results().points.begin(), results().points.end(), [this](const SweepPoint& point) {
    return static_cast<std::int64_t>(point.samples.size()) >= results().settings.samples;
  });
  return tr("Sweep cancelled; %1 of %2 are kept, and Start goes on from there.")
      .arg(formatCount(whole), counted(static_cast<qint64>(results().points.size()), "point", "points"));
}

}  // namespace dhsa
