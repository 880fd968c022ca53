#include "core/sparsity/parameters.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace dhsa {
namespace {

using P = SparsityParameters;
using Kind = OptionInfo::Kind;
using When = ReadWhen<P>;

constexpr double kMostTokens = 16777216;

// In the order of Method.
struct MethodName {
  const char* name;
  const char* label;
};
constexpr MethodName kMethods[] = {{"dense", "Dense"},
                                   {"window-sinks", "Window + sinks"},
                                   {"block-sparse", "Block sparse"},
                                   {"vertical-slash", "Vertical-slash"},
                                   {"token-topk", "Token top-k oracle"},
                                   {"dhsa", "DHSA"}};

bool dhsa(const P& p) { return p.method == Method::kDhsa; }
bool threshold(const P& p) { return dhsa(p) && p.selection == Selection::kThreshold; }
bool block_sparse(const P& p) { return p.method == Method::kBlockSparse; }
bool vertical_slash(const P& p) { return p.method == Method::kVerticalSlash; }
bool oracle(const P& p) { return p.method == Method::kTokenTopK; }
// Where each possible boundary gets a score, and the best ones are taken.
bool scored(const P& p) {
  return dhsa(p) && p.boundaries != BoundarySource::kSentence && p.boundaries != BoundarySource::kFixed;
}

// When a parameter is read: what the planners do, in words and in code.
constexpr When kSparse{"all but dense", [](const P& p) { return p.method != Method::kDense; }};
constexpr When kDhsa{"dhsa", dhsa};
constexpr When kThreshold{"dhsa with selection threshold", threshold};
constexpr When kBudget{"all but dense, and dhsa with selection budget",
                       [](const P& p) { return p.method != Method::kDense && !threshold(p); }};
constexpr When kSinks{"window-sinks, vertical-slash, dhsa",
                      [](const P& p) { return dhsa(p) || vertical_slash(p) || p.method == Method::kWindowSinks; }};
constexpr When kLocal{"vertical-slash, dhsa", [](const P& p) { return dhsa(p) || vertical_slash(p); }};
constexpr When kBlocks{"all with fixed query groups, and where the number of chunks follows from it", [](const P& p) {
                         if (dhsa(p)) return p.query_grouping == QueryGrouping::kFixed || scored(p);
                         return p.method != Method::kDense && !oracle(p);
                       }};
constexpr When kBlockSparse{"block-sparse", block_sparse};
constexpr When kOracle{"token-topk", oracle};
constexpr When kScored{"dhsa with boundaries that are scored", scored};
constexpr When kShifts{"dhsa with boundaries key-shift or attention-mass",
                       [](const P& p) { return scored(p) && p.boundaries != BoundarySource::kLearned; }};
constexpr When kApart{"dhsa but with boundaries fixed",
                      [](const P& p) { return dhsa(p) && p.boundaries != BoundarySource::kFixed; }};
constexpr When kFixed{"dhsa with boundaries fixed",
                      [](const P& p) { return dhsa(p) && p.boundaries == BoundarySource::kFixed; }};
constexpr When kLearned{"dhsa with boundaries learned or auto", [](const P& p) {
                          return dhsa(p) &&
                                 (p.boundaries == BoundarySource::kLearned || p.boundaries == BoundarySource::kAuto);
                        }};
constexpr When kLastRows{"dhsa with score-rows", [](const P& p) { return dhsa(p) && p.score_rows > 0; }};
constexpr When kThinned{"dhsa with selection budget", [](const P& p) { return dhsa(p) && !threshold(p); }};
constexpr When kPublished{"dhsa with scores mean and no score-rows",
                          [](const P& p) { return dhsa(p) && p.scores == ChunkScoring::kMean && p.score_rows == 0; }};
constexpr When kHeads{"vertical-slash, token-topk, dhsa",
                      [](const P& p) { return dhsa(p) || vertical_slash(p) || oracle(p); }};
constexpr When kContent{"all that look at queries and keys",
                        [](const P& p) { return kSparse.holds(p) && p.method != Method::kWindowSinks; }};

std::vector<std::string> of_methods(const char* (*text)(Method) noexcept) {
  std::vector<std::string> texts;
  for (const Method method : all_methods()) texts.emplace_back(text(method));
  return texts;
}

std::vector<Option<P>> make_options() {
  const char* const selection = "Selection";
  const char* const boundaries = "Boundaries";
  const char* const similarity = "Similarity";
  const char* const sharing = "Sharing";
  return {
      {{.key = "method",
        .label = "Method",
        .group = "Method",
        .help = "How the keys that each query keeps are chosen; begins with the values of its preset.",
        .choices = of_methods(name_of),
        .choice_labels = of_methods(label_of)},
       &P::method},

      {{.key = "budget",
        .label = "Budget",
        .group = selection,
        .unit = "keys",
        .help =
            "Keys kept for a query row, on a local layer at most its window. Own rows and sinks come first and stay "
            "even where they exceed it, then local tokens, then the best of the rest. Block sparse counts whole "
            "blocks, "
            "at least the query's own.",
        .minimum = 1,
        .maximum = kMostTokens,
        .slider_end = kLengthOfText,
        .usual = {256, 512, 1024, 2048}},
       &P::budget,
       kBudget},
      {{.key = "sink-tokens",
        .label = "Sink tokens",
        .group = selection,
        .unit = "keys",
        .help = "The first keys a query may see: always kept, counted in the budget.",
        .maximum = kMostTokens,
        .slider_end = 1024,
        .usual = {0, 16, 64, 128}},
       &P::sink_tokens,
       kSinks},
      {{.key = "local-tokens",
        .label = "Local tokens",
        .group = selection,
        .unit = "keys",
        .help = "The most recent keys of a query group that are always kept.",
        .minimum = 1,
        .maximum = kMostTokens,
        .slider_end = 2048,
        .usual = {16, 64, 128, 256}},
       &P::local_tokens,
       kLocal},
      {{.key = "query-block",
        .label = "Query block",
        .group = selection,
        .unit = "rows",
        .help = "Rows that share one choice of keys, where query groups are fixed blocks.",
        .minimum = 1,
        .maximum = 65536,
        .slider_end = 1024,
        .usual = {32, 64, 128, 256}},
       &P::query_block,
       kBlocks},
      {{.key = "query-grouping",
        .label = "Query groups",
        .group = selection,
        .help = "Fixed blocks of rows, or the same chunks as the keys.",
        .choices = {"fixed", "chunks"},
        .choice_labels = {"Fixed blocks", "Chunks"}},
       &P::query_grouping,
       kDhsa},
      {{.key = "selection",
        .label = "Selection",
        .group = selection,
        .help = "Fill a fixed budget, or keep the smallest set that reaches a share of the estimated mass.",
        .choices = {"budget", "threshold"},
        .choice_labels = {"Budget", "Mass threshold"}},
       &P::selection,
       kDhsa},
      {{.key = "mass",
        .label = "Mass to reach",
        .group = selection,
        .help = "Share of the estimated attention mass that threshold selection reaches.",
        .minimum = 0.01,
        .maximum = 1,
        .usual = {0.8, 0.9, 0.95, 0.99}},
       &P::mass,
       kThreshold},
      {{.key = "min-budget",
        .label = "Least budget",
        .group = selection,
        .unit = "keys",
        .help = "Threshold selection keeps at least this many.",
        .minimum = 1,
        .maximum = kMostTokens,
        .slider_end = kLengthOfText,
        .usual = {128, 256, 512}},
       &P::min_budget,
       kThreshold},
      {{.key = "max-budget",
        .label = "Most budget",
        .group = selection,
        .unit = "keys",
        .help = "Threshold selection keeps at most this many.",
        .minimum = 1,
        .maximum = kMostTokens,
        .slider_end = kLengthOfText,
        .usual = {512, 1024, 2048}},
       &P::max_budget,
       kThreshold},
      {{.key = "instruction-tokens",
        .label = "Instruction tokens",
        .group = selection,
        .unit = "tokens",
        .help = "The question at the end of the document: its rows attend densely.",
        .maximum = kMostTokens,
        .slider_end = 512},
       &P::instruction_tokens,
       kSparse},
      {{.key = "block-size",
        .label = "Key block",
        .group = selection,
        .unit = "keys",
        .help = "Keys per block of block-sparse attention.",
        .minimum = 1,
        .maximum = 65536,
        .slider_end = 1024,
        .usual = {32, 64, 128, 256}},
       &P::block_size,
       kBlockSparse},
      {{.key = "oracle-rows",
        .label = "Oracle rows",
        .group = selection,
        .unit = "rows",
        .help = "Rows that share one choice of the token top-k oracle; 1 is exact per row.",
        .minimum = 1,
        .maximum = 65536,
        .slider_end = 1024,
        .usual = {1, 16, 64, 128}},
       &P::oracle_rows,
       kOracle},

      {{.key = "boundaries",
        .label = "Boundary source",
        .group = boundaries,
        .help = "Where chunks of keys end; auto is learned where the model has a predictor, else key shift.",
        .choices = {"auto", "learned", "attention-mass", "key-shift", "sentence", "fixed"},
        .choice_labels = {"Learned if possible", "Learned predictor", "Attention mass (oracle)", "Key shift",
                          "Sentences", "Fixed length"}},
       &P::boundaries,
       kDhsa},
      {{.key = "chunks-per-block",
        .label = "Chunks per block",
        .group = boundaries,
        .help = "Number of chunks, as a multiple of the number of query blocks.",
        .minimum = 0.01,
        .maximum = 1024,
        .slider_end = 16,
        .usual = {1, 2, 4, 8}},
       &P::chunks_per_block,
       kScored},
      {{.key = "boundary-window",
        .label = "Boundary window",
        .group = boundaries,
        .unit = "tokens",
        .help = "Tokens compared on each side of a possible boundary.",
        .minimum = 1,
        .maximum = 64,
        .usual = {2, 4, 8, 16}},
       &P::boundary_window,
       kShifts},
      {{.key = "nms-distance",
        .label = "Least distance",
        .group = boundaries,
        .unit = "tokens",
        .help = "Two boundaries are more than this many tokens apart.",
        .maximum = 4096,
        .slider_end = 128,
        .usual = {0, 4, 8, 16}},
       &P::nms_distance,
       kApart},
      {{.key = "boundary-threshold",
        .label = "Least score",
        .group = boundaries,
        .help = "A boundary's score is above this; 0 sets no bound.",
        .maximum = 1e6,
        .slider_end = 4,
        .usual = {0, 0.5, 1}},
       &P::boundary_threshold,
       kScored},
      {{.key = "chunk-length",
        .label = "Chunk length",
        .group = boundaries,
        .unit = "tokens",
        .help = "Tokens per chunk of fixed length.",
        .minimum = 1,
        .maximum = 65536,
        .slider_end = 1024,
        .usual = {16, 32, 64, 128}},
       &P::chunk_length,
       kFixed},
      {{.key = "predictor",
        .label = "Predictor",
        .group = boundaries,
        .help = "Weights of the learned boundaries (safetensors); empty takes the model's own.",
        .kind = Kind::kFile},
       &P::predictor,
       kLearned},

      {{.key = "scores",
        .label = "Chunk scores",
        .group = similarity,
        .help = "Mean similarity as published, or an estimate of the attention mass from moments, frequency bands or "
                "bounds of a chunk's keys.",
        .choices = {"mean", "moments", "bands", "bounds"},
        .choice_labels = {"Mean similarity", "Mean and variance", "Frequency bands", "Upper bound"}},
       &P::scores,
       kDhsa},
      {{.key = "score-rows",
        .label = "Scored rows",
        .group = similarity,
        .unit = "rows",
        .help = "Score every n-th row of a query group, counted back from its last; 0 scores the group's mean query.",
        .maximum = 65536,
        .slider_end = 128,
        .usual = {1, 4, 8, 16}},
       &P::score_rows,
       kDhsa},
      {{.key = "score-last-rows",
        .label = "Scored last rows",
        .group = similarity,
        .unit = "rows",
        .help = "Score each of the text's last rows, about every key where tokens are chosen: from these rows the "
                "answer follows, and each may look up something else.",
        .maximum = 65536,
        .slider_end = 1024},
       &P::score_last_rows,
       kLastRows},
      {{.key = "candidates",
        .label = "Token candidates",
        .group = similarity,
        .unit = "budgets",
        .help = "Take chunks worth this many budgets (1 or more) and keep their best tokens by the attention of the "
                "scored rows; 0 keeps whole chunks.",
        .maximum = 64},
       &P::candidates,
       kThinned},
      {{.key = "pooling",
        .label = "Pooling",
        .group = similarity,
        .help = "A chunk's representation: its mean times the square root of its length, or its mean.",
        .choices = {"sqrt-mean", "mean"},
        .choice_labels = {"Length-normalised mean", "Mean"}},
       &P::pooling,
       kPublished},
      {{.key = "mask-heads",
        .label = "Mask heads",
        .group = similarity,
        .help = "One mask for all heads, one per key/value head, or one per query head.",
        .choices = {"shared", "per-kv-head", "per-head"},
        .choice_labels = {"Shared", "Per key/value head", "Per query head"}},
       &P::mask_heads,
       kHeads},

      {{.key = "share-boundaries",
        .label = "Share boundaries",
        .group = sharing,
        .help = "The boundaries of the first layer serve all layers."},
       &P::share_boundaries,
       kScored},
      {{.key = "share-masks",
        .label = "Share masks",
        .group = sharing,
        .help = "The masks of the first local and the first global layer serve all layers of their kind."},
       &P::share_masks,
       kContent},
  };
}

}  // namespace

std::vector<Method> all_methods() {
  std::vector<Method> methods;
  for (std::size_t i = 0; i < std::size(kMethods); ++i) methods.push_back(static_cast<Method>(i));
  return methods;
}

const char* name_of(Method method) noexcept { return kMethods[static_cast<std::size_t>(method)].name; }

const char* label_of(Method method) noexcept { return kMethods[static_cast<std::size_t>(method)].label; }

const OptionTable<SparsityParameters>& parameter_table() {
  static const OptionTable<SparsityParameters> table("parameter", make_options());
  return table;
}

OptionValue get_parameter(const SparsityParameters& parameters, const std::string& key) {
  return parameter_table().at(key).get(parameters);
}

void set_parameter(SparsityParameters& parameters, const std::string& key, const OptionValue& value) {
  parameter_table().at(key).set(parameters, value);
}

bool is_read(const SparsityParameters& parameters, const std::string& key, bool has_predictor) {
  // Whether there is a predictor follows from the name of its file, among others.
  return parameter_table().at(key).is_read(key == "predictor" ? parameters : resolved(parameters, has_predictor));
}

void check_parameters(const SparsityParameters& parameters) {
  parameter_table().check_ranges(parameters);
  const std::int64_t always = (kSinks.holds(parameters) ? parameters.sink_tokens : 0) +
                              (kLocal.holds(parameters) ? parameters.local_tokens : 0);
  const bool by_mass = threshold(parameters);
  if (by_mass && parameters.min_budget > parameters.max_budget) {
    throw Error(fmt::format("min-budget ({}) is above max-budget ({}); lower one or raise the other.",
                            parameters.min_budget, parameters.max_budget));
  }
  const std::int64_t most = by_mass ? parameters.max_budget : parameters.budget;
  if (parameters.method != Method::kDense && always > most) {
    throw Error(
        fmt::format("The keys that are always kept ({} sink and local tokens) exceed {} ({}); keep fewer of them or "
                    "raise it.",
                    always, by_mass ? "max-budget" : "the budget", most));
  }
  if (kThinned.holds(parameters) && parameters.candidates > 0 && parameters.candidates < 1) {
    throw Error(
        fmt::format("candidates ({}) below 1 leave part of the budget unused; give 1 or more, or 0 for whole "
                    "chunks.",
                    parameters.candidates));
  }
  if (parameters.method == Method::kWindowSinks && parameters.sink_tokens >= parameters.budget) {
    throw Error(fmt::format("sink-tokens ({}) leave nothing of the budget ({}) for the window; lower them or raise it.",
                            parameters.sink_tokens, parameters.budget));
  }
}

SparsityParameters resolved(SparsityParameters parameters, bool has_predictor) noexcept {
  if (parameters.boundaries == BoundarySource::kAuto) {
    parameters.boundaries = has_predictor ? BoundarySource::kLearned : BoundarySource::kKeyShift;
  }
  return parameters;
}

void to_json(nlohmann::json& json, const SparsityParameters& parameters) {
  json = nlohmann::json::object();
  parameter_table().write(json, parameters);
}

void from_json(const nlohmann::json& json, SparsityParameters& parameters) {
  if (!json.is_object()) throw Error("Parameters must be a JSON object of names and values.");
  SparsityParameters read;
  for (const auto& [key, value] : json.items()) {
    if (!parameter_table().read(read, key, value)) static_cast<void>(parameter_table().at(key));
  }
  parameters = read;
}

}  // namespace dhsa
