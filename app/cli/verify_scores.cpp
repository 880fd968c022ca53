// dhsa verify scores: the metrics of LongBench and RULER against scores of the official scripts.
#include "app/cli/verify_scores.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/cli/table.h"
#include "core/experiments/scores_cases.h"

namespace dhsa::cli {
namespace {

constexpr double kTolerance = 1e-6;

struct ScoresOptions {
  OutputOptions output;
  std::string cases;
};

int verify_scores(const ScoresOptions& options) {
  JsonFile json(options.output.json);
  const std::vector<ScoreCheck> checks = check_scores(read_file(options.cases), options.cases);

  Table table({"case", "expected", "computed", "difference"});
  nlohmann::json list = nlohmann::json::array();
  const auto differs = [](const ScoreCheck& check) { return check.differs(kTolerance); };
  for (const ScoreCheck& check : checks) {
    list.push_back({{"case", check.name},
                    {"expected", check.expected},
                    {"computed", check.computed},
                    {"passed", !differs(check)}});
    if (!differs(check)) continue;
    table.add({check.name, fmt::format("{:.6f}", check.expected), fmt::format("{:.6f}", check.computed),
               fmt::format("{:.2e}", check.computed - check.expected)});
  }
  const auto failed = std::count_if(checks.begin(), checks.end(), differs);
  json.write({{"kind", "dhsa-verify-scores"},
              {"machine", machine_json()},
              {"cases", options.cases},
              {"tolerance", kTolerance},
              {"passed", failed == 0},
              {"scores", list}});
  const bool words = std::all_of(checks.begin(), checks.end(),
                                 [](const ScoreCheck& check) { return check.name.starts_with(kSegmentation); });
  const char* what = words ? "segmentations" : "scores";
  if (failed == 0) {
    fmt::print("All {} {} agree within {:g}.\n", count(static_cast<std::int64_t>(checks.size())), what, kTolerance);
    return 0;
  }
  fmt::print("{}{} of {} {} differ by more than {:g}.\n", table.text(), failed, checks.size(), what, kTolerance);
  return 1;
}

}  // namespace

void add_verify_scores(CLI::App& verify, Action& action) {
  auto options = std::make_shared<ScoresOptions>();
  CLI::App* command = verify.add_subcommand("scores", "Compare LongBench and RULER scores with the official scripts'");
  command
      ->add_option("--cases", options->cases,
                   "JSON list of predictions with the score of each: LongBench (dataset, prediction, answers, "
                   "all_classes, score), RULER (task, prediction, references, score), whole tasks (predictions, "
                   "answers, lengths, score, score_e)")
      ->type_name("FILE")
      ->required()
      ->group("Check");
  options->output.add_to(*command);
  command->callback([options, &action] { action = [options] { return verify_scores(*options); }; });
}

}  // namespace dhsa::cli
