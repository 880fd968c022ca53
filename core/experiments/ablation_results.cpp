// Ablation results: means, CSV and JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/experiments/ablation.h"
#include "core/experiments/results_file_internal.h"
#include "core/files/csv.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

using nlohmann::json;
using results_file::Reader;

constexpr const char* kKind = "dhsa-ablate";

json text_json(const AblationText& text) {
  json rows = json::array();
  for (const RowSpan& span : text.rows) rows.push_back({{"name", span.name}, {"begin", span.begin}, {"end", span.end}});
  return {{"name", text.name}, {"digest", text.digest}, {"rows", std::move(rows)}};
}

AblationText read_text(const Reader& from, std::int64_t tokens) {
  from.only({"name", "digest", "rows"});
  AblationText text;
  text.name = from["name"].text(4096);
  text.digest = from["digest"].text(64);
  for (const Reader& item : from["rows"].list(256)) {
    item.only({"name", "begin", "end"});
    RowSpan span{item["name"].text(64), item["begin"].whole(0, tokens - 1), 0};
    span.end = item["end"].whole(span.begin + 1, tokens);
    text.rows.push_back(std::move(span));
  }
  return text;
}

json sample_json(const AblationSample& sample) {
  json out = sample.values;
  out["variant"] = sample.variant;
  out["text"] = sample.text;
  out["row_mass"] = sample.row_mass;
  return out;
}

using Keys = std::set<std::pair<std::string, std::string>>;

// `open`: variant and text of the samples that may still come.
AblationSample read_sample(const Reader& from, Keys& open, const std::map<std::string, std::size_t>& spans,
                           std::int64_t metrics_rows) {
  AblationSample sample;
  sample.variant = from["variant"].text(256);
  sample.text = from["text"].text(4096);
  if (open.erase({sample.variant, sample.text}) == 0) from["variant"].refuse("one of the variants, once for each text");
  const Values written = results_file::read_values(from, {"variant", "text", "row_mass"});
  for (auto [key, measured] : written.entries()) {
    // Files of before the table of measures do not say what was sampled; a method without chunks has 0 of them there.
    const Measure& measure = dhsa::measure(key);
    if (key == "chunks" && measured.value == 0) continue;
    if (!from.has("row_step") && measure.group == Measure::Group::kMask && measure.may_be_sampled) {
      measured.row_step = metrics_rows;
      measured.standard_error = measured.sampled() ? std::nan("") : 0;
    }
    sample.values.set(key, measured);
  }
  for (const char* key : {"retained_mass", "density"}) static_cast<void>(from[key]);
  for (const Reader& mass : from["row_mass"].list(256)) sample.row_mass.push_back(mass.number(0, 1 + 1e-6));
  if (sample.row_mass.size() != spans.at(sample.text)) from["row_mass"].refuse("one for each span of rows of its text");
  return sample;
}

results_file::Head head_of(const AblationResults& results) {
  std::vector<MethodChoice> methods;
  for (const AblationVariant& variant : results.variants) methods.push_back({variant.name, variant.parameters});
  return {results.finished(), results_file::settings_json(ablation_options(), results.settings), results.model,
          results.fingerprint, std::move(methods)};
}

bool is_needle_document(const AblationText& text) { return !text.rows.empty(); }

// Names of the spans of rows, in the order in which they come up.
std::vector<std::string> row_names(const std::vector<AblationText>& texts) {
  std::vector<std::string> names;
  for (const AblationText& text : texts) {
    for (const RowSpan& span : text.rows) {
      if (std::find(names.begin(), names.end(), span.name) == names.end()) names.push_back(span.name);
    }
  }
  return names;
}

// Retained mass of the rows of this name on one text; spans weigh by their rows. Empty where there are none.
std::optional<double> mass_of_rows(const AblationSample& sample, const AblationText& text, const std::string& name) {
  double mass = 0;
  double rows = 0;
  for (std::size_t r = 0; r < text.rows.size(); ++r) {
    if (text.rows[r].name != name) continue;
    const auto count = static_cast<double>(text.rows[r].end - text.rows[r].begin);
    mass += count * sample.row_mass[r];
    rows += count;
  }
  return rows > 0 ? std::optional(mass / rows) : std::nullopt;
}

class Mean {
 public:
  void add(const std::optional<double>& value) {
    if (value) sum_ += *value;
    count_ += value ? 1 : 0;
  }
  [[nodiscard]] std::optional<double> value() const { return count_ > 0 ? std::optional(sum_ / count_) : std::nullopt; }

 private:
  double sum_ = 0;
  double count_ = 0;
};

}  // namespace

std::vector<AblationRow> summarise(const AblationResults& results) {
  const bool any_prose = std::any_of(results.texts.begin(), results.texts.end(),
                                     [](const AblationText& text) { return !is_needle_document(text); });
  const std::vector<std::string> names = row_names(results.texts);
  std::vector<AblationRow> rows;
  for (const AblationVariant& variant : results.variants) {
    AblationRow row;
    row.variant = variant;
    row.mean.variant = variant.name;
    std::vector<Values> values;
    std::vector<Mean> of_rows(names.size());
    for (const AblationText& text : results.texts) {
      const AblationSample* sample = results.sample(variant.name, text.name);
      if (sample == nullptr) continue;
      for (std::size_t n = 0; n < names.size(); ++n) of_rows[n].add(mass_of_rows(*sample, text, names[n]));
      if (any_prose && is_needle_document(text)) continue;
      ++row.texts;
      values.push_back(sample->values);
    }
    if (row.texts == 0) continue;
    row.mean.values = combine(values);
    for (std::size_t n = 0; n < names.size(); ++n) {
      if (!of_rows[n].value()) continue;
      row.row_names.push_back(names[n]);
      row.mean.row_mass.push_back(*of_rows[n].value());
    }
    rows.push_back(std::move(row));
  }
  const auto mass_of = [&](const char* name) -> std::optional<double> {
    const auto at = std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.variant.name == name; });
    return at == rows.end() ? std::nullopt : std::optional(at->mean.values.value("retained_mass"));
  };
  const std::optional<double> low = mass_of("window-sinks");
  const std::optional<double> high = mass_of("group oracle");
  if (low && high && *high > *low) {
    for (AblationRow& row : rows) row.gap = (row.mean.values.value("retained_mass") - *low) / (*high - *low);
  }
  return rows;
}

std::string to_csv(const AblationResults& results) {
  const std::vector<std::string> names = row_names(results.texts);
  std::vector<Values> all;
  for (const AblationSample& sample : results.samples) all.push_back(sample.values);
  const MeasureColumns columns(all);
  std::string csv = "group,variant,text" + csv_cells(columns.headings());
  for (const std::string& name : names) csv += fmt::format(",{}_rows_mass", name);
  csv += '\n';
  for (const AblationVariant& variant : results.variants) {
    for (const AblationText& text : results.texts) {
      const AblationSample* sample = results.sample(variant.name, text.name);
      if (sample == nullptr) continue;
      csv += fmt::format("{},{},{}{}", csv_field(variant.group), csv_field(variant.name), csv_field(text.name),
                         csv_cells(columns.cells(sample->values)));
      for (const std::string& name : names) {
        const std::optional<double> mass = mass_of_rows(*sample, text, name);
        csv += mass ? fmt::format(",{:.9g}", *mass) : std::string(",");
      }
      csv += '\n';
    }
  }
  return csv;
}

void to_json(json& out, const AblationResults& results) {
  results_file::write_head(out, kKind, head_of(results));
  json groups = json::array();
  for (const AblationVariant& variant : results.variants) groups.push_back(variant.group);
  json texts = json::array();
  for (const AblationText& text : results.texts) texts.push_back(text_json(text));
  json samples = json::array();
  for (const AblationSample& sample : results.samples) samples.push_back(sample_json(sample));
  out["groups"] = std::move(groups);
  out["texts"] = std::move(texts);
  out["samples"] = std::move(samples);
}

AblationResults parse_ablation_results(const std::string& text, const std::string& where) {
  const json parsed = parse_strict_json(text, where);
  const Reader file(parsed, where);
  AblationResults results;
  results_file::Head head = results_file::read_head(
      file, kKind, "ablation", {"groups", "texts", "samples"},
      [&](const Reader& from) { results.settings = results_file::read_settings(from, ablation_options()); });
  results.model = std::move(head.model);
  results.fingerprint = std::move(head.fingerprint);
  const std::vector<Reader> groups = file["groups"].list(256);
  if (groups.size() != head.methods.size()) file["groups"].refuse("one for each method");
  for (std::size_t i = 0; i < groups.size(); ++i) {
    results.variants.push_back({groups[i].text(256), head.methods[i].name, head.methods[i].parameters});
  }
  std::map<std::string, std::size_t> spans;
  for (const Reader& item : file["texts"].list(20000)) {
    results.texts.push_back(read_text(item, results.settings.tokens));
    const AblationText& last = results.texts.back();
    if (!spans.emplace(last.name, last.rows.size()).second) item["name"].refuse("a name of its own");
  }
  Keys open;
  for (const AblationVariant& variant : results.variants) {
    for (const AblationText& item : results.texts) open.emplace(variant.name, item.name);
  }
  for (const Reader& item : file["samples"].list(open.size())) {
    results.samples.push_back(read_sample(item, open, spans, results.settings.metrics_rows));
  }
  if (head.finished != results.finished()) file["finished"].refuse("as its contents are");
  return results;
}

std::string difference(const AblationResults& file, const AblationResults& asked) {
  const std::string other = results_file::difference(head_of(file), head_of(asked));
  if (!other.empty()) return other;
  if (file.texts.size() != asked.texts.size()) {
    return fmt::format("it has {} texts, not {}", file.texts.size(), asked.texts.size());
  }
  for (std::size_t t = 0; t < file.texts.size(); ++t) {
    if (file.texts[t].name != asked.texts[t].name || file.texts[t].digest != asked.texts[t].digest) {
      return fmt::format("its text {} is another one", brief_name(file.texts[t].name));
    }
  }
  return {};
}

}  // namespace dhsa
