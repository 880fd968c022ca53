#include "app/cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "app/cli/table.h"

namespace dhsa::cli {
namespace {

constexpr std::size_t kAnswerWidth = 78;

std::string dash_if(bool absent, const std::string& text) { return absent ? "-" : text; }

bool has(const std::vector<Values>& summaries, const Measure& measure) {
  return std::any_of(summaries.begin(), summaries.end(),
                     [&](const Values& values) { return values.find(measure.key) != nullptr; });
}

// One column per run, one row per measure.
class SummaryTable {
 public:
  explicit SummaryTable(const Comparison& comparison) : comparison_(comparison), table_(headings(comparison)) {
    for (const MethodRun& run : comparison.runs) summaries_.push_back(summarise(run));
  }

  std::string text() {
    add_group("Cost of the prefill", {Measure::Group::kCost});
    add_group("Masks, over all layers", {Measure::Group::kChunks, Measure::Group::kMask});
    std::int64_t positions = 0;
    for (const MethodRun& run : comparison_.runs) {
      positions = std::max(positions, run.logits ? run.logits->positions : 0);
    }
    add_group(fmt::format("Next token against dense, at {} positions", count(positions)), {Measure::Group::kLogits});
    return table_.text();
  }

 private:
  static std::vector<std::string> headings(const Comparison& comparison) {
    std::vector<std::string> names = {""};
    for (const MethodRun& run : comparison.runs) names.push_back(run.name);
    return names;
  }
  void row(const std::string& label, const std::function<std::string(std::size_t)>& cell) {
    std::vector<std::string> cells = {label};
    for (std::size_t run = 0; run < summaries_.size(); ++run) cells.push_back(cell(run));
    table_.add(cells);
  }
  void add_group(const std::string& heading, const std::vector<Measure::Group>& groups) {
    bool begun = false;
    for (const Measure& measure : measures()) {
      const bool wanted = std::find(groups.begin(), groups.end(), measure.group) != groups.end();
      // The stages say what planning takes.
      if (!wanted || !has(summaries_, measure) || measure.key == "planning_share") continue;
      if (!begun) table_.heading(heading);
      begun = true;
      row(fmt::format("{}{}", measure.part ? "    " : "  ", measure.label), [&](std::size_t run) {
        const Measured* value = summaries_[run].find(measure.key);
        return value == nullptr ? std::string("-") : shown(measure, *value);
      });
      if (measure.key == "prefill_seconds") add_speed_up();
      if (measure.key == "tokens_per_second") add_stages();
    }
  }
  void add_speed_up() {
    const MethodRun* dense = comparison_.dense();
    if (dense == nullptr || comparison_.runs.size() < 2) return;
    row("  speed-up over dense", [&](std::size_t run) {
      const double seconds = comparison_.runs[run].seconds;
      return seconds > 0 ? fmt::format("{:.2f} x", dense->seconds / seconds) : "-";
    });
  }
  void add_stages() {
    for (int s = 0; s < kStageCount; ++s) {
      const auto stage = static_cast<Stage>(s);
      row(fmt::format("    {}", dhsa::name_of(stage)), [&](std::size_t run) {
        const double all = comparison_.runs[run].seconds;
        const double spent = comparison_.runs[run].trace.stage_seconds(stage);
        return fmt::format("{} {:>6}", seconds(spent), percent(all > 0 ? spent / all : 0, 0));
      });
    }
  }

  const Comparison& comparison_;
  Table table_;
  std::vector<Values> summaries_;
};

MeasureTable layer_table(const MethodRun& run, const Gemma2Config& config) {
  MeasureTable table({"layer", "kind", "chunks", "med/max"}, {"plan", "attend"});
  for (int layer = 0; layer < run.trace.layers; ++layer) {
    const auto index = static_cast<std::size_t>(layer);
    const PlanSummary& plan = run.trace.summaries[index];
    const ChunkLengths lengths = chunk_lengths(plan.boundaries);
    const bool chunks = lengths.count > 0;
    Values values;
    values.set("density", plan.density());
    if (index < run.metrics.size()) values = run.metrics[index].values;
    table.add({{},
               {std::to_string(layer), config.window_of(layer) > 0 ? "local" : "global",
                dash_if(!chunks, std::to_string(lengths.count)),
                dash_if(!chunks, fmt::format("{}/{}", lengths.median, lengths.longest))},
               values,
               {milliseconds(run.trace.stage_seconds(Stage::kPlan, layer)),
                milliseconds(run.trace.stage_seconds(Stage::kAttend, layer))}});
  }
  return table;
}

}  // namespace

namespace {

// A number and what is known of its error, with `gap` between the signs.
std::string marked(const Measured& value, double factor, int places, const char* gap) {
  const std::string number = fmt::format("{:.{}f}", factor * value.value, places);
  if (!value.sampled()) return number;
  if (std::isnan(value.standard_error)) return fmt::format("\u2248{}{}", gap, number);
  return fmt::format("\u2248{0}{1}{0}\u00b1{0}{2:.{3}f}", gap, number, factor * value.standard_error, places);
}

}  // namespace

std::string shown(const Measure& measure, const Measured& value) {
  const auto with_unit = [&](int places, double factor, std::string_view unit) {
    const std::string text = marked(value, factor, places, " ");
    return unit.empty() ? text : fmt::format("{} {}", text, unit);
  };
  switch (measure.format) {
    case Measure::Format::kShare:
      return with_unit(1, 100, "%");
    case Measure::Format::kReal:
      return with_unit(4, 1, measure.unit);
    case Measure::Format::kSeconds:
      return seconds(value.value);
    case Measure::Format::kBytes:
      return bytes(static_cast<std::int64_t>(value.value));
    case Measure::Format::kCount:
      return count(std::llround(value.value));
  }
  return {};
}

std::string narrow(const Measure& measure, const Measured& value, int places) {
  if (measure.format == Measure::Format::kShare) return marked(value, 100, places, "");
  if (measure.format == Measure::Format::kReal) return marked(value, 1, 4, "");
  return shown(measure, value);
}

std::vector<const Measure*> MeasureTable::columns() const {
  std::vector<Values> all;
  for (const Row& row : rows_) all.push_back(row.values);
  return measured_in(all);
}

std::vector<std::string> MeasureTable::headings() const {
  std::vector<std::string> headings = before_;
  for (const Measure* measure : columns()) headings.emplace_back(measure->heading);
  headings.insert(headings.end(), after_.begin(), after_.end());
  return headings;
}

std::vector<std::string> MeasureTable::cells(const Row& row) const {
  std::vector<std::string> cells = row.before;
  for (const Measure* measure : columns()) {
    const Measured* value = row.values.find(measure->key);
    cells.push_back(value == nullptr ? "-" : narrow(*measure, *value, places_));
  }
  cells.insert(cells.end(), row.after.begin(), row.after.end());
  return cells;
}

std::string MeasureTable::text(std::size_t most, std::vector<std::size_t> left) const {
  Table table(headings(), std::move(left));
  std::string group;
  for (const Row& row : rows_) {
    if (row.group != group) table.heading(group = row.group);
    table.add(cells(row));
  }
  return table.text(2, most, before_.size());
}

std::string MeasureTable::markdown() const {
  const auto line = [](const std::vector<std::string>& cells) {
    std::string text = "|";
    for (const std::string& cell : cells) text += fmt::format(" {} |", cell);
    return text + '\n';
  };
  std::string text;
  std::string group;
  for (const Row& row : rows_) {
    if (row.group != group) {
      group = row.group;
      text += fmt::format("\n### {}\n\n{}|", group, line(headings()));
      for (std::size_t i = 0; i < headings().size(); ++i) text += "---|";
      text += '\n';
    }
    text += line(cells(row));
  }
  return text;
}

std::string MeasureTable::legend() const {
  Values all;
  for (const Row& row : rows_) {
    for (const auto& [key, value] : row.values.entries()) {
      if (all.find(key) == nullptr || value.sampled()) all.set(key, value);
    }
  }
  return cli::legend(all);
}

std::string legend(const Values& values) {
  std::string text;
  for (const Measure* measure : measured_in(std::span(&values, 1))) {
    text += fmt::format("{}: {} ", measure->heading, measure->help);
  }
  if (values.sampled()) {
    text +=
        "\u2248: of a part of the rows (or positions), drawn at random; \u00b1: one standard error over draws of them.";
  }
  return "  " + wrap(text, kLineWidth, 2) + "\n";
}

std::string comparison_text(const Comparison& comparison, const Gemma2Config& config) {
  std::string out = SummaryTable(comparison).text();
  std::string legend;
  for (const MethodRun& run : comparison.runs) {
    if (run.parameters.method == Method::kDense) continue;
    const MeasureTable layers = layer_table(run, config);
    out += fmt::format("\nLayers under {} (shares in %, times in ms, chunk lengths in tokens)\n{}", run.name,
                       layers.text(100, {0, 1}));
    if (comparison.metrics_rows > 0) legend = "\n" + layers.legend();
  }
  out += legend;
  const auto answered = [](const MethodRun& run) { return run.answer_seconds > 0; };
  if (std::any_of(comparison.runs.begin(), comparison.runs.end(), answered)) {
    out += "\nAnswers\n";
    std::size_t width = 0;
    for (const MethodRun& run : comparison.runs) width = std::max(width, run.name.size());
    for (const MethodRun& run : comparison.runs) {
      std::string shown = in_quotes(run.answer_text);
      if (shown.size() > kAnswerWidth) shown = in_quotes(run.answer_text.substr(0, run.answer_text.find('\n', 1)));
      out += fmt::format("  {:<{}}  {}\n  {:<{}}  {}\n", run.name, width, shown, "", width, run.answer_end);
    }
  }
  return out;
}

}  // namespace dhsa::cli
