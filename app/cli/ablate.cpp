// dhsa ablate: what each part of the method is worth.
#include "core/experiments/ablation.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/cli/common.h"
#include "app/cli/report.h"
#include "app/cli/results_files.h"
#include "app/cli/table.h"
#include "app/revision.h"
#include "core/base/parallel.h"

namespace dhsa::cli {
namespace {

struct AblateChoice {
  ExperimentFlags flags;
  std::vector<std::string> texts;
  std::int64_t samples = 8;
  std::int64_t needles = 0;
  std::int64_t budget = 1024;
  std::vector<std::string> only;
  std::vector<std::string> variants;
  std::string predictor;
  bool markdown = false;
};

// "NAME=preset,key=value,...": a variant of one's own.
AblationVariant own_variant(const std::string& text, std::int64_t budget) {
  const std::size_t equals = text.find('=');
  const std::vector<std::string> parts =
      equals == std::string::npos ? std::vector<std::string>() : split_list(text.substr(equals + 1));
  if (equals == 0 || parts.empty()) {
    throw Error(fmt::format("--variant {}: write NAME=PRESET,parameter=value,...", in_quotes(text)));
  }
  AblationVariant variant{"own", text.substr(0, equals), {}};
  variant.parameters = named_parameters(parts.front(), {}, {{"budget", budget}, {"max-budget", budget}});
  ParameterChanges changes = changes_in(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto [key, value] = assignment(parts[i], "--variant " + variant.name);
    set_parameter(variant.parameters, key, value);
    changes.emplace_back(key, value);
  }
  say_unread("", {variant.name, variant.parameters}, changes);
  return variant;
}

std::vector<AblationVariant> variants_of(const AblateChoice& options) {
  std::vector<AblationVariant> variants;
  for (AblationVariant& variant : ablation_variants(options.budget)) {
    const auto wanted = [&](const std::string& part) {
      return variant.name == part || variant.group.starts_with(part);
    };
    if (options.only.empty() || std::any_of(options.only.begin(), options.only.end(), wanted)) {
      variants.push_back(std::move(variant));
    }
  }
  for (const std::string& text : options.variants) variants.push_back(own_variant(text, options.budget));
  if (variants.empty()) throw Error("--only names no group and no variant of the table.");
  for (AblationVariant& variant : variants) {
    if (!options.predictor.empty()) variant.parameters.predictor = options.predictor;
    try {
      check_parameters(variant.parameters);
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", variant.name, error.what()));
    }
  }
  return variants;
}

std::vector<AblationText> texts_of(const AblateChoice& options, const AblationSettings& settings,
                                   const Tokenizer& tokenizer) {
  std::vector<AblationText> texts;
  const auto files = static_cast<std::int64_t>(options.texts.size());
  for (std::int64_t f = 0; f < files; ++f) {
    const std::filesystem::path path = options.texts[static_cast<std::size_t>(f)];
    const std::int64_t samples = options.samples / files + (f < options.samples % files ? 1 : 0);
    std::vector<AblationText> excerpts =
        held_out_excerpts(path.filename().string(), read_text(path), samples, settings.tokens, tokenizer);
    std::move(excerpts.begin(), excerpts.end(), std::back_inserter(texts));
  }
  std::vector<AblationText> needles = needle_documents(options.needles, settings.tokens, settings.seed, tokenizer);
  std::move(needles.begin(), needles.end(), std::back_inserter(texts));
  return texts;
}

// Rows of question and needle, and the share of the gap, where any variant has them.
MeasureTable table_of(const std::vector<AblationRow>& rows) {
  const bool gaps = std::any_of(rows.begin(), rows.end(), [](const AblationRow& row) { return row.gap.has_value(); });
  std::vector<std::string> names;
  for (const AblationRow& row : rows) {
    for (const std::string& name : row.row_names) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::vector<std::string> after;
  if (gaps) after.emplace_back("of gap");
  for (const std::string& name : names) after.push_back(name + " rows");
  MeasureTable table({"variant"}, after, 2);
  for (const AblationRow& row : rows) {
    std::vector<std::string> cells;
    if (gaps) cells.push_back(row.gap ? fmt::format("{:.0f}", 100 * *row.gap) : "-");
    for (const std::string& name : names) {
      const auto at = std::find(row.row_names.begin(), row.row_names.end(), name) - row.row_names.begin();
      const bool there = at < static_cast<std::ptrdiff_t>(row.row_names.size());
      cells.push_back(there ? fmt::format("{:.2f}", 100 * row.mean.row_mass[static_cast<std::size_t>(at)]) : "-");
    }
    table.add({row.variant.group, {row.variant.name}, row.mean.values, std::move(cells)});
  }
  return table;
}

// What the figures are of: everything that they depend on.
std::vector<std::pair<std::string, std::string>> facts_of(const AblationResults& results, const AblateChoice& options) {
  const auto needles = std::count_if(results.texts.begin(), results.texts.end(),
                                     [](const AblationText& text) { return !text.rows.empty(); });
  const auto excerpts = static_cast<std::ptrdiff_t>(results.texts.size()) - needles;
  std::string texts;
  if (excerpts > 0) {
    std::string names;
    for (const std::string& path : options.texts) {
      names += (names.empty() ? "" : ", ") + std::filesystem::path(path).filename().string();
    }
    texts = fmt::format("{} of the last tenth of {}",
                        excerpts == 1 ? "an excerpt" : fmt::format("{} excerpts", excerpts), names);
  }
  if (needles > 0) {
    texts += fmt::format("{}{} needle {} of generated prose, seed {}", texts.empty() ? "" : "; ", needles,
                         needles == 1 ? "document" : "documents", results.settings.seed);
  }
  texts += fmt::format("; {} tokens each", count(results.settings.tokens));
  std::string measured = fmt::format("budget {} keys; masks on q, k, v of dense prefills, mean over global layers, ",
                                     count(options.budget));
  measured +=
      results.settings.metrics_rows == 1 ? "all rows" : fmt::format("one row in {}", results.settings.metrics_rows);
  if (results.settings.logit_positions > 0) {
    measured += fmt::format("; logits at up to {} positions", count(results.settings.logit_positions));
  }
  return {{"Model", results.model},
          {"Texts", texts},
          {"Masks", measured},
          {"Machine", fmt::format("{}, {} threads; dhsa {} {}", processor_name(), compute_threads(), DHSA_VERSION,
                                  built_revision())}};
}

std::string report(const AblationResults& results, const AblateChoice& options) {
  const std::vector<AblationRow> rows = summarise(results);
  std::string text;
  for (const auto& [name, fact] : facts_of(results, options)) {
    text += options.markdown ? fmt::format("* {}: {}\n", name, fact)
                             : fmt::format("{:<8}{}\n", name, wrap(fact, kLineWidth, 8));
  }
  const MeasureTable table = table_of(rows);
  if (options.markdown) return text + table.markdown() + "\n" + table.legend();
  text += "\n" + table.text() + "\n  ";
  return text +
         wrap(
             "Over the excerpts, or over the needle documents where there is no excerpt; shares in %. of gap: share of "
             "the way from window-sinks to the group oracle in retained mass; question and needle rows: retained mass "
             "of these rows of the needle documents.",
             100, 2) +
         "\n" + table.legend();
}

int ablate(const AblateChoice& options) {
  if (options.samples < 0 || options.samples > 10000 || options.needles < 0 || options.needles > 10000) {
    throw Error("--samples and --needles must be from 0 to 10000.");
  }
  if ((options.texts.empty() || options.samples == 0) && options.needles == 0) {
    throw Error("There is nothing to measure on; name a file with --text, or ask for --needles.");
  }
  AblationResults results;
  options.flags.settings.put(ablation_options(), results.settings);
  results.variants = variants_of(options);
  const auto held = options.flags.files.hold(options.flags.output.json);

  ExperimentSteps<AblationResults, std::vector<AblationSample>> steps;
  steps.longest = results.settings.tokens;
  steps.counted = "measurements";
  steps.part = &AblationResults::samples;
  steps.parse = parse_ablation_results;
  steps.methods = [](const AblationResults& asked) {
    std::vector<MethodChoice> methods;
    for (const AblationVariant& variant : asked.variants) methods.push_back({variant.name, variant.parameters});
    return methods;
  };
  steps.prepare = [&](const OpenModel& loaded, AblationResults& asked) {
    asked.texts = texts_of(options, asked.settings, *loaded.tokenizer);
  };
  steps.run = [](const OpenModel& loaded, AblationResults& asked, const AblationOptions& how,
                 const std::shared_ptr<const BoundaryPredictor>& predictor) {
    run_ablation(*loaded.model, asked, how, predictor);
  };
  steps.report = [&](const AblationResults& measured) { return report(measured, options); };
  return run_experiment(options.flags, std::move(results), steps);
}

}  // namespace

void add_ablate(CLI::App& app, Action& action) {
  auto options = std::make_shared<AblateChoice>();
  CLI::App* command = app.add_subcommand("ablate", "Measure what each part of the method is worth");
  std::string groups;
  std::string last;
  for (const AblationVariant& variant : ablation_variants(options->budget)) {
    if (variant.group != last) groups += fmt::format("  {}\n", last = variant.group);
  }
  command->footer(fmt::format(
      "Every variant plans on the queries and keys of the same dense prefills, then prefills by itself.\n"
      "Groups of the table, for --only:\n{}"
      "Examples: dhsa ablate --text book.txt --json ablation.json --csv ablation.csv --resume\n"
      "          dhsa ablate --needles 10 --only methods\n"
      "          dhsa ablate --text book.txt --only methods --variant \"mine=best,budget=512,score-rows=4\"",
      groups));
  const auto number_option = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->type_name("N")->group("Ablation");
  };
  command->add_option("--text", options->texts, "Texts; samples come from the last tenth of each")
      ->type_name("FILE...")
      ->group("Ablation");
  number_option("--samples", options->samples, "Samples, spread over the texts [default 8]");
  number_option("--needles", options->needles,
                "Needle documents of generated prose, one for each depth; rows of question and needle are measured "
                "apart [default 0]");
  number_option("--budget", options->budget, "Keys kept for a query row, by every variant [default 1024]");
  command->add_option("--only", options->only, "Only groups whose name begins so, or the variant of this name")
      ->type_name("TEXT...")
      ->group("Ablation");
  command->add_option("--variant", options->variants, "A variant of one's own: NAME=PRESET,parameter=value,...")
      ->type_name("TEXT...")
      ->group("Ablation");
  command->add_option("--predictor", options->predictor, "Predictor of learned boundaries [default: the model's own]")
      ->type_name("FILE")
      ->group("Ablation");
  command->add_flag("--markdown", options->markdown, "Print the tables as Markdown")->group("Output");
  options->flags.add_to(*command, ablation_options());
  command->callback([options, &action] { action = [options] { return ablate(*options); }; });
}

}  // namespace dhsa::cli
