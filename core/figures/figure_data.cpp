#include "core/figures/figure_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/figures/figure_data_internal.h"
#include "core/run/measures.h"
#include "core/run/run.h"
#include "core/sparsity/attention_rows.h"

namespace dhsa {
namespace {

using From = FigureKindInfo::From;

// Attention of a part of this many pairs is exported cell by cell; above, its reduced matrix.
constexpr std::int64_t kPairsBesideFigure = std::int64_t{1} << 22U;
constexpr std::int64_t kPairsAsData = std::int64_t{1} << 28U;

struct Context {
  const FigureSpec& spec;
  const FigureMaterial& material;
  bool data_only;
  const CancelToken* cancel;
  // Levels of one layer and head serve several panels.
  std::map<std::pair<int, int>, std::shared_ptr<const AttentionLevels>>& levels;
};

std::string place_of(const FigurePanel& panel) {
  return panel.head < 0 ? fmt::format("layer {}", panel.layer)
                        : fmt::format("layer {}, head {}", panel.layer, panel.head);
}

std::string brief_place_of(const FigurePanel& panel) {
  return panel.head < 0 ? fmt::format("L{}", panel.layer) : fmt::format("L{} H{}", panel.layer, panel.head);
}

const FigureMaterial::Layer& layer_of(const Context& context, const FigurePanel& panel) {
  const auto at = static_cast<std::size_t>(panel.layer);
  if (panel.layer < 0 || at >= context.material.layers.size() || !context.material.layers[at].plan) {
    throw Error(
        fmt::format("Layer {} was not run, so that its {} cannot be shown.", panel.layer, figure_kind(panel.what).key));
  }
  return context.material.layers[at];
}

const CapturedLayer& captured_of(const Context& context, const FigurePanel& panel) {
  const auto& layer = layer_of(context, panel);
  if (!layer.captured) {
    throw Error(fmt::format("Queries and keys of layer {} were not kept by the run; run again with that layer in view.",
                            panel.layer));
  }
  return *layer.captured;
}

int list_of(const Context& context, const FigurePanel& panel, const KeyMask& mask) {
  return panel.head < 0 ? 0 : mask.mask_head(panel.head, context.material.query_heads);
}

struct Part {
  std::int64_t row_begin, row_end, key_begin, key_end;
  [[nodiscard]] std::int64_t rows() const { return row_end - row_begin; }
  [[nodiscard]] std::int64_t keys() const { return key_end - key_begin; }
};

Part part_of(const FigureSpec& spec, std::int64_t tokens) {
  const auto check = [&](const char* name, std::int64_t begin, std::int64_t end) {
    if (begin >= tokens || end > tokens) {
      throw Error(fmt::format("--{0}-begin {1} and --{0}-end {2} reach beyond the {3} tokens of the text.", name, begin,
                              end, tokens));
    }
  };
  check("row", spec.row_begin, spec.row_end);
  check("key", spec.key_begin, spec.key_end);
  return {spec.row_begin, spec.row_end > 0 ? spec.row_end : tokens, spec.key_begin,
          spec.key_end > 0 ? spec.key_end : tokens};
}

nlohmann::json facts_of(const MaskMetrics& metrics) {
  nlohmann::json facts = metrics;
  const std::int64_t row_step = metrics.values.at("retained_mass").row_step;
  facts["measured_rows"] = row_step == 1 ? "all" : fmt::format("one in {}", row_step);
  return facts;
}

// [values] as `key`, and where some of them are sampled what they rest on beside them.
void add_measured(FigurePanelData& data, const std::string& key, const std::vector<Measured>& values,
                  const std::vector<std::int64_t>& shape, const std::string& note) {
  std::vector<double> plain, error;
  std::vector<std::int64_t> step;
  for (const Measured& value : values) {
    plain.push_back(value.value);
    error.push_back(value.standard_error);
    step.push_back(value.row_step);
  }
  add_array(data, key, plain, shape, note);
  if (std::none_of(values.begin(), values.end(), [](const Measured& value) { return value.sampled(); })) return;
  add_array(data, key + "_standard_error", error, shape, "standard error of " + key + "; 0: exact, NaN: not known");
  add_array(data, key + kRowStep, step, shape, key + " was measured on one row in so many; 1: exact");
}

MaskMetrics metrics_of(const Context& context, const FigureMaterial::Layer& layer) {
  if (layer.metrics) return *layer.metrics;
  const CapturedLayer& captured = *layer.captured;
  MetricOptions options;
  options.row_step = context.spec.metrics_rows;
  options.oracle = false;
  options.cancel = context.cancel;
  return measure_mask(captured.q(), captured.k(), captured.v(), layer.plan->mask, captured.layer(), options);
}

void fill_mask(const Context& context, FigurePanelData& data) {
  const auto& layer = layer_of(context, data.panel);
  const KeyMask& mask = layer.plan->mask;
  const int list = list_of(context, data.panel, mask);
  data.matrix = std::make_shared<MaskSource>(std::shared_ptr<const KeyMask>(layer.plan, &mask), list);
  data.value_title = "kept";
  add_mask(mask, data.arrays);
  data.array_notes["group_rows"] =
      "[G + 1] first row of each query group, and the number of rows; rows of a group share their key ranges";
  data.array_notes["indptr"] =
      "[lists * G + 1] ranges of list h and group g are begin[i], end[i] with indptr[h * G + g] <= i < indptr[h * G + "
      "g "
      "+ 1]; query head q of H reads list q * lists / H";
  data.array_notes["begin"] = "first key of each range";
  data.array_notes["end"] = "one past the last key of each range";
  data.array_notes["window"] =
      "keys a row sees at most, itself included; 0: no window. On top of the ranges, row i keeps key j only if j <= i "
      "and, with a window, j > i - window";
  if (context.spec.dense_bits) {
    add_mask_bits(mask, data.arrays);
    data.array_notes["kept_bits_little"] =
        "[lists, L, ceil(L / 8)] bit j % 8 of byte j / 8, least significant bit first (bitorder=\"little\"): row keeps "
        "key j, causality and window applied";
  }
  if (layer.captured) data.facts["metrics"] = facts_of(metrics_of(context, layer));
  data.facts["density"] = mask.density();
  data.facts["lists"] = mask.heads();
  data.facts["list"] = list;
  data.facts["query_groups"] = mask.groups();
  data.facts["key_ranges"] = mask.all_ranges().size();
  data.facts["kept_pairs"] = mask.kept_pairs();
}

void fill_scores(const Context& context, FigurePanelData& data, bool upsampled) {
  const auto& layer = layer_of(context, data.panel);
  const Plan& plan = *layer.plan;
  data.matrix = score_source(plan, list_of(context, data.panel, plan.mask), upsampled);
  data.value_title = upsampled ? "token similarity S_t" : "chunk similarity S_c";
  data.value_brief = upsampled ? "S_t" : "S_c";
  const auto chunks = static_cast<std::int64_t>(plan.trace.boundaries.size()) - 1;
  add_array(
      data, "chunk_scores", plan.trace.chunk_scores,
      {static_cast<std::int64_t>(plan.mask.heads()), plan.mask.groups(), chunks},
      "[lists, G, N_c] S_c; NaN where the chunk begins at or after the group's end. S_t of row i and key j is that "
      "of the row's group and the key's chunk");
  add_array(data, "group_rows", std::vector<std::int32_t>(plan.mask.group_rows().begin(), plan.mask.group_rows().end()),
            {}, "[G + 1] first row of each query group, and the number of rows");
  data.facts["list"] = list_of(context, data.panel, plan.mask);
}

std::shared_ptr<const AttentionLevels> levels_of(const Context& context, const FigurePanel& panel) {
  auto& known = context.levels[{panel.layer, panel.head}];
  if (known) return known;
  const auto& layer = layer_of(context, panel);
  const CapturedLayer& captured = captured_of(context, panel);
  AttentionInput input;
  input.q = captured.q();
  input.k = captured.k();
  input.layer = captured.layer();
  input.mask = std::shared_ptr<const KeyMask>(layer.plan, &layer.plan->mask);
  input.owner = layer.captured;
  if (panel.head < 0) {
    input.heads.resize(static_cast<std::size_t>(captured.q().heads));
    std::iota(input.heads.begin(), input.heads.end(), 0);
  } else {
    input.heads = {panel.head};
  }
  AttentionLevels::Options options;
  options.cancel = context.cancel;
  known = AttentionLevels::build(std::move(input), options);
  return known;
}

void fill_attention(const Context& context, FigurePanelData& data, AttentionLevels::What what) {
  const auto levels = levels_of(context, data.panel);
  data.matrix = attention_source(levels, what);
  const bool difference = what == AttentionLevels::What::kDifference;
  data.value_title = difference                                ? "dense − sparse probability"
                     : what == AttentionLevels::What::kDropped ? "dropped attention probability"
                                                               : "attention probability";
  data.value_brief = difference ? "difference" : what == AttentionLevels::What::kDropped ? "dropped" : "probability";
  const Part part = part_of(context.spec, levels->tokens());
  const std::int64_t pairs = part.rows() * part.keys();
  const std::string name = figure_kind(data.panel.what).key;
  const std::string heads = data.panel.head < 0 ? "mean of all heads" : fmt::format("head {}", data.panel.head);
  if (pairs <= (context.data_only ? kPairsAsData : kPairsBesideFigure)) {
    std::vector<float> values(static_cast<std::size_t>(pairs));
    levels->exact(what, part.row_begin, part.row_end, part.key_begin, part.key_end, values.data(), context.cancel);
    for (float& value : values) {
      if (std::isnan(value)) value = 0;
    }
    add_array(data, name, values, {part.rows(), part.keys()},
              fmt::format("[rows, keys] rows {} to {}, keys {} to {}; 0 where not causal; {}", part.row_begin,
                          part.row_end - 1, part.key_begin, part.key_end - 1, heads));
    return;
  }
  if (context.data_only) {
    throw Error(fmt::format(
        "{} of {} rows and {} keys takes {} MiB, more than the {} MiB allowed; name a part with "
        "--row-begin, --row-end, --key-begin, --key-end.",
        figure_kind(data.panel.what).label, part.rows(), part.keys(), pairs * 4 >> 20, kPairsAsData * 4 >> 20));
  }
  const ReducedMatrix& reduced = levels->reduced(what);
  const auto shape = std::vector<std::int64_t>{reduced.rows(), reduced.keys()};
  add_array(data, name + "_max", reduced.max, shape,
            fmt::format("[blocks, blocks] {} of each block of cells; NaN: not causal; {}",
                        difference ? "value of largest magnitude" : "largest value", heads));
  add_array(data, name + "_mean", reduced.mean, shape, "[blocks, blocks] mean over the causal cells of each block");
  add_array(data, "row_edges", reduced.row_edges, {}, "[blocks + 1] first row of each block");
  add_array(data, "key_edges", reduced.key_edges, {}, "[blocks + 1] first key of each block");
}

FigureSeries token_series(const std::string& name, const std::vector<float>& values) {
  FigureSeries series;
  series.name = name;
  series.y.assign(values.begin(), values.end());
  series.x.resize(values.size());
  std::iota(series.x.begin(), series.x.end(), 0.0);
  return series;
}

void fill_importance(const Context& context, FigurePanelData& data) {
  const auto& layer = layer_of(context, data.panel);
  const CapturedLayer& captured = captured_of(context, data.panel);
  const TokenImportance importance = token_importance(captured.q(), captured.k(), layer.plan->mask, captured.layer(),
                                                      context.spec.metrics_rows, context.cancel);
  const std::vector<float> predicted = predicted_importance(*layer.plan);
  data.x_title = "token";
  data.series.push_back(token_series("received", importance.received_mass));
  if (importance.row_step > 1) {
    data.series.back().row_step.assign(importance.received_mass.size(), importance.row_step);
    data.long_name += fmt::format(" (received ≈, one row in {})", importance.row_step);
    add_array(data, "received_mass" + kRowStep, std::vector<std::int64_t>{importance.row_step}, {},
              "received_mass was measured on one row in so many");
  }
  if (!predicted.empty()) data.series.push_back(token_series("predicted", predicted));
  data.series.push_back(token_series("retention", importance.retention));
  add_array(data, "received_mass", importance.received_mass, {},
            "[L] dense attention mass the token receives from a later row, mean over those rows and all heads");
  if (!predicted.empty()) {
    add_array(
        data, "predicted", predicted, {},
        "[L] softmax of S_c over the chunks a query group sees, spread over a chunk's tokens, mean over groups; its "
        "mean over tokens is 1");
  }
  add_array(data, "retention", importance.retention, {}, "[L] share of the rows that could see the token and keep it");
  const Document& document = *context.material.document;
  std::vector<std::int64_t> begin, end;
  for (const TokenSpan& span : document.encoding.spans) {
    begin.push_back(span.begin);
    end.push_back(span.end);
  }
  add_array(data, "token_bytes_begin", begin, {}, "[L] first byte of the token in the text (UTF-8)");
  add_array(data, "token_bytes_end", end, {}, "[L] one past its last byte");
}

void fill_chunk_lengths(const Context& context, FigurePanelData& data) {
  const Plan& plan = *layer_of(context, data.panel).plan;
  const auto& boundaries = plan.trace.boundaries;
  if (boundaries.size() < 2) throw Error("This method divides the text into no chunks, so there are no chunk lengths.");
  std::vector<std::int32_t> lengths;
  for (std::size_t c = 0; c + 1 < boundaries.size(); ++c) lengths.push_back(boundaries[c + 1] - boundaries[c]);
  const ChunkLengths summary = chunk_lengths(boundaries);
  // About 24 bars of a round width.
  const double raw = std::max(1.0, static_cast<double>(summary.longest) / 24.0);
  double width = 1;
  for (const double step : {1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 1e4, 1e5, 1e6}) {
    width = step;
    if (step >= raw) break;
  }
  const auto bars = static_cast<std::size_t>(std::floor(static_cast<double>(summary.longest) / width)) + 1;
  FigureSeries series;
  series.name = "chunks";
  series.y.assign(bars, 0.0);
  for (std::size_t b = 0; b <= bars; ++b) series.x.push_back(static_cast<double>(b) * width);
  for (const std::int32_t length : lengths) series.y[static_cast<std::size_t>(length / width)] += 1;
  data.csv = "length_from,length_below,chunks\n";
  for (std::size_t b = 0; b < bars; ++b) {
    data.csv += fmt::format("{},{},{}\n", series.x[b], series.x[b + 1], series.y[b]);
  }
  data.series.push_back(std::move(series));
  data.x_title = "chunk length (tokens)";
  data.y_title = "chunks";
  data.mark = static_cast<double>(summary.median);
  data.mark_name = fmt::format("median {}", summary.median);
  data.facts = {{"chunks", summary.count}, {"median", summary.median}, {"longest", summary.longest}};
  add_array(data, "lengths", lengths, {}, "[N_c] tokens of each chunk");
}

void fill_head_mass(const Context& context, FigurePanelData& data) {
  const auto layers = context.material.layers.size();
  const auto heads = static_cast<std::size_t>(context.material.query_heads);
  FigureCells& cells = data.cells;
  cells.row_title = "layer";
  cells.column_title = "query head";
  cells.local = context.material.local;
  std::vector<Measured> mass, error;
  std::vector<Values> all;  // [layers * heads]
  std::vector<double> density;
  for (std::size_t head = 0; head < heads; ++head) cells.column_names.push_back(std::to_string(head));
  nlohmann::json each = nlohmann::json::array();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const auto& kept = context.material.layers[layer];
    if (!kept.plan || (!kept.metrics && !kept.captured)) {
      throw Error(fmt::format("Queries and keys of layer {} were not kept, so its retained mass is not known.", layer));
    }
    const MaskMetrics metrics = metrics_of(context, kept);
    cells.row_names.push_back(std::to_string(layer));
    density.push_back(metrics.value("density"));
    for (std::size_t head = 0; head < heads; ++head) {
      const Values& values = all.emplace_back(metrics.heads[head]);
      mass.push_back(values.at("retained_mass"));
      error.push_back(values.at("output_error"));
      cells.values.push_back(mass.back().value);
    }
    nlohmann::json facts = facts_of(metrics);
    facts["layer"] = layer;
    each.push_back(std::move(facts));
  }
  data.facts["layers"] = std::move(each);
  const bool sampled = std::any_of(all.begin(), all.end(), [](const Values& values) { return values.sampled(); });
  data.value_title = sampled ? "≈ retained mass" : "retained mass";
  const MeasureColumns columns(all);
  data.csv = fmt::format("layer,head,local,{}\n", fmt::join(columns.headings(), ","));
  for (std::size_t i = 0; i < all.size(); ++i) {
    data.csv += fmt::format("{},{},{},{}\n", i / heads, i % heads, cells.local[i / heads] ? 1 : 0,
                            fmt::join(columns.cells(all[i]), ","));
  }
  const auto shape = std::vector<std::int64_t>{static_cast<std::int64_t>(layers), static_cast<std::int64_t>(heads)};
  add_measured(data, "retained_mass", mass, shape, "[layers, heads] dense attention mass on kept keys, mean over rows");
  add_measured(data, "output_error", error, shape,
               "[layers, heads] norm of the change of the attention output / its norm");
  add_array(data, "density", density, {}, "[layers] kept / causal pairs");
}

FigurePanelData panel_data(const Context& context, const FigurePanel& panel) {
  const FigureKindInfo& info = figure_kind(panel.what);
  FigurePanelData data;
  data.panel = panel;
  const bool layered = info.from == From::kLayer;
  data.name = info.label;
  data.brief = info.brief;
  data.long_name = layered ? fmt::format("{}, {}", info.label, place_of(panel)) : info.label;
  if (layered) {
    const auto& layer = layer_of(context, panel);
    data.plan = layer.plan;
    data.window = layer.plan->mask.window();
    data.facts["layer"] = panel.layer;
    if (info.form == FigureKindInfo::Form::kMatrix || info.form == FigureKindInfo::Form::kStrips) {
      const Part part = part_of(context.spec, layer.plan->mask.rows());
      if (context.spec.skip_keys >= part.key_end) {
        throw Error(
            fmt::format("--skip-keys {} leaves none of the keys up to {}.", context.spec.skip_keys, part.key_end));
      }
    }
  }
  nlohmann::json before = std::move(data.facts);
  data.facts = nlohmann::json::object();
  switch (panel.what) {
    case FigureKind::kMask:
      fill_mask(context, data);
      break;
    case FigureKind::kDense:
      fill_attention(context, data, AttentionLevels::What::kDense);
      break;
    case FigureKind::kSparse:
      fill_attention(context, data, AttentionLevels::What::kSparse);
      break;
    case FigureKind::kDifference:
      fill_attention(context, data, AttentionLevels::What::kDifference);
      break;
    case FigureKind::kDropped:
      fill_attention(context, data, AttentionLevels::What::kDropped);
      break;
    case FigureKind::kChunkScores:
      fill_scores(context, data, false);
      break;
    case FigureKind::kTokenScores:
      fill_scores(context, data, true);
      break;
    case FigureKind::kImportance:
      fill_importance(context, data);
      break;
    case FigureKind::kHeadMass:
      fill_head_mass(context, data);
      break;
    case FigureKind::kChunkLengths:
      fill_chunk_lengths(context, data);
      break;
    default:
      break;
  }
  data.facts.update(before);
  if (layered) add_boundaries(*data.plan, *context.material.document, data);
  return data;
}

// One panel's own name; of several what they share: what is shown, or where.
std::string title_of(const FigureData& data) {
  const FigurePanelData& first = data.panels.front();
  if (data.panels.size() == 1) return first.long_name;
  const auto all = [&](auto&& same) { return std::all_of(data.panels.begin(), data.panels.end(), same); };
  if (all([&](const FigurePanelData& panel) { return panel.panel.what == first.panel.what; })) {
    return figure_kind(first.panel.what).label;
  }
  if (first.panel.layer >= 0 && all([&](const FigurePanelData& panel) {
        return panel.panel.layer == first.panel.layer && panel.panel.head == first.panel.head;
      })) {
    return place_of(first.panel);
  }
  std::string names;
  for (const FigurePanelData& panel : data.panels) names += (names.empty() ? "" : "; ") + panel.name;
  return names;
}

}  // namespace

FigureData make_figure_data(const FigureSpec& spec, const FigureMaterial& material, bool data_only,
                            const FigureProgress& progress, const CancelToken* cancel) {
  check_figure(spec);
  std::map<std::pair<int, int>, std::shared_ptr<const AttentionLevels>> levels;
  const Context context{spec, material, data_only, cancel, levels};
  FigureData data;
  for (std::size_t p = 0; p < spec.panels.size(); ++p) {
    if (cancel != nullptr) cancel->check();
    if (progress) {
      progress(fmt::format("panel {}, {}", panel_letter(p), to_text(spec.panels[p])),
               static_cast<double>(p) / static_cast<double>(spec.panels.size()));
    }
    if (figure_kind(spec.panels[p].what).from == From::kFile) {
      for (FigurePanelData& panel : panels_from_files(spec.panels[p], spec, material.files)) {
        data.panels.push_back(std::move(panel));
      }
    } else {
      data.panels.push_back(panel_data(context, spec.panels[p]));
    }
  }
  if (data.panels.empty()) throw Error("There is nothing to show: the files hold no results.");
  // Panels of one kind differ by their layer and head, and are called so.
  for (FigurePanelData& panel : data.panels) {
    const auto alike = std::count_if(data.panels.begin(), data.panels.end(), [&](const FigurePanelData& other) {
      return other.panel.what == panel.panel.what;
    });
    if (alike < 2 || figure_kind(panel.panel.what).from != From::kLayer) continue;
    const bool one_kind = alike == static_cast<std::ptrdiff_t>(data.panels.size());
    panel.name = one_kind ? place_of(panel.panel) : fmt::format("{}, {}", panel.name, place_of(panel.panel));
    panel.brief =
        one_kind ? brief_place_of(panel.panel) : fmt::format("{} {}", panel.brief, brief_place_of(panel.panel));
  }
  data.title = title_of(data);
  return data;
}

}  // namespace dhsa
