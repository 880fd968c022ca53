// Every parameter of every method, and one table that describes them. The command line, the window, JSON files and the
// manual are all made from that table, so that a parameter has one name, one default and one explanation.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <variant>
#include <vector>

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

using ParameterValue = std::variant<bool, std::int64_t, double, std::string>;

struct ParameterInfo {
  enum class Kind : std::uint8_t { kFlag, kCount, kReal, kChoice, kFile };
  std::string key;    // "chunks-per-block": the option of the command line and the key in JSON
  std::string label;  // "Chunks per block": the caption in the window
  std::string group;  // "Selection", "Boundaries", ...: heading in help and in the window
  std::string unit;   // "keys", "tokens", "" ...
  std::string help;   // one sentence: what it does
  Kind kind = Kind::kCount;
  double minimum = 0;
  double maximum = 0;
  std::vector<std::string> choices;        // of kChoice
  std::vector<std::string> choice_labels;  // as shown to a person
  std::vector<Method> used_by;             // methods that read it
};

[[nodiscard]] std::span<const ParameterInfo> parameter_table();
[[nodiscard]] const ParameterInfo& parameter_info(const std::string& key);  // throws Error on an unknown key
[[nodiscard]] ParameterValue get_parameter(const SparsityParameters& parameters, const std::string& key);
// Throws Error, naming key, value and range, where the value does not fit.
void set_parameter(SparsityParameters& parameters, const std::string& key, const ParameterValue& value);
[[nodiscard]] std::string to_text(const ParameterInfo& info, const ParameterValue& value);

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

}  // namespace dhsa
