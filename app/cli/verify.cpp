// dhsa verify: the forward pass against stored Hugging Face outputs, the method against its reference's outputs, scores
// against those of the official scripts.
#include <fmt/format.h>

#include <algorithm>

#include "app/cli/common.h"
#include "app/cli/table.h"
#include "app/cli/verify_scores.h"
#include "app/cli/verify_tokenizer.h"
#include "core/verify/gemma2.h"
#include "core/verify/reference_parity.h"

namespace dhsa::cli {
namespace {

struct Gemma2Options {
  ModelOptionsText model;
  OutputOptions output;
  std::string expected;
  double tolerance = 2e-4;
};

int verify_model(const Gemma2Options& options) {
  if (!(options.tolerance >= 0)) throw Error("--tolerance cannot be negative.");
  options.model.use_threads();
  VerifyGemma2Options how;
  how.tolerance = options.tolerance;
  how.model = options.model.options();
  how.cancel = &interrupt();
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  progress.show("running the model", -1);
  const std::vector<TensorCheck> checks = verify_gemma2(options.model.path(), options.expected, how);
  progress.clear();

  Table table({"tensor", "max absolute error", "max relative error", ""}, {0, 3});
  nlohmann::json list = nlohmann::json::array();
  for (const TensorCheck& check : checks) {
    table.add({check.name, fmt::format("{:.3e}", check.max_abs), fmt::format("{:.3e}", check.max_relative),
               check.passed ? "ok" : "TOO LARGE"});
    list.push_back({{"tensor", check.name},
                    {"max_abs", check.max_abs},
                    {"max_relative", check.max_relative},
                    {"passed", check.passed}});
  }
  const auto failed = std::count_if(checks.begin(), checks.end(), [](const TensorCheck& c) { return !c.passed; });
  json.write({{"kind", "dhsa-verify-gemma2"},
              {"machine", machine_json()},
              {"model", options.model.path().string()},
              {"expected", options.expected},
              {"tolerance", options.tolerance},
              {"passed", failed == 0},
              {"tensors", list}});
  fmt::print("{}", table.text());
  if (failed == 0) {
    fmt::print("All {} tensors agree within a relative error of {:g}.\n", checks.size(), options.tolerance);
  } else {
    fmt::print("{} of {} tensors differ by more than a relative error of {:g}.\n", failed, checks.size(),
               options.tolerance);
  }
  return failed == 0 ? 0 : 1;
}

struct DhsaOptions {
  OutputOptions output;
  std::string fixture;
  int threads = 0;
};

int verify_method(const DhsaOptions& options) {
  ModelOptionsText compute;
  compute.threads = options.threads;
  compute.use_threads();
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  progress.show("comparing with the reference", -1);
  const std::vector<ParityRow> rows = compare_with_reference(options.fixture, &interrupt());
  progress.clear();

  Table table({"stage", "compared", "largest error", "may be", "differ", ""}, {0, 5});
  for (const ParityRow& row : rows) {
    table.add({row.name, count(row.compared), row.is_set ? "-" : fmt::format("{:.2e}", row.max_error),
               row.is_set ? "-" : fmt::format("{:.0e}", row.tolerance), row.is_set ? count(row.mismatches) : "-",
               row.passed ? "ok" : "DIFFERS"});
  }
  const auto failed = std::count_if(rows.begin(), rows.end(), [](const ParityRow& row) { return !row.passed; });
  json.write({{"kind", "dhsa-verify-dhsa"},
              {"machine", machine_json()},
              {"fixture", options.fixture},
              {"passed", failed == 0},
              {"stages", rows}});
  fmt::print("{}", table.text());
  for (const ParityRow& row : rows) {
    if (!row.note.empty()) fmt::print("  {}\n", wrap(fmt::format("{}: {}", row.name, row.note), kLineWidth, 4));
  }
  if (failed == 0) {
    fmt::print("All {} stages agree with the reference.\n", rows.size());
  } else {
    fmt::print("{} of {} stages differ from the reference.\n", failed, rows.size());
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  CLI::App* verify = app.add_subcommand("verify", "Check the model, the method or scores against reference outputs");
  verify->require_subcommand(1);
  verify->footer("Exit code 1 where something differs by more than it may.");

  auto model = std::make_shared<Gemma2Options>();
  CLI::App* gemma2 = verify->add_subcommand("gemma2", "Compare with stored Hugging Face outputs of the model");
  gemma2
      ->add_option("--expected", model->expected,
                   "safetensors file with input_ids and hidden.N, logits, attention.N, positions, attention_positions")
      ->type_name("FILE")
      ->required()
      ->group("Check");
  gemma2->add_option("--tolerance", model->tolerance, "Largest relative error that passes [default 2e-4]")
      ->type_name("X")
      ->group("Check");
  model->model.add_to(*gemma2);
  model->output.add_to(*gemma2);
  gemma2->callback([model, &action] { action = [model] { return verify_model(*model); }; });

  auto method = std::make_shared<DhsaOptions>();
  CLI::App* dhsa = verify->add_subcommand("dhsa", "Compare with stored outputs of the method's reference code");
  dhsa->add_option("--fixture", method->fixture,
                   "safetensors file with q, k, v and reference outputs; settings in its metadata key \"parameters\"")
      ->type_name("FILE")
      ->required()
      ->group("Check");
  dhsa->add_option("--threads", method->threads, "Threads to compute with [0 to 1024; default 0: one per processor]")
      ->type_name("N")
      ->group("Check");
  method->output.add_to(*dhsa);
  dhsa->callback([method, &action] { action = [method] { return verify_method(*method); }; });
  add_verify_scores(*verify, action);
  add_verify_tokenizer(*verify, action);
}

}  // namespace dhsa::cli
