#include "app/cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "app/cli/table.h"

namespace dhsa::cli {
namespace {

constexpr std::size_t kAnswerWidth = 78;

std::string dash_if(bool absent, const std::string& text) { return absent ? "-" : text; }

// One column per run.
std::string summary_table(const Comparison& comparison) {
  std::vector<std::string> headings = {""};
  std::vector<RunSummary> summaries;
  for (const MethodRun& run : comparison.runs) {
    headings.push_back(run.name);
    summaries.push_back(summarise(run));
  }
  Table table(headings);
  const auto row = [&](const std::string& label,
                       const std::function<std::string(const MethodRun&, const RunSummary&)>& cell) {
    std::vector<std::string> cells = {label};
    for (std::size_t i = 0; i < summaries.size(); ++i) cells.push_back(cell(comparison.runs[i], summaries[i]));
    table.add(cells);
  };
  const MethodRun* dense = comparison.dense();

  table.heading("Cost of the prefill");
  row("  time", [](const MethodRun& run, const RunSummary&) { return seconds(run.seconds); });
  if (dense != nullptr && comparison.runs.size() > 1) {
    row("  speed-up over dense", [&](const MethodRun& run, const RunSummary&) {
      return run.seconds > 0 ? fmt::format("{:.2f} x", dense->seconds / run.seconds) : "-";
    });
  }
  row("  tokens per second", [](const MethodRun& run, const RunSummary&) {
    return run.seconds > 0 ? count(static_cast<std::int64_t>(static_cast<double>(run.trace.tokens) / run.seconds))
                           : "-";
  });
  for (int s = 0; s < kStageCount; ++s) {
    const auto stage = static_cast<Stage>(s);
    row(fmt::format("    {}", dhsa::name_of(stage)), [&](const MethodRun& run, const RunSummary&) {
      const double spent = run.trace.stage_seconds(stage);
      return fmt::format("{} {:>6}", seconds(spent), percent(run.seconds > 0 ? spent / run.seconds : 0, 0));
    });
  }
  row("  peak memory", [](const MethodRun& run, const RunSummary&) { return bytes(run.peak_bytes); });
  row("    above weights and libraries", [](const MethodRun& run, const RunSummary&) {
    return bytes(std::max<std::int64_t>(0, run.peak_bytes - run.start_bytes));
  });

  table.heading("Masks, over all layers");
  if (std::any_of(summaries.begin(), summaries.end(), [](const RunSummary& s) { return s.chunks > 0; })) {
    row("  chunks per layer (mean)", [](const MethodRun&, const RunSummary& summary) {
      return dash_if(summary.chunks <= 0, fmt::format("{:.0f}", summary.chunks));
    });
    row("  chunk length, median and longest", [](const MethodRun&, const RunSummary& summary) {
      return dash_if(summary.chunks <= 0, fmt::format("{} / {}", summary.median_chunk, summary.longest_chunk));
    });
  }
  row("  density", [](const MethodRun&, const RunSummary& summary) { return percent(summary.density); });
  if (comparison.metrics_rows > 0) {
    row("  retained mass (mean)", [](const MethodRun&, const RunSummary& s) { return percent(s.retained_mass); });
    row("    worst head", [](const MethodRun&, const RunSummary& s) { return percent(s.worst_head_mass); });
    row("    worst 1 % of rows", [](const MethodRun&, const RunSummary& s) { return percent(s.worst_rows_mass); });
    row("    of the oracle's", [](const MethodRun&, const RunSummary& s) { return percent(s.of_oracle); });
    row("  overlap with the oracle (IoU)", [](const MethodRun&, const RunSummary& s) { return percent(s.iou); });
    row("  output error (mean)", [](const MethodRun&, const RunSummary& s) { return percent(s.output_error); });
  }
  const auto has_logits = [](const MethodRun& run) { return run.logits.has_value(); };
  if (std::any_of(comparison.runs.begin(), comparison.runs.end(), has_logits)) {
    std::int64_t positions = 0;
    for (const MethodRun& run : comparison.runs)
      positions = std::max(positions, run.logits ? run.logits->positions : 0);
    table.heading(fmt::format("Next token against dense, at {} positions", count(positions)));
    row("  mean KL(dense || sparse)", [](const MethodRun& run, const RunSummary&) {
      return run.logits ? fmt::format("{:.4f} nats", run.logits->mean_kl) : "-";
    });
    row("  same top token",
        [](const MethodRun& run, const RunSummary&) { return run.logits ? percent(run.logits->same_top) : "-"; });
  }
  return table.text();
}

std::string in_percent(double share) { return fmt::format("{:.1f}", 100 * share); }

std::string layer_table(const MethodRun& run, const Gemma2Config& config) {
  Table table({"layer", "kind", "chunks", "med/max", "density", "mass", "head", "rows", "oracle", "IoU", "error",
               "plan", "attend"},
              {0, 1});
  for (int layer = 0; layer < run.trace.layers; ++layer) {
    const auto index = static_cast<std::size_t>(layer);
    const PlanSummary& plan = run.trace.summaries[index];
    const ChunkLengths lengths = chunk_lengths(plan.boundaries);
    const bool chunks = lengths.count > 0;
    std::vector<std::string> cells = {std::to_string(layer), config.window_of(layer) > 0 ? "local" : "global",
                                      dash_if(!chunks, std::to_string(lengths.count)),
                                      dash_if(!chunks, fmt::format("{}/{}", lengths.median, lengths.longest)),
                                      in_percent(plan.density())};
    if (index < run.metrics.size()) {
      const MaskMetrics& metrics = run.metrics[index];
      for (const double share : {metrics.retained_mass, metrics.worst_head_mass, metrics.worst_rows_mass,
                                 metrics.of_oracle, metrics.iou, metrics.output_error}) {
        cells.push_back(in_percent(share));
      }
    } else {
      cells.insert(cells.end(), 6, "-");
    }
    cells.push_back(milliseconds(run.trace.stage_seconds(Stage::kPlan, layer)));
    cells.push_back(milliseconds(run.trace.stage_seconds(Stage::kAttend, layer)));
    table.add(cells);
  }
  return table.text();
}

}  // namespace

std::string settings_text(const SparsityParameters& parameters) {
  const SparsityParameters defaults;
  std::string text;
  for (const Option<SparsityParameters>& option : parameter_table()) {
    if (option.key == "method" || !option.is_read(parameters)) continue;
    const OptionValue value = option.get(parameters);
    if (option.key != "budget" && value == option.get(defaults)) continue;
    const std::string shown =
        std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : to_text(option, value);
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", option.key, shown);
  }
  return text;
}

std::string comparison_text(const Comparison& comparison, const Gemma2Config& config) {
  std::string out = summary_table(comparison);
  for (const MethodRun& run : comparison.runs) {
    if (run.parameters.method == Method::kDense) continue;
    out += fmt::format("\nLayers under {} (shares in %, times in ms, chunk lengths in tokens)\n{}", run.name,
                       layer_table(run, config));
  }
  if (comparison.metrics_rows > 0) {
    out +=
        "\n  " +
        wrap(fmt::format("density: kept / causal pairs, inside the window of {} keys on local layers. mass: dense "
                         "attention mass on the kept keys, mean over rows and heads{}; head: its worst head; rows: its "
                         "worst 1 % of rows. oracle: mass relative to the best choice of as many keys, row by row. "
                         "error: norm of the change of the attention output, relative to dense.",
                         config.sliding_window,
                         comparison.metrics_rows > 1 ? fmt::format(" (every {}th row)", comparison.metrics_rows)
                                                     : std::string()),
             100, 2) +
        "\n";
  }
  const auto answered = [](const MethodRun& run) { return run.answer_seconds > 0; };
  if (std::any_of(comparison.runs.begin(), comparison.runs.end(), answered)) {
    out += "\nAnswers\n";
    std::size_t width = 0;
    for (const MethodRun& run : comparison.runs) width = std::max(width, run.name.size());
    for (const MethodRun& run : comparison.runs) {
      std::string shown = in_quotes(run.answer_text);
      if (shown.size() > kAnswerWidth) shown = in_quotes(run.answer_text.substr(0, run.answer_text.find('\n', 1)));
      out += fmt::format("  {:<{}}  {}\n", run.name, width, shown);
    }
  }
  return out;
}

}  // namespace dhsa::cli
