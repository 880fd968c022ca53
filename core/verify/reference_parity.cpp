#include "core/verify/reference_parity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>

#include "core/attention/attend.h"
#include "core/files/safetensors.h"
#include "core/sparsity/boundaries.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/chunk_scores.h"
#include "core/sparsity/selection.h"

namespace dhsa {
namespace {

constexpr double kTolerance = 1e-4;
constexpr float kExcludedLogit = -100.0F;  // the reference's mark of a position that cannot be a boundary

// The fixture, read and checked.
struct Reference {
  std::shared_ptr<const SafetensorsFile> file;
  std::int64_t tokens = 0, heads = 0, kv_heads = 0, dim = 0;
  std::int64_t query_block = 0, budget = 0, window = 0, instruction = 0;
  std::int64_t most_boundaries = 0, boundary_window = 4, nms_distance = 8;
  std::int64_t global_tokens = 0, local_tokens = 0;
  double label_threshold = 1.1;
  float scale = 1.0F;
  PredictorSettings predictor;
  std::vector<float> q_values, k_values, v_values;

  [[nodiscard]] HeadsView q() const { return heads_view(q_values.data(), heads, tokens, dim); }
  [[nodiscard]] HeadsView k() const { return heads_view(k_values.data(), kv_heads, tokens, dim); }
  [[nodiscard]] HeadsView v() const { return heads_view(v_values.data(), kv_heads, tokens, dim); }
  [[nodiscard]] std::int64_t sparse_rows() const { return tokens - instruction; }
  [[nodiscard]] std::int64_t groups() const { return (sparse_rows() + query_block - 1) / query_block; }
  [[nodiscard]] std::int64_t kept_keys() const {
    return std::min({budget < 0 ? tokens : budget, window > 0 ? window : tokens, tokens});
  }
  // Keys group g chooses from. Its bound is that of a full block, even where fewer rows are left.
  [[nodiscard]] std::int64_t key_end(std::int64_t g) const { return std::min(tokens, (g + 1) * query_block); }
  [[nodiscard]] std::int64_t key_begin(std::int64_t g) const {
    return window > 0 ? std::max<std::int64_t>(0, (g + 1) * query_block - window) : 0;
  }
};

class Settings {
 public:
  Settings(nlohmann::json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {}
  [[nodiscard]] bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  [[nodiscard]] std::int64_t whole(const char* key, std::int64_t least) const {
    if (!has(key) || !json_[key].is_number_integer() || json_[key].get<std::int64_t>() < least) {
      throw Error(fmt::format("{}: the parameter \"{}\" must be a whole number of at least {}.", where_, key, least));
    }
    return json_[key].get<std::int64_t>();
  }
  [[nodiscard]] std::int64_t whole(const char* key, std::int64_t least, std::int64_t otherwise) const {
    return has(key) ? whole(key, least) : otherwise;
  }
  [[nodiscard]] double number(const char* key, double otherwise) const {
    if (!has(key)) return otherwise;
    if (!json_[key].is_number()) throw Error(fmt::format("{}: the parameter \"{}\" must be a number.", where_, key));
    return json_[key].get<double>();
  }
  [[nodiscard]] std::optional<bool> flag(const char* key) const {
    if (!has(key)) return std::nullopt;
    if (!json_[key].is_boolean()) {
      throw Error(fmt::format("{}: the parameter \"{}\" must be true or false.", where_, key));
    }
    return json_[key].get<bool>();
  }

 private:
  nlohmann::json json_;
  std::string where_;
};

std::vector<float> values_of(const SafetensorsFile& file, const std::string& name, std::int64_t elements) {
  if (file.info(name).elements() != elements) {
    throw Error(fmt::format("{}: {} holds {} numbers where the parameters call for {}.", file.path().string(), name,
                            file.info(name).elements(), elements));
  }
  return file.floats(name);
}

Reference read_reference(const std::filesystem::path& path) {
  Reference ref;
  ref.file = SafetensorsFile::open(path);
  const std::string where = path.string();
  const auto found = ref.file->metadata().find("parameters");
  if (found == ref.file->metadata().end()) {
    throw Error(fmt::format("{} is no DHSA reference fixture: its metadata has no \"parameters\".", where));
  }
  nlohmann::json json = nlohmann::json::parse(found->second, nullptr, false);
  if (!json.is_object()) throw Error(fmt::format("{}: the metadata \"parameters\" is no JSON object.", where));
  const Settings settings(std::move(json), where);
  ref.tokens = settings.whole("L", 1);
  ref.heads = settings.whole("heads", 1);
  ref.kv_heads = settings.whole("kv_heads", 1);
  ref.dim = settings.whole("head_dim", 1);
  ref.query_block = settings.whole("query_block", 1);
  ref.budget = settings.whole("budget", -1);
  ref.window = settings.whole("sliding_window", 0, 0);
  ref.instruction = settings.whole("instruction_tokens", 0, 0);
  ref.most_boundaries = settings.whole("num_chunks", 1);
  ref.boundary_window = settings.whole("boundary_window", 1, 4);
  ref.nms_distance = settings.whole("nms_window", -1, 8);
  ref.label_threshold = settings.number("theta_label", 1.1);
  ref.global_tokens = settings.whole("global_tokens", 0, 0);
  ref.local_tokens = settings.whole("local_tokens", 0, 64);
  ref.scale = static_cast<float>(settings.number("scale", 1.0 / std::sqrt(static_cast<double>(ref.dim))));
  ref.predictor.boundary_window = ref.boundary_window;
  if (settings.has("predictor_heads")) ref.predictor.heads = settings.whole("predictor_heads", 1);
  ref.predictor.window_pool = settings.flag("window_pool");
  if (ref.heads % ref.kv_heads != 0 || ref.instruction >= ref.tokens) {
    throw Error(fmt::format("{}: {} heads for {} key/value heads and {} instruction tokens of {} do not fit.", where,
                            ref.heads, ref.kv_heads, ref.instruction, ref.tokens));
  }
  ref.q_values = values_of(*ref.file, "q", ref.heads * ref.tokens * ref.dim);
  ref.k_values = values_of(*ref.file, "k", ref.kv_heads * ref.tokens * ref.dim);
  ref.v_values = values_of(*ref.file, "v", ref.kv_heads * ref.tokens * ref.dim);
  return ref;
}

ParityRow compare_numbers(const std::string& name, std::span<const float> ours, std::span<const float> theirs) {
  ParityRow row;
  row.name = name;
  row.tolerance = kTolerance;
  row.compared = static_cast<std::int64_t>(theirs.size());
  if (ours.size() != theirs.size()) throw Error(fmt::format("{} has another length than the parameters say.", name));
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double exact = static_cast<double>(theirs[i]);
    const double error = std::abs(static_cast<double>(ours[i]) - exact) / std::max(1.0, std::abs(exact));
    row.max_error = std::isnan(error) ? INFINITY : std::max(row.max_error, error);
  }
  row.passed = row.max_error <= row.tolerance;
  return row;
}

ParityRow compare_boundaries(const std::string& name, const std::vector<std::int32_t>& ours,
                             const std::vector<std::int32_t>& theirs) {
  ParityRow row;
  row.name = name;
  row.is_set = true;
  const std::set<std::int32_t> reference(theirs.begin(), theirs.end());
  row.compared = static_cast<std::int64_t>(reference.size());
  std::vector<std::int32_t> different;
  std::set_symmetric_difference(ours.begin(), ours.end(), reference.begin(), reference.end(),
                                std::back_inserter(different));
  row.mismatches = static_cast<std::int64_t>(different.size());
  row.passed = row.mismatches == 0;
  return row;
}

std::vector<float> without_nan(std::vector<float> values, float instead) {
  for (float& value : values) {
    if (std::isnan(value)) value = instead;
  }
  return values;
}

void compare_labels(const Reference& ref, std::vector<ParityRow>& rows, const CancelToken* cancel) {
  const auto theirs = values_of(*ref.file, "label_ratios", ref.tokens);
  // Labels come from dense attention; with a window the reference leaves its exact form to the mask that its caller
  // passes and bounds the rows by a constant, so all readings are tried and the one that fits is named.
  struct Reading {
    std::int64_t window, row_window;
    const char* note;
  };
  std::vector<Reading> readings = {{ref.window, ref.window, ""}};
  if (ref.window > 0) {
    readings[0].note = "softmax inside the window";
    readings.push_back({ref.window + 1, 0, "softmax inside the window and one key more"});
    readings.push_back({0, ref.window, "causal softmax, rows inside the window"});
    readings.push_back({0, 0, "causal softmax, all rows"});
  }
  std::optional<ParityRow> chosen;
  std::vector<float> chosen_ratios;
  for (const Reading& reading : readings) {
    AttentionMassRule rule;
    rule.boundary_window = ref.boundary_window;
    rule.scale = 1.0F / std::sqrt(static_cast<float>(ref.dim));
    rule.window = reading.window;
    rule.row_window = reading.row_window;
    const auto ours = without_nan(attention_mass_ratios(ref.q(), ref.k(), rule, cancel), 0.0F);
    ParityRow row = compare_numbers("label_ratios", ours, theirs);
    row.note = reading.note;
    if (!chosen || row.max_error < chosen->max_error) {
      chosen = row;
      chosen_ratios = ours;
    }
    if (row.passed) break;
  }
  rows.push_back(*chosen);
  if (ref.file->contains("label_boundaries")) {
    const BoundaryRule rule{ref.most_boundaries, ref.nms_distance, ref.label_threshold, ref.instruction};
    rows.push_back(compare_boundaries("label_boundaries", select_boundaries(chosen_ratios, rule),
                                      ref.file->int32s("label_boundaries")));
  }
}

void compare_predictor(const Reference& ref, std::vector<ParityRow>& rows, const CancelToken* cancel) {
  const auto predictor = BoundaryPredictor::load(ref.file->path(), ref.predictor);
  const std::vector<float> logits = predictor->logits(ref.k(), cancel);
  rows.push_back(compare_numbers("predictor_logits", without_nan(logits, kExcludedLogit),
                                 values_of(*ref.file, "predictor_logits", ref.tokens)));
  if (!ref.file->contains("predicted_boundaries")) return;
  const auto theirs = ref.file->int32s("predicted_boundaries");
  // Excluded positions stay candidates in the reference, after all others.
  const BoundaryRule rule{ref.most_boundaries, ref.nms_distance, std::nullopt, ref.instruction};
  ParityRow row = compare_boundaries("predicted_boundaries", select_boundaries(logits, rule), theirs);
  if (!row.passed) {
    const auto marked = without_nan(logits, kExcludedLogit);
    const ParityRow again = compare_boundaries("predicted_boundaries", select_boundaries(marked, rule), theirs);
    if (again.mismatches < row.mismatches) row = again;
  }
  rows.push_back(row);
}

// Similarity of the rows and the chunk in double precision, for chunks that only the padded bound of the last group
// lets in: score_chunks() stops at the group's own end.
float plain_similarity(const Reference& ref, std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin,
                       std::int64_t key_end, Pooling pooling) {
  const auto mean_of = [&](const HeadsView& view, std::int64_t begin, std::int64_t end) {
    std::vector<double> mean(static_cast<std::size_t>(ref.dim), 0.0);
    std::vector<float> row(static_cast<std::size_t>(ref.dim));
    const auto n = static_cast<double>(end - begin);
    for (std::int64_t h = 0; h < view.heads; ++h) {
      for (std::int64_t i = begin; i < end; ++i) {
        view.load_row(h, i, row.data());
        for (std::size_t d = 0; d < row.size(); ++d) mean[d] += static_cast<double>(row[d]);
      }
    }
    const double factor = (pooling == Pooling::kSqrtMean ? std::sqrt(n) : 1.0) / (n * static_cast<double>(view.heads));
    for (double& value : mean) value *= factor;
    return mean;
  };
  const auto a = mean_of(ref.q(), row_begin, row_end);
  const auto b = mean_of(ref.k(), key_begin, key_end);
  double sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) sum += a[d] * b[d];
  return static_cast<float>(sum);
}

// The reference's choice of one group: its distinct keys. L - 1 stands for "nothing" where the group cannot see it.
std::set<std::int32_t> reference_keys(const Reference& ref, std::span<const std::int32_t> listed, std::int64_t g) {
  std::set<std::int32_t> keys(listed.begin(), listed.end());
  if (ref.key_end(g) < ref.tokens) keys.erase(static_cast<std::int32_t>(ref.tokens - 1));
  return keys;
}

void check_selection(const Reference& ref, const std::string& name) {
  const auto listed = ref.file->int32s(name);
  const bool inside =
      std::all_of(listed.begin(), listed.end(), [&](std::int32_t j) { return j >= 0 && j < ref.tokens; });
  if (listed.empty() || static_cast<std::int64_t>(listed.size()) % ref.groups() != 0 || !inside) {
    throw Error(fmt::format("{}: {} must hold one row of keys below {} for each of the {} query groups.",
                            ref.file->path().string(), name, ref.tokens, ref.groups()));
  }
}

ParityRow compare_selection(const Reference& ref, const std::string& name, Pooling pooling,
                            const std::vector<std::int32_t>& edges, const CancelToken* cancel) {
  ParityRow row;
  row.name = name;
  row.is_set = true;
  const auto listed = ref.file->int32s(name);
  const std::int64_t width = static_cast<std::int64_t>(listed.size()) / ref.groups();
  if (width * ref.groups() != static_cast<std::int64_t>(listed.size())) {
    throw Error(fmt::format("{}: {} must hold one row for each of the {} query groups.", ref.file->path().string(),
                            name, ref.groups()));
  }
  const auto group_rows = fixed_groups(ref.sparse_rows(), ref.query_block);
  ChunkScoreRule rule;
  rule.pooling = pooling;
  const ChunkScores scores = score_chunks(ref.q(), ref.k(), edges, group_rows, rule, cancel);
  for (std::int64_t g = 0; g < ref.groups(); ++g) {
    const auto of_group = scores.row(0, g);
    std::vector<float> complete(of_group.begin(), of_group.end());
    for (std::size_t c = 0; c < complete.size(); ++c) {
      if (std::isnan(complete[c]) && edges[c] < ref.key_end(g)) {
        complete[c] = plain_similarity(ref, group_rows[static_cast<std::size_t>(g)],
                                       group_rows[static_cast<std::size_t>(g) + 1], edges[c], edges[c + 1], pooling);
      }
    }
    SelectionRule selection;
    selection.budget = ref.kept_keys();
    selection.local_tokens = ref.local_tokens;
    const SelectedKeys ours = select_keys(edges, complete, false, ref.key_begin(g), ref.key_end(g), selection);
    std::set<std::int32_t> mine;
    for (const KeyRange range : ours.ranges) {
      for (std::int32_t j = range.begin; j < range.end; ++j) mine.insert(j);
    }
    const auto theirs = reference_keys(
        ref, std::span(listed).subspan(static_cast<std::size_t>(g * width), static_cast<std::size_t>(width)), g);
    row.compared += static_cast<std::int64_t>(theirs.size());
    std::vector<std::int32_t> different;
    std::set_symmetric_difference(mine.begin(), mine.end(), theirs.begin(), theirs.end(),
                                  std::back_inserter(different));
    // Which tokens of the one chunk that is cut are kept is arbitrary in the reference; how many is not.
    if (mine.size() != theirs.size()) ++row.mismatches;
    for (const std::int32_t key : different) {
      const auto cut = static_cast<std::size_t>(std::max(ours.cut_chunk, 0));
      const bool in_cut = ours.cut_chunk >= 0 && key >= edges[cut] && key < edges[cut + 1];
      row.mismatches += in_cut ? 0 : 1;
    }
  }
  row.passed = row.mismatches == 0;
  row.note = "as sets; the tokens of a cut chunk may differ, not their number";
  return row;
}

// Keys that one group attends to, as often as the reference lists them.
using IndexList = std::vector<std::int32_t>;

// Attention over index lists: the product's kernel on the mask they make, except for rows whose keys no mask can say
// (a key listed twice, or the row's own block not chosen), which are computed here in double precision.
std::vector<float> attend_lists(const Reference& ref, const std::vector<std::int32_t>& group_rows,
                                const std::vector<IndexList>& lists, std::int64_t unbounded, std::int64_t& by_hand,
                                const CancelToken* cancel) {
  // The reference's window test is j >= i - W, one key wider than Gemma's.
  KeyMask::Builder builder(group_rows, 1, ref.window > 0 ? ref.window + 1 : 0);
  for (const IndexList& list : lists) {
    std::vector<KeyRange> ranges;
    for (const std::int32_t key : list) ranges.push_back({key, key + 1});
    builder.add(std::move(ranges));
  }
  const KeyMask mask = builder.finish();
  std::vector<float> out(ref.q_values.size());
  attend(ref.q(), ref.k(), ref.v(), mask, {ref.scale, 0.0F},
         mutable_heads_view(out.data(), ref.heads, ref.tokens, ref.dim), cancel);

  const auto size = static_cast<std::size_t>(ref.dim);
  by_hand = 0;
  for (std::size_t g = 0; g < lists.size(); ++g) {
    for (std::int64_t i = group_rows[g]; i < group_rows[g + 1]; ++i) {
      std::vector<std::int32_t> seen;
      for (const std::int32_t key : lists[g]) {
        const bool in_window = key >= mask.first_visible(i) || (unbounded > 0 && i >= unbounded);
        if (key <= i && in_window) seen.push_back(key);
      }
      const std::set<std::int32_t> distinct(seen.begin(), seen.end());
      if (seen.empty() ||
          (distinct.size() == seen.size() && static_cast<std::int64_t>(seen.size()) == mask.kept_keys(0, i))) {
        continue;
      }
      ++by_hand;
      for (std::int64_t h = 0; h < ref.heads; ++h) {
        const std::int64_t kv = h / (ref.heads / ref.kv_heads);
        std::vector<float> a(size);
        std::vector<float> b(size);
        std::vector<double> logits;
        ref.q().load_row(h, i, a.data());
        for (const std::int32_t key : seen) {
          ref.k().load_row(kv, key, b.data());
          double dot = 0;
          for (std::size_t d = 0; d < size; ++d) dot += static_cast<double>(a[d]) * static_cast<double>(b[d]);
          logits.push_back(dot * static_cast<double>(ref.scale));
        }
        const double highest = *std::max_element(logits.begin(), logits.end());
        double total = 0;
        std::vector<double> mixed(size, 0.0);
        for (std::size_t n = 0; n < seen.size(); ++n) {
          const double weight = std::exp(logits[n] - highest);
          total += weight;
          ref.v().load_row(kv, seen[n], b.data());
          for (std::size_t d = 0; d < size; ++d) mixed[d] += weight * static_cast<double>(b[d]);
        }
        float* to = out.data() + (h * ref.tokens + i) * ref.dim;
        for (std::size_t d = 0; d < size; ++d) to[d] = static_cast<float>(mixed[d] / total);
      }
    }
  }
  return out;
}

// Rows from `unbounded` on ignore the window (0: none do).
ParityRow compare_output(const Reference& ref, const std::string& name, const std::vector<std::int32_t>& group_rows,
                         const std::vector<IndexList>& lists, std::int64_t unbounded, const CancelToken* cancel) {
  std::int64_t by_hand = 0;
  const auto ours = attend_lists(ref, group_rows, lists, unbounded, by_hand, cancel);
  ParityRow row = compare_numbers(name, ours, values_of(*ref.file, name, ref.heads * ref.tokens * ref.dim));
  if (by_hand > 0) row.note = fmt::format("{} rows that no mask can express computed row by row", by_hand);
  return row;
}

// Index lists of the blocks before the instruction from the reference's own selection; then the instruction's rows,
// which see every key before them (inside their window, where `windowed`).
ParityRow compare_dhsa_output(const Reference& ref, const std::string& selection, bool windowed,
                              const CancelToken* cancel) {
  const auto listed = ref.file->int32s(selection);
  const auto width = static_cast<std::int64_t>(listed.size()) / ref.groups();
  std::vector<std::int32_t> group_rows = fixed_groups(ref.sparse_rows(), ref.query_block);
  std::vector<IndexList> lists;
  for (std::int64_t g = 0; g < ref.groups(); ++g) {
    IndexList list(listed.begin() + g * width, listed.begin() + (g + 1) * width);
    std::sort(list.begin(), list.end());
    // The lowest indices make way for the first keys of the group's window.
    const std::int64_t begin = g * ref.query_block;
    const std::int64_t first = ref.window > 0 ? std::max<std::int64_t>(0, begin - ref.window) : 0;
    const std::int64_t last = std::min(ref.tokens, begin + ref.query_block) - 1;
    for (std::int64_t n = 0; n < std::min(ref.global_tokens, width); ++n) {
      list[static_cast<std::size_t>(n)] = static_cast<std::int32_t>(std::min(first + n, last));
    }
    lists.push_back(std::move(list));
  }
  if (ref.instruction > 0) {
    IndexList all(static_cast<std::size_t>(ref.tokens));
    std::iota(all.begin(), all.end(), 0);
    group_rows.push_back(static_cast<std::int32_t>(ref.tokens));
    lists.push_back(std::move(all));
  }
  ParityRow row = compare_output(ref, "dhsa_output", group_rows, lists, windowed ? 0 : ref.sparse_rows(), cancel);
  row.note += (row.note.empty() ? "" : "; ") + std::string("indices of ") + selection;
  return row;
}

// The reference leaves open which selection its output was made with, and its prose and its code differ on the window
// of the instruction's rows: the reading that fits is named.
ParityRow compare_dhsa_output(const Reference& ref, const CancelToken* cancel) {
  std::optional<ParityRow> best;
  for (const char* const selection : {"topk_avgpool_norm", "topk_avgpool"}) {
    if (!ref.file->contains(selection)) continue;
    for (const bool windowed : {true, false}) {
      if (!windowed && (ref.window == 0 || ref.instruction == 0)) continue;
      const ParityRow row = compare_dhsa_output(ref, selection, windowed, cancel);
      if (!best || row.max_error < best->max_error) best = row;
      if (row.passed) return row;
    }
  }
  return *best;
}

ParityRow compare_block_sparse(const Reference& ref, const CancelToken* cancel) {
  const std::int64_t block = ref.query_block;
  const auto edges = fixed_boundaries(ref.tokens, block);
  const std::int64_t blocks = static_cast<std::int64_t>(edges.size()) - 1;
  std::int64_t kept = (ref.budget < 0 ? ref.tokens : ref.budget) / block;
  if (ref.window > 0) kept = std::min(kept, ref.window / block);
  kept = std::clamp<std::int64_t>(kept, 1, blocks);
  ChunkScoreRule rule;
  rule.pooling = Pooling::kMean;
  const ChunkScores scores = score_chunks(ref.q(), ref.k(), edges, edges, rule, cancel);
  std::vector<IndexList> lists;
  for (std::int64_t g = 0; g < blocks; ++g) {
    const std::int64_t begin = ref.window > 0 ? std::max<std::int64_t>(0, (g + 1 - ref.window / block) * block) : 0;
    const std::int64_t end = edges[static_cast<std::size_t>(g) + 1];
    SelectionRule selection;
    selection.local_tokens = end - g * block;
    selection.budget = selection.local_tokens + (kept - 1) * block;
    IndexList list;
    for (const KeyRange range : select_keys(edges, scores.row(0, g), false, begin, end, selection).ranges) {
      for (std::int32_t j = range.begin; j < range.end; ++j) list.push_back(j);
    }
    lists.push_back(std::move(list));
  }
  return compare_output(ref, "block_sparse_output", edges, lists, 0, cancel);
}

}  // namespace

void to_json(nlohmann::json& json, const ParityRow& row) {
  json = {{"name", row.name}, {"compared", row.compared}, {"passed", row.passed}};
  if (row.is_set) {
    json["mismatches"] = row.mismatches;
  } else {
    json["max_error"] = row.max_error;
    json["tolerance"] = row.tolerance;
  }
  if (!row.note.empty()) json["note"] = row.note;
}

std::vector<ParityRow> compare_with_reference(const std::filesystem::path& fixture, const CancelToken* cancel) {
  const Reference ref = read_reference(fixture);
  const SafetensorsFile& file = *ref.file;
  std::vector<ParityRow> rows;
  if (file.contains("predictor_logits")) compare_predictor(ref, rows, cancel);
  if (file.contains("label_ratios")) compare_labels(ref, rows, cancel);

  // Selections were made on the boundaries of the predictor; a file without those has them from the labels.
  const char* const chunks = file.contains("predicted_boundaries") ? "predicted_boundaries" : "label_boundaries";
  bool selected = false;
  for (const std::string name : {"topk_avgpool", "topk_avgpool_norm"}) {
    if (!file.contains(name)) continue;
    selected = true;
    check_selection(ref, name);
    if (!file.contains(chunks)) continue;
    std::vector<std::int32_t> edges = file.int32s(chunks);
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    const bool normalised = name == "topk_avgpool_norm";
    if (edges.size() < 2 || edges.front() != 0 || edges.back() != ref.tokens ||
        !std::is_sorted(edges.begin(), edges.end())) {
      throw Error(fmt::format("{}: {} must ascend from 0 to {}.", file.path().string(), chunks, ref.tokens));
    }
    rows.push_back(compare_selection(ref, name, normalised ? Pooling::kSqrtMean : Pooling::kMean, edges, cancel));
  }
  if (file.contains("dhsa_output") && selected) rows.push_back(compare_dhsa_output(ref, cancel));
  if (file.contains("block_sparse_output")) rows.push_back(compare_block_sparse(ref, cancel));
  if (rows.empty()) {
    throw Error(
        fmt::format("{} holds no reference output to compare with; expected for example predictor_logits or "
                    "dhsa_output.",
                    fixture.string()));
  }
  return rows;
}

}  // namespace dhsa
