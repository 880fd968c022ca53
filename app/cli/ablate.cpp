// dhsa ablate: what each part of the method is worth.
#include <fmt/format.h>

#include <algorithm>

#include "app/cli/common.h"
#include "app/cli/table.h"
#include "core/base/resources.h"
#include "core/evaluate/ablation.h"
#include "core/evaluate/needle.h"

namespace dhsa::cli {
namespace {

struct Options {
  ModelOptionsText model;
  OutputOptions output;
  std::vector<std::string> texts;
  std::int64_t samples = 8;
  std::int64_t needles = 0;
  std::uint64_t seed = 1;
  std::int64_t tokens = 8192;
  std::int64_t budget = 1024;
  std::int64_t metrics_rows = 7;  // not a divisor of score_rows: scored rows are not to be favoured
  std::int64_t logit_positions = 2048;
  std::vector<std::string> only;
  std::vector<std::string> variants;
  std::string predictor;
  std::string csv;
};

// Excerpts of the last tenth of each text, evenly spread: what train-predictor never learns from.
std::vector<AblationText> excerpts(const Options& options, const Tokenizer& tokenizer) {
  std::vector<AblationText> texts;
  const auto per_file = static_cast<std::int64_t>(options.texts.size());
  for (std::int64_t f = 0; f < per_file; ++f) {
    const std::filesystem::path path = options.texts[static_cast<std::size_t>(f)];
    std::string text = read_text(path);
    if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
    replace_invalid_utf8(text);
    const Encoding encoding = tokenizer.encode(text, false);
    const std::vector<std::int32_t> ends = sentence_ends(text, encoding);
    const auto all = static_cast<std::int64_t>(encoding.ids.size());
    const std::int64_t first = all - all / 10;
    const std::int64_t length = options.tokens - 1;  // after BOS
    if (all - first < length) {
      throw Error(
          fmt::format("The last tenth of {} has {} tokens, fewer than the {} of a sample; give a longer text "
                      "or fewer --tokens.",
                      path.filename().string(), all - first, options.tokens));
    }
    const std::int64_t count = options.samples / per_file + (f < options.samples % per_file ? 1 : 0);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t begin = first + (count > 1 ? (all - first - length) * i / (count - 1) : 0);
      AblationText sample;
      sample.name = fmt::format("{}:{}", path.filename().string(), begin);
      sample.ids = {tokenizer.bos()};
      sample.ids.insert(sample.ids.end(), encoding.ids.begin() + begin, encoding.ids.begin() + begin + length);
      for (const std::int32_t end : ends) {
        if (end >= begin && end < begin + length)
          sample.sentence_ends.push_back(end - static_cast<std::int32_t>(begin) + 1);
      }
      texts.push_back(std::move(sample));
    }
  }
  return texts;
}

// Needle prompts of all depths; the rows of the question and of the needle are measured apart.
void add_needle_prompts(const Options& options, const Tokenizer& tokenizer, std::vector<AblationText>& texts) {
  NeedleSettings settings;
  settings.mode = NeedleMode::kStrict;
  settings.lengths = {options.tokens};
  settings.depths = std::max<std::int64_t>(1, options.needles);
  settings.seed = options.seed;
  for (std::int64_t depth = 0; depth < options.needles; ++depth) {
    const NeedlePrompt prompt = make_needle_prompt(settings, options.tokens, depth, 0, tokenizer);
    const auto tokens = static_cast<std::int64_t>(prompt.encoding.ids.size());
    AblationText text;
    text.name = fmt::format("needle:{}", depth);
    text.ids = prompt.encoding.ids;
    text.sentence_ends = prompt.sentence_ends;
    text.rows = {{"question", tokens - prompt.question_tokens, tokens}};
    for (const auto& [begin, end] : prompt.needles) text.rows.push_back({"needle", begin, end});
    texts.push_back(std::move(text));
  }
}

// "NAME=preset,key=value,...": a variant of one's own.
AblationVariant own_variant(const std::string& text, std::int64_t budget) {
  const std::size_t equals = text.find('=');
  const std::vector<std::string> parts =
      equals == std::string::npos ? std::vector<std::string>() : split_list(text.substr(equals + 1));
  if (equals == 0 || parts.empty()) {
    throw Error(fmt::format("--variant {}: write NAME=PRESET,parameter=value,...", in_quotes(text)));
  }
  AblationVariant variant{"own", text.substr(0, equals), {}};
  variant.parameters = named_parameters(parts.front(), {});
  variant.parameters.budget = variant.parameters.max_budget = budget;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::size_t at = parts[i].find('=');
    if (at == std::string::npos) throw Error(fmt::format("--variant {}: {} has no value.", in_quotes(text), parts[i]));
    set_parameter(variant.parameters, parts[i].substr(0, at), parts[i].substr(at + 1));
  }
  return variant;
}

std::vector<AblationVariant> variants_of(const Options& options) {
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
    check_parameters(variant.parameters);
  }
  return variants;
}

std::string number(const std::optional<double>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : std::string("-");
}

void print(const std::vector<AblationRow>& rows) {
  std::vector<std::string> headings = {"variant", "mass", "worst 1 %", "of oracle",
                                       "density", "KL",   "same top",  "planning"};
  std::vector<std::string> row_names = rows.empty() ? std::vector<std::string>() : rows.front().row_names;
  for (const std::string& name : row_names) headings.push_back(name + " rows");
  Table table(headings);
  std::string group;
  for (const AblationRow& row : rows) {
    if (row.variant.group != group) table.heading(group = row.variant.group);
    const AblationSample& mean = row.mean;
    std::vector<std::string> cells = {row.variant.name,
                                      fmt::format("{:.4f}", mean.retained_mass),
                                      fmt::format("{:.3f}", mean.worst_rows_mass),
                                      fmt::format("{:.4f}", mean.of_oracle),
                                      percent(mean.density),
                                      number(mean.kl, "{:.4f}"),
                                      mean.same_top ? percent(*mean.same_top, 2) : "-",
                                      mean.planning_share ? percent(*mean.planning_share) : "-"};
    for (const double mass : mean.row_mass) cells.push_back(fmt::format("{:.4f}", mass));
    table.add(std::move(cells));
  }
  fmt::print("{}", table.text(2, 140));
}

int ablate(const Options& options) {
  if (options.samples < 0 || options.samples > 10000 || options.needles < 0 || options.needles > 10000 ||
      options.tokens < 64 || options.tokens > 1 << 20 || options.metrics_rows < 1 || options.logit_positions < 0) {
    throw Error(
        "--samples and --needles must be from 0 to 10000, --tokens from 64 to 1048576, --metrics-rows at least 1 and "
        "--logit-positions not negative.");
  }
  if (options.texts.empty() && options.needles == 0) {
    throw Error("There is nothing to measure on; name a file with --text, or ask for --needles.");
  }
  const std::vector<AblationVariant> variants = variants_of(options);
  JsonFile json(options.output.json);
  std::optional<AtomicFile> csv;
  if (!options.csv.empty()) csv.emplace(options.csv);
  ProgressLine progress(options.output.style());
  const LoadedModel loaded = load_model(options.model, progress);
  progress.show("reading the texts", -1);
  std::vector<AblationText> texts;
  if (!options.texts.empty()) texts = excerpts(options, *loaded.tokenizer);
  add_needle_prompts(options, *loaded.tokenizer, texts);

  std::vector<MethodChoice> choices;
  for (const AblationVariant& variant : variants) choices.push_back({variant.name, variant.parameters});
  AblationOptions how;
  how.metrics_rows = options.metrics_rows;
  how.logit_positions = options.logit_positions;
  how.cancel = &interrupt();
  how.progress = [&](const std::string& what, double fraction) { progress.show(what, fraction); };
  progress.restart();
  const std::vector<AblationSample> samples =
      run_ablation(*loaded.model, texts, variants, how, {}, load_predictor(choices, loaded.folder));
  progress.clear();
  const std::vector<AblationRow> rows = summarise(samples, variants, texts);

  fmt::print("Model   {}\n", wrap(describe(loaded), 100, 8));
  fmt::print(
      "Texts   {} of {} tokens; budget {} keys; mean over global layers, every {}. row; q, k, v of dense runs\n\n",
      texts.size(), count(options.tokens), count(options.budget), options.metrics_rows);
  print(rows);
  nlohmann::json table = nlohmann::json::array();
  for (const AblationVariant& variant : variants) {
    table.push_back({{"group", variant.group}, {"name", variant.name}, {"parameters", variant.parameters}});
  }
  json.write({{"kind", "dhsa-ablate"},
              {"machine", machine_json()},
              {"model", model_json(loaded)},
              {"tokens", options.tokens},
              {"budget", options.budget},
              {"seed", options.seed},
              {"metrics_rows", options.metrics_rows},
              {"logit_positions", options.logit_positions},
              {"variants", table},
              {"samples", samples}});
  if (csv) {
    csv->write(to_csv(samples, variants, texts));
    csv->commit();
  }
  return 0;
}

}  // namespace

void add_ablate(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("ablate", "Measure what each part of the method is worth");
  command->footer(
      "Every variant plans on the queries and keys of the same dense prefills, then prefills by itself.\n"
      "Example: dhsa ablate --text book.txt --csv ablation.csv --variant \"mine=best,budget=512,score-rows=4\"");
  options->model.add_to(*command);
  const auto number_option = [&](const char* name, std::int64_t& value, const char* help) {
    command->add_option(name, value, help)->type_name("N")->group("Ablation");
  };
  command->add_option("--text", options->texts, "Texts; samples come from the last tenth of each")
      ->type_name("FILE...")
      ->group("Ablation");
  number_option("--samples", options->samples, "Samples, spread over the texts [default 8]");
  number_option("--needles", options->needles, "Needle prompts of generated prose, one per depth [default 0]");
  number_option("--tokens", options->tokens, "Tokens of a sample [default 8192]");
  number_option("--budget", options->budget, "Keys kept for a query row, by every variant [default 1024]");
  number_option("--metrics-rows", options->metrics_rows, "Measure masks on every N-th row [default 7]");
  number_option("--logit-positions", options->logit_positions,
                "Compare logits at most at N positions; 0 leaves the variants' own prefills out [default 2048]");
  command->add_option("--seed", options->seed, "Seed of the needle prompts [default 1]")
      ->type_name("N")
      ->group("Ablation");
  command->add_option("--only", options->only, "Only groups whose name begins so, or the variant of this name")
      ->type_name("TEXT...")
      ->group("Ablation");
  command->add_option("--variant", options->variants, "A variant of one's own: NAME=PRESET,parameter=value,...")
      ->type_name("TEXT...")
      ->group("Ablation");
  command->add_option("--predictor", options->predictor, "Predictor of learned boundaries [default: the model's own]")
      ->type_name("FILE")
      ->group("Ablation");
  command->add_option("--csv", options->csv, "Every sample as CSV")->type_name("FILE")->group("Output");
  options->output.add_to(*command);
  command->callback([options, &action] { action = [options] { return ablate(*options); }; });
}

}  // namespace dhsa::cli
