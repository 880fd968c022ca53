// Every parameter of every method, and the one table that describes them: a parameter has one name, one default and one
// explanation.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/options.h"

namespace dhsa {

enum class Method : std::uint8_t { kDense, kWindowSinks, kBlockSparse, kVerticalSlash, kTokenTopK, kDhsa };
// kAuto: learned where the model has a predictor, else key shift.
enum class BoundarySource : std::uint8_t { kAuto, kLearned, kAttentionMass, kKeyShift, kSentence, kFixed };
enum class QueryGrouping : std::uint8_t { kFixed, kChunks };
enum class Pooling : std::uint8_t { kSqrtMean, kMean };
enum class MaskHeads : std::uint8_t { kShared, kPerKvHead, kPerHead };
enum class ChunkScoring : std::uint8_t { kMean, kMoments, kBands, kBounds };
enum class Selection : std::uint8_t { kBudget, kThreshold };

// Symbols of the paper in brackets. Defaults are the reference's settings for accuracy.
struct SparsityParameters {
  Method method = Method::kDhsa;
  std::int64_t budget = 1024;       // [N_b] keys kept for a query row
  std::int64_t sink_tokens = 128;   // first allowed keys, always kept
  std::int64_t local_tokens = 128;  // last allowed keys, always kept
  std::int64_t query_block = 128;   // [B_q] rows of a fixed query group
  QueryGrouping query_grouping = QueryGrouping::kFixed;
  double chunks_per_block = 2.0;  // [beta] N_c = (L / B_q) * beta
  BoundarySource boundaries = BoundarySource::kKeyShift;
  std::int64_t boundary_window = 4;  // [w]
  std::int64_t nms_distance = 8;     // [n] boundaries are more than n tokens apart
  double boundary_threshold = 0.0;   // [theta] least score of a boundary; 0: none
  std::int64_t chunk_length = 64;    // fixed boundaries: every n tokens
  Pooling pooling = Pooling::kSqrtMean;
  MaskHeads mask_heads = MaskHeads::kShared;
  ChunkScoring scores = ChunkScoring::kMean;  // how a chunk is scored; the paper's is kMean
  std::int64_t score_rows = 0;                // score every n-th row of a query group; 0: the group's mean query
  std::int64_t score_last_rows = 0;           // each of the text's last n rows is scored, and asked about every key
  double candidates = 0;  // budgets of chunks that are thinned to their best tokens; 0: whole chunks are kept
  Selection selection = Selection::kBudget;
  double mass = 0.95;             // threshold selection: softmax(S_c) mass to reach
  std::int64_t min_budget = 256;  // threshold selection: bounds on the keys kept
  std::int64_t max_budget = 4096;
  std::int64_t instruction_tokens = 0;  // last m tokens (the question): their rows attend densely
  bool share_boundaries = false;        // boundaries of the first layer serve all layers
  bool share_masks = false;             // masks of the first local and first global layer serve all of their kind
  std::int64_t block_size = 128;        // block sparse: keys per block
  std::int64_t oracle_rows = 1;         // token top-k: rows that share one choice (1: exact per row)
  std::string predictor;                // learned boundaries: safetensors file; empty: the model's own

  bool operator==(const SparsityParameters&) const = default;
};

[[nodiscard]] const OptionTable<SparsityParameters>& parameter_table();
[[nodiscard]] OptionValue get_parameter(const SparsityParameters& parameters, const std::string& key);
// Throws Error, naming key, value and range, where the value does not fit.
void set_parameter(SparsityParameters& parameters, const std::string& key, const OptionValue& value);
// Whether a method with these values reads the parameter: if not, its value changes no mask. `has_predictor` says what
// BoundarySource::kAuto stands for.
[[nodiscard]] bool is_read(const SparsityParameters& parameters, const std::string& key, bool has_predictor = false);

// The same with BoundarySource::kAuto replaced by what it stands for.
[[nodiscard]] SparsityParameters resolved(SparsityParameters parameters, bool has_predictor) noexcept;

// Checks every range, and what one value alone cannot tell (for example sinks + local <= budget). Throws Error.
void check_parameters(const SparsityParameters& parameters);

void to_json(nlohmann::json& json, const SparsityParameters& parameters);
// Missing keys keep their defaults; unknown keys and wrong types throw Error.
void from_json(const nlohmann::json& json, SparsityParameters& parameters);

[[nodiscard]] const char* name_of(Method method) noexcept;   // "dhsa", "window-sinks", ...
[[nodiscard]] const char* label_of(Method method) noexcept;  // "DHSA", "Window + sinks", ...
[[nodiscard]] std::vector<Method> all_methods();

// Named settings: "reference-niah", "longbench", "latency", "best", "block-sparse", "dense", ...
struct Preset {
  std::string name;
  std::string label;
  std::string help;
  SparsityParameters parameters;
};
[[nodiscard]] std::span<const Preset> presets();
// Applies a preset by name; instruction tokens and predictor, which belong to the document and the model, stay as they
// are. Throws Error on an unknown name.
void apply_preset(SparsityParameters& parameters, const std::string& name);
// Another method begins with the values of its preset, not with those that the last one had; the same one keeps its
// own.
void switch_method(SparsityParameters& parameters, Method method);

using ParameterChanges = std::vector<std::pair<std::string, OptionValue>>;  // keys and values, in their order
// What a name of a method stands for, wherever one is named. "best": the preset; "dhsa", "token-topk": a method that no
// preset is called after, as switch_method() makes it of `base`. Then `changes`, which hold for every name, and on top
// what the name itself says: "best+score-rows=8+sink-tokens=4". Instruction tokens and predictor are those of `base`.
// Throws Error on any other name.
[[nodiscard]] SparsityParameters named_parameters(const std::string& name, const SparsityParameters& base = {},
                                                  const ParameterChanges& changes = {});
// What a name says after its "+", in its order. Throws Error where a change has no value.
[[nodiscard]] ParameterChanges changes_in(const std::string& name);
// "budget=512" as key and value. Throws Error that names `where` if it has no "=".
[[nodiscard]] std::pair<std::string, std::string> assignment(const std::string& text, const std::string& where);

}  // namespace dhsa
