// dhsa inspect: one layer looked at closely – boundaries in the text, chunk scores, the mask, and what one query row
// keeps and loses.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "app/cli/common.h"
#include "app/cli/inspect_tokens.h"
#include "app/cli/report.h"
#include "app/cli/table.h"
#include "core/analysis/metrics.h"
#include "core/run/measures.h"
#include "core/run/trace.h"

namespace dhsa::cli {
namespace {

struct InspectOptions {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  TextOptions text;
  int layer = -1;
  std::int64_t head = -1;
  std::int64_t row = -1;
  std::int64_t boundaries = 24;
  std::int64_t top = 8;
  std::int64_t metrics_rows = kMetricsRows;
  bool tokens = false;
  std::string csv;
};

struct Piece {
  std::int64_t chunk = 0;
  std::int32_t begin = 0;
  std::int32_t end = 0;
  double score = 0;  // NaN where there is none
  std::int64_t kept = 0;
  std::int64_t visible = 0;
  double mass = 0;       // dense attention of the row on the piece
  double kept_mass = 0;  // the part of it on kept keys
};

struct Inspection {
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const CapturedLayer> captured;
  std::vector<std::int32_t> pieces;  // boundaries of chunks, or of equal pieces where the method has none
  bool chunks = false;
  MaskMetrics metrics;
  std::int64_t row = 0;
  std::vector<std::int64_t> heads;
  std::vector<Piece> row_pieces;
};

struct ScoreStatistics {
  std::int64_t defined = 0;
  double lowest = 0, mean = 0, highest = 0, deviation = 0;
};

ScoreStatistics statistics_of(const std::vector<float>& scores) {
  ScoreStatistics s;
  double squares = 0;
  for (const float score : scores) {
    if (std::isnan(score)) continue;
    const auto value = static_cast<double>(score);
    s.lowest = s.defined == 0 ? value : std::min(s.lowest, value);
    s.highest = s.defined == 0 ? value : std::max(s.highest, value);
    ++s.defined;
    const double change = value - s.mean;
    s.mean += change / static_cast<double>(s.defined);
    squares += change * (value - s.mean);
  }
  s.deviation = s.defined > 1 ? std::sqrt(squares / static_cast<double>(s.defined)) : 0;
  return s;
}

std::vector<Piece> pieces_of_row(const Inspection& inspection) {
  const KeyMask& mask = inspection.plan->mask;
  const CapturedLayer& layer = *inspection.captured;
  const std::int64_t length = mask.rows();
  const std::int64_t row = inspection.row;
  const auto head_count = static_cast<double>(inspection.heads.size());
  std::vector<float> weights(static_cast<std::size_t>(length));
  std::vector<double> dense(weights.size(), 0.0);
  std::vector<double> kept_dense(weights.size(), 0.0);
  std::vector<double> kept(weights.size(), 0.0);
  std::vector<KeyRange> ranges;
  for (const std::int64_t head : inspection.heads) {
    const std::vector<std::int64_t> rows = {row};
    dense_rows(layer.q(), layer.k(), head, rows, layer.layer(), weights.data());
    for (std::size_t j = 0; j < dense.size(); ++j) dense[j] += static_cast<double>(weights[j]) / head_count;
    mask.row_ranges(mask.mask_head(head, layer.q().heads), row, ranges);
    for (const KeyRange& range : ranges) {
      for (auto j = static_cast<std::size_t>(range.begin); j < static_cast<std::size_t>(range.end); ++j) {
        kept_dense[j] += static_cast<double>(weights[j]) / head_count;
        kept[j] += 1 / head_count;
      }
    }
  }
  const PlanTrace& trace = inspection.plan->trace;
  const std::int64_t chunks = static_cast<std::int64_t>(inspection.pieces.size()) - 1;
  const bool scored = inspection.chunks &&
                      static_cast<std::int64_t>(trace.chunk_scores.size()) == mask.heads() * mask.groups() * chunks;
  const std::int64_t first = mask.first_visible(row);
  std::vector<Piece> pieces;
  for (std::int64_t c = 0; c < chunks; ++c) {
    Piece piece;
    piece.chunk = c;
    piece.begin = inspection.pieces[static_cast<std::size_t>(c)];
    piece.end = inspection.pieces[static_cast<std::size_t>(c + 1)];
    const std::int64_t from = std::max<std::int64_t>(piece.begin, first);
    const std::int64_t to = std::min<std::int64_t>(piece.end, row + 1);
    if (from >= to) continue;
    piece.visible = to - from;
    double keys = 0;
    for (auto j = static_cast<std::size_t>(from); j < static_cast<std::size_t>(to); ++j) {
      piece.mass += dense[j];
      piece.kept_mass += kept_dense[j];
      keys += kept[j];
    }
    piece.kept = std::lround(keys);
    piece.score = std::nan("");
    if (scored) {
      // Mean over the heads that are looked at, as with the masses.
      double sum = 0;
      for (const std::int64_t head : inspection.heads) {
        const std::int64_t at =
            (mask.mask_head(head, layer.q().heads) * mask.groups() + mask.group_of(row)) * chunks + c;
        sum += static_cast<double>(trace.chunk_scores[static_cast<std::size_t>(at)]);
      }
      piece.score = sum / head_count;
    }
    pieces.push_back(piece);
  }
  return pieces;
}

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

void print_boundaries(const Inspection& inspection, const Document& document, std::int64_t most) {
  const auto& boundaries = inspection.pieces;
  const std::int64_t chunks = static_cast<std::int64_t>(boundaries.size()) - 1;
  const std::int64_t listed = most == 0 ? chunks - 1 : std::min(most, chunks - 1);
  fmt::print("\nBoundaries in the text ({} of {}; a chunk ends at the bar)\n", listed, chunks - 1);
  Table table({"chunk", "tokens", "length", "score", "text on both sides"}, {0, 1, 4});
  const std::vector<float>& scores = inspection.plan->trace.boundary_scores;
  for (std::int64_t c = 0; c < listed; ++c) {
    const std::int32_t begin = boundaries[static_cast<std::size_t>(c)];
    const std::int32_t end = boundaries[static_cast<std::size_t>(c + 1)];
    const auto last = static_cast<std::size_t>(end - 1);
    const std::string before = excerpt(document, begin, end, SIZE_MAX);
    const std::string after = excerpt(document, end, boundaries[static_cast<std::size_t>(c + 2)], SIZE_MAX);
    table.add({std::to_string(c), fmt::format("{}-{}", begin, end - 1), std::to_string(end - begin),
               last < scores.size() && !std::isnan(scores[last]) ? fmt::format("{:.3f}", scores[last]) : "-",
               fmt::format("{} | {}", last_characters(before, 30), first_characters(after, 30))});
  }
  fmt::print("{}", table.text());
}

void print_row(const Inspection& inspection, const Document& document, std::int64_t top) {
  const std::int64_t row = inspection.row;
  const KeyMask& mask = inspection.plan->mask;
  const std::int64_t group = mask.group_of(row);
  double mass = 0;
  for (const Piece& piece : inspection.row_pieces) mass += piece.kept_mass;
  fmt::print(
      "\nQuery row {} (\"{}\", in \"{}\"), query group {} (rows {}-{})\n", row, excerpt(document, row, row + 1, 20),
      excerpt(document, std::max<std::int64_t>(0, row - 8), std::min(row + 4, document.tokens()), 50), group,
      mask.group_rows()[static_cast<std::size_t>(group)], mask.group_rows()[static_cast<std::size_t>(group + 1)] - 1);
  fmt::print("  It keeps {} of {} keys and {} of its dense attention mass{}.\n",
             count(std::accumulate(inspection.row_pieces.begin(), inspection.row_pieces.end(), std::int64_t{0},
                                   [](std::int64_t sum, const Piece& piece) { return sum + piece.kept; })),
             count(row + 1 - mask.first_visible(row)), percent(mass),
             inspection.heads.size() > 1 ? fmt::format(" (mean of {} heads)", inspection.heads.size()) : "");
  const auto print = [&](const char* title, std::vector<Piece> pieces) {
    fmt::print("\n  {}\n", title);
    if (pieces.empty()) {
      fmt::print("    none\n");
      return;
    }
    if (static_cast<std::int64_t>(pieces.size()) > top) pieces.resize(static_cast<std::size_t>(top));
    Table table({inspection.chunks ? "chunk" : "piece", "tokens", "S_c", "kept keys", "dense mass", "text"}, {0, 1, 5});
    for (const Piece& piece : pieces) {
      table.add({std::to_string(piece.chunk), fmt::format("{}-{}", piece.begin, piece.end - 1),
                 std::isnan(piece.score) ? "-" : fmt::format("{:.2f}", piece.score),
                 fmt::format("{} of {}", piece.kept, piece.visible), percent(piece.mass, 2),
                 trimmed(excerpt(document, piece.begin, piece.end, 44))});
    }
    fmt::print("{}", table.text(4));
  };
  std::vector<Piece> kept, dropped;
  for (const Piece& piece : inspection.row_pieces) (piece.kept > 0 ? kept : dropped).push_back(piece);
  const auto by_mass = [](const Piece& a, const Piece& b) { return a.mass > b.mass; };
  std::stable_sort(kept.begin(), kept.end(), by_mass);
  std::stable_sort(dropped.begin(), dropped.end(), by_mass);
  print("Kept, by dense attention mass", kept);
  print("Dropped, by the dense attention mass that is lost", dropped);
}

void print_layer(const Inspection& inspection, const LayerInfo& layer) {
  const KeyMask& mask = inspection.plan->mask;
  const ChunkLengths lengths = chunk_lengths(inspection.plan->trace.boundaries);
  fmt::print("\nLayer {} ({})\n", layer.index,
             layer.local() ? fmt::format("local, window {}", layer.window) : std::string("global"));
  if (inspection.chunks) {
    fmt::print("  chunks         {} (length: median {}, longest {})\n", lengths.count, lengths.median, lengths.longest);
    const ScoreStatistics s = statistics_of(inspection.plan->trace.chunk_scores);
    fmt::print("  S_c            {} scores: lowest {:.3f}, mean {:.3f}, highest {:.3f}, standard deviation {:.3f}\n",
               count(s.defined), s.lowest, s.mean, s.highest, s.deviation);
  } else {
    fmt::print("  chunks         none: this method does not divide the text; equal pieces are listed below\n");
  }
  std::int64_t least = mask.rows(), most = 0;
  for (int head = 0; head < mask.heads(); ++head) {
    for (std::int64_t row = 0; row < mask.rows(); ++row) {
      const std::int64_t kept = mask.kept_keys(head, row);
      least = std::min(least, kept);
      most = std::max(most, kept);
    }
  }
  const auto rows = static_cast<double>(mask.rows() * mask.heads());
  fmt::print("  mask           {} for {} heads, {} query groups, {} key ranges ({:.1f} per group), {}\n", mask.heads(),
             inspection.captured->q().heads, count(mask.groups()),
             count(static_cast<std::int64_t>(mask.all_ranges().size())),
             static_cast<double>(mask.all_ranges().size()) / static_cast<double>(mask.groups() * mask.heads()),
             bytes(mask.bytes()));
  fmt::print("  keys per row   mean {:.0f}, from {} to {}\n", static_cast<double>(mask.kept_pairs()) / rows,
             count(least), count(most));
  const MaskMetrics& metrics = inspection.metrics;
  for (const auto& [key, value] : metrics.values.entries()) {
    const Measure& measure = dhsa::measure(key);
    fmt::print("  {}{:<{}} {}\n", measure.part ? "  " : "", measure.label, measure.part ? 28 : 30,
               shown(measure, value));
  }
  Table heads({"head", "mask", "retained mass", "output error"});
  for (std::size_t h = 0; h < metrics.heads.size(); ++h) {
    heads.add({std::to_string(h),
               std::to_string(mask.mask_head(static_cast<std::int64_t>(h), inspection.captured->q().heads)),
               shown(measure("retained_mass"), metrics.heads[h].at("retained_mass")),
               shown(measure("output_error"), metrics.heads[h].at("output_error"))});
  }
  fmt::print("\n{}\n{}", heads.text(), legend(metrics.values));
}

nlohmann::json inspection_json(const Inspection& inspection, const Document& document) {
  const ScoreStatistics s = statistics_of(inspection.plan->trace.chunk_scores);
  nlohmann::json pieces = nlohmann::json::array();
  for (const Piece& piece : inspection.row_pieces) {
    pieces.push_back({{"chunk", piece.chunk},
                      {"begin", piece.begin},
                      {"end", piece.end},
                      {"score", std::isnan(piece.score) ? nlohmann::json(nullptr) : nlohmann::json(piece.score)},
                      {"kept_keys", piece.kept},
                      {"visible_keys", piece.visible},
                      {"dense_mass", piece.mass},
                      {"kept_mass", piece.kept_mass},
                      {"text", excerpt(document, piece.begin, piece.end, 80)}});
  }
  nlohmann::json boundaries = nlohmann::json::array();
  for (const std::int32_t boundary : inspection.plan->trace.boundaries) {
    const auto at = static_cast<std::size_t>(boundary);
    boundaries.push_back(
        {{"token", boundary},
         {"byte", at < document.encoding.spans.size() ? document.encoding.spans[at].begin
                                                      : static_cast<std::int64_t>(document.text.size())}});
  }
  const LayerInfo& layer = inspection.captured->layer();
  return {{"layer", layer.index},
          {"window", layer.window},
          {"boundaries", boundaries},
          {"chunk_scores",
           {{"defined", s.defined},
            {"lowest", s.lowest},
            {"mean", s.mean},
            {"highest", s.highest},
            {"deviation", s.deviation}}},
          {"mask",
           {{"heads", inspection.plan->mask.heads()},
            {"query_groups", inspection.plan->mask.groups()},
            {"key_ranges", inspection.plan->mask.all_ranges().size()},
            {"kept_pairs", inspection.plan->mask.kept_pairs()},
            {"bytes", inspection.plan->mask.bytes()}}},
          {"metrics", inspection.metrics},
          {"row", {{"row", inspection.row}, {"heads", inspection.heads}, {"pieces", pieces}}}};
}

int inspect(const InspectOptions& options) {
  if (options.tokens) {
    return list_tokens({options.model, options.output, options.text, options.csv});
  }
  if (!options.csv.empty()) throw Error("--csv is for the list of tokens; give --tokens too.");
  check_count("--list", options.boundaries, 0);
  check_count("--top", options.top, 1);
  check_count("--metrics-rows", options.metrics_rows, 1);
  static_cast<void>(options.parameters.read(0));
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  const OpenModel loaded = load_model(options.model, progress);
  const Gemma2Config& config = loaded.model->config();
  // The first global layer shows most: a local one sees no further than its window.
  const auto global = std::find(config.local_layer.begin(), config.local_layer.end(), false);
  const int layer = options.layer >= 0                   ? options.layer
                    : global != config.local_layer.end() ? static_cast<int>(global - config.local_layer.begin())
                                                         : 0;
  if (options.layer < -1 || layer >= config.layers) {
    throw Error(fmt::format("--layer: the model has layers 0 to {}, not {}.", config.layers - 1, options.layer));
  }
  if (options.head < -1 || options.head >= config.heads) {
    throw Error(fmt::format("--head: the model has query heads 0 to {}, not {}.", config.heads - 1, options.head));
  }
  const Document document = load_document(options.text, loaded, &progress);
  if (options.row < -1 || options.row >= document.tokens()) {
    throw Error(fmt::format("--row: the text has rows (tokens) 0 to {}, not {}.", document.tokens() - 1, options.row));
  }
  const std::vector<MethodChoice> choices = {options.parameters.choice(document.question_tokens)};
  const SparsityParameters& parameters = choices.front().parameters;
  const auto predictor = open_predictor(choices, loaded.folder);
  progress.clear();
  options.parameters.say_unread(choices, predictor != nullptr);
  fmt::print("Model   {}\n", wrap(describe(loaded), kLineWidth, 8));
  fmt::print("Text    {}: {} tokens\n", document.name, count(document.tokens()));
  for (const std::string& note : document.notes) fmt::print("Note    {}\n", wrap(note, kLineWidth, 8));
  fmt::print("{:<8}{}\n", "Method",
             wrap(fmt::format("{}: {}", choices.front().name,
                              options.parameters.settings_text(choices.front(), predictor != nullptr)),
                  kLineWidth, 8));
  // Said before it is done.
  fmt::print("Capture {} of queries, keys and values of layer {}\n",
             bytes(capture_bytes(config, loaded.model->options().compute, document.tokens(), 1)), layer);
  std::fflush(stdout);

  RunOptions run;
  run.metrics_rows = run.logit_positions = run.max_new_tokens = 0;
  run.last_layer = layer;
  run.capture_layers = {layer};
  run.keep_plans = true;
  run.cancel = &interrupt();
  run.progress = [&](const CompareProgress& state) { progress.show(state); };
  progress.restart();
  const RunTrace trace =
      run_method({*loaded.model, document.encoding.ids, document.info(), nullptr, predictor}, choices.front(), run)
          .trace;
  progress.show("measuring the mask", -1);

  Inspection inspection;
  inspection.plan = trace.plans[static_cast<std::size_t>(layer)];
  inspection.captured = trace.captured[static_cast<std::size_t>(layer)];
  inspection.pieces = inspection.plan->trace.boundaries;
  inspection.chunks = inspection.pieces.size() >= 2;
  if (!inspection.chunks) inspection.pieces = fixed_groups(document.tokens(), parameters.chunk_length);
  // The question attends densely, so the last row before it tells more.
  const std::int64_t before = document.tokens() - 1 - std::min(parameters.instruction_tokens, document.tokens() - 1);
  inspection.row = options.row >= 0 ? options.row : before;
  inspection.heads.resize(options.head >= 0 ? 1 : static_cast<std::size_t>(config.heads));
  std::iota(inspection.heads.begin(), inspection.heads.end(), std::max<std::int64_t>(0, options.head));
  const CapturedLayer& captured = *inspection.captured;
  MetricOptions how;
  how.row_step = options.metrics_rows;
  how.cancel = &interrupt();
  inspection.metrics =
      measure_mask(captured.q(), captured.k(), captured.v(), inspection.plan->mask, captured.layer(), how);
  inspection.row_pieces = pieces_of_row(inspection);
  progress.clear();

  nlohmann::json all = inspection_json(inspection, document);
  all["kind"] = "dhsa-inspect";
  all["machine"] = machine_json();
  all["model"] = model_json(loaded);
  all["document"] = document_json(document);
  all["parameters"] = parameters;
  json.write(all);
  print_layer(inspection, captured.layer());
  if (inspection.chunks) print_boundaries(inspection, document, options.boundaries);
  print_row(inspection, document, options.top);
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand("inspect", "Look at one layer: boundaries, chunk scores, mask, a query row");
  command->footer("Example: dhsa inspect notes.txt --layer 3 --row 4000 --top 12");
  options->text.add_to(*command);
  options->model.add_to(*command);
  const auto number = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->type_name("N")->group("What to look at");
  };
  number("--layer", options->layer, "Layer [default: the first global one]");
  number("--head", options->head, "Query head of the row's masses [default: mean of all]");
  number("--row", options->row, "Query row, that is token, to list chunks for [default: the last before the question]");
  number("--list", options->boundaries, "Boundaries to list; 0 all [default 24]");
  number("--top", options->top, "Kept and dropped chunks of the row to list [default 8]");
  number("--metrics-rows", options->metrics_rows,
         "Measure the mask on one row in N, drawn at random; 1 all rows [default 7]");
  command
      ->add_flag("--tokens", options->tokens,
                 "List the text's tokens instead: ids, pieces and the bytes they stand for; no layer is run")
      ->group("What to look at");
  options->parameters.add_to(*command);
  options->output.add_to(*command);
  add_output(*command, "--csv", options->csv, "Write the tokens to this file as CSV too");
  command->callback([options, &action] { action = [options] { return inspect(*options); }; });
}

}  // namespace dhsa::cli
