#include "core/verify/reference_parity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "core/attention/attend.h"
#include "core/files/safetensors.h"
#include "core/sparsity/boundaries.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/planner.h"

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

// The fixture's settings as the product's parameters: its boundaries, scores and choices come out of make_planner().
SparsityParameters parameters_of(const Reference& ref) {
  SparsityParameters p;
  p.budget = std::max<std::int64_t>(1, ref.budget < 0 ? ref.tokens : ref.budget);
  p.sink_tokens = 0;
  p.local_tokens = std::clamp<std::int64_t>(ref.local_tokens, 1, p.budget);
  p.query_block = ref.query_block;
  // Half a chunk more, so that rounding down gives the fixture's number.
  p.chunks_per_block = (static_cast<double>(ref.most_boundaries) + 0.5) * static_cast<double>(ref.query_block) /
                       static_cast<double>(ref.tokens);
  p.boundary_window = ref.boundary_window;
  p.nms_distance = std::max<std::int64_t>(0, ref.nms_distance);
  p.instruction_tokens = ref.instruction;
  return p;
}

LayerInfo layer_of(const Reference& ref, std::int64_t window) {
  return {0, window, 1.0F / std::sqrt(static_cast<float>(ref.dim)), 0.0F};
}

void compare_labels(const Reference& ref, std::vector<ParityRow>& rows, const CancelToken* cancel) {
  const auto theirs = values_of(*ref.file, "label_ratios", ref.tokens);
  SparsityParameters p = parameters_of(ref);
  p.boundaries = BoundarySource::kAttentionMass;
  p.boundary_threshold = ref.label_threshold;
  const LayerInfo layer = layer_of(ref, ref.window);
  const PlanTrace planned = make_planner(p, {ref.tokens, {}})->plan(ref.q(), ref.k(), layer, cancel).trace;
  ParityRow row = compare_numbers("label_ratios", without_nan(planned.boundary_scores, 0.0F), theirs);
  std::vector<std::int32_t> edges = planned.boundaries;
  if (ref.window > 0) row.note = "softmax inside the window";

  // Labels come from dense attention; with a window the reference leaves its exact form to the mask that its caller
  // passes and bounds the rows by a constant, so the other readings are tried too and the one that fits is named.
  struct Reading {
    std::int64_t window, row_window;
    const char* note;
  };
  const std::vector<Reading> others = {{ref.window + 1, 0, "softmax inside the window and one key more"},
                                       {0, ref.window, "causal softmax, rows inside the window"},
                                       {0, 0, "causal softmax, all rows"}};
  for (std::size_t n = 0; n < others.size() && ref.window > 0 && !row.passed; ++n) {
    const AttentionMassRule rule{ref.boundary_window, layer.scale, 0.0F, others[n].window, others[n].row_window};
    const auto ratios = without_nan(attention_mass_ratios(ref.q(), ref.k(), rule, cancel), 0.0F);
    ParityRow other = compare_numbers("label_ratios", ratios, theirs);
    if (other.max_error >= row.max_error) continue;
    row = other;
    row.note = others[n].note;
    edges = select_boundaries(ratios, {ref.most_boundaries, ref.nms_distance, ref.label_threshold, ref.instruction});
  }
  rows.push_back(row);
  if (ref.file->contains("label_boundaries")) {
    rows.push_back(compare_boundaries("label_boundaries", edges, ref.file->int32s("label_boundaries")));
  }
}

void compare_predictor(const Reference& ref, std::vector<ParityRow>& rows, const CancelToken* cancel) {
  SparsityParameters p = parameters_of(ref);
  p.boundaries = BoundarySource::kLearned;
  const auto planner = make_planner(p, {ref.tokens, {}}, BoundaryPredictor::load(ref.file->path(), ref.predictor));
  const PlanTrace planned = planner->plan(ref.q(), ref.k(), layer_of(ref, ref.window), cancel).trace;
  const auto logits = without_nan(planned.boundary_scores, kExcludedLogit);
  rows.push_back(compare_numbers("predictor_logits", logits, values_of(*ref.file, "predictor_logits", ref.tokens)));
  if (!ref.file->contains("predicted_boundaries")) return;
  const auto theirs = ref.file->int32s("predicted_boundaries");
  ParityRow row = compare_boundaries("predicted_boundaries", planned.boundaries, theirs);
  if (!row.passed) {
    // Excluded positions stay candidates in the reference, after all others; the product has none there.
    const BoundaryRule rule{ref.most_boundaries, ref.nms_distance, std::nullopt, ref.instruction};
    ParityRow again = compare_boundaries("predicted_boundaries", select_boundaries(logits, rule), theirs);
    again.note = "with boundaries where the predictor is not defined";
    if (again.mismatches < row.mismatches) row = again;
  }
  rows.push_back(row);
}

// The heads of `view` with `rows` rows: those below `kept` as they are, the others zero.
std::vector<float> padded(const HeadsView& view, std::int64_t kept, std::int64_t rows) {
  std::vector<float> values(static_cast<std::size_t>(view.heads * rows * view.dim), 0.0F);
  for (std::int64_t h = 0; h < view.heads; ++h) {
    for (std::int64_t i = 0; i < kept; ++i) view.load_row(h, i, values.data() + (h * rows + i) * view.dim);
  }
  return values;
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

// The planner on the fixture's chunks, handed over as sentences. The reference bounds every group by a full block: here
// the rows that fill up the last one ask with zeros, which leaves the order of the chunks as it is.
class SelectionPlans {
 public:
  SelectionPlans(const Reference& ref, Pooling pooling, const std::vector<std::int32_t>& edges)
      : ref_(ref),
        rows_(std::max(ref.tokens, ref.groups() * ref.query_block)),
        q_(padded(ref.q(), ref.sparse_rows(), rows_)),
        k_(padded(ref.k(), ref.tokens, rows_)),
        parameters_(parameters_of(ref)),
        document_{rows_, {}} {
    parameters_.boundaries = BoundarySource::kSentence;
    parameters_.nms_distance = 0;
    parameters_.instruction_tokens = 0;
    parameters_.pooling = pooling;
    for (const std::int32_t edge : edges) {
      if (edge > 0) document_.sentence_ends.push_back(edge - 1);
    }
  }

  const Plan& plan(std::int64_t budget, std::int64_t local_tokens, const CancelToken* cancel) {
    Plan& plan = plans_[{budget, local_tokens}];
    if (plan.mask.rows() > 0) return plan;
    parameters_.budget = budget;
    parameters_.local_tokens = local_tokens;
    plan = make_planner(parameters_, document_)
               ->plan(heads_view(q_.data(), ref_.heads, rows_, ref_.dim),
                      heads_view(k_.data(), ref_.kv_heads, rows_, ref_.dim), layer_of(ref_, ref_.window), cancel);
    return plan;
  }

 private:
  const Reference& ref_;
  std::int64_t rows_;
  std::vector<float> q_, k_;
  SparsityParameters parameters_;
  DocumentInfo document_;
  std::map<std::pair<std::int64_t, std::int64_t>, Plan> plans_;  // by budget and local tokens
};

// How many of the reference's keys of group g contradict its own rule with our scores: the last local keys, then chunks
// in the order of the scores, one of them cut.
std::int64_t out_of_order(const Reference& ref, std::int64_t g, const std::set<std::int32_t>& keys,
                          const std::vector<std::int32_t>& edges, std::span<const float> scores) {
  const std::int64_t begin = ref.key_begin(g);
  const std::int64_t end = ref.key_end(g);
  const std::int64_t wanted = std::min(ref.kept_keys(), end - begin);
  const std::int64_t local = std::min(ref.local_tokens, wanted);
  std::int64_t wrong = std::abs(static_cast<std::int64_t>(keys.size()) - wanted);
  for (const std::int32_t key : keys) wrong += key < begin || key >= end ? 1 : 0;
  for (std::int64_t j = end - local; j < end; ++j) wrong += keys.contains(static_cast<std::int32_t>(j)) ? 0 : 1;
  float worst_whole = INFINITY, best_dropped = -INFINITY;
  std::vector<float> cut;
  for (std::size_t c = 0; c + 1 < edges.size(); ++c) {
    const std::int64_t from = std::max<std::int64_t>(edges[c], begin);
    const std::int64_t to = std::min<std::int64_t>(edges[c + 1], end - local);
    std::int64_t kept = 0;
    for (std::int64_t j = from; j < to; ++j) kept += keys.contains(static_cast<std::int32_t>(j)) ? 1 : 0;
    if (from >= to) continue;
    if (kept == to - from) {
      worst_whole = std::min(worst_whole, scores[c]);
    } else if (kept == 0) {
      best_dropped = std::max(best_dropped, scores[c]);
    } else {
      cut.push_back(scores[c]);
    }
  }
  if (worst_whole < best_dropped) ++wrong;
  for (const float score : cut) wrong += score > worst_whole || score < best_dropped || cut.size() > 1 ? 1 : 0;
  return wrong;
}

// The reference's choices against the planner's scores and masks. The reference pays for its local keys only, the
// product for all rows of the group: its budget is raised by those that the reference leaves out, and the group must
// keep the reference's keys and its own rows, no others.
ParityRow compare_selection(const Reference& ref, const std::string& name, Pooling pooling,
                            const std::vector<std::int32_t>& edges, const CancelToken* cancel) {
  ParityRow row;
  row.name = name;
  row.is_set = true;
  const auto listed = ref.file->int32s(name);
  const std::int64_t width = static_cast<std::int64_t>(listed.size()) / ref.groups();
  SelectionPlans plans(ref, pooling, edges);
  for (std::int64_t g = 0; g < ref.groups(); ++g) {
    const auto theirs = reference_keys(
        ref, std::span(listed).subspan(static_cast<std::size_t>(g * width), static_cast<std::size_t>(width)), g);
    row.compared += static_cast<std::int64_t>(theirs.size());
    const std::int64_t own_begin = g * ref.query_block;
    const std::int64_t own_end = own_begin + ref.query_block;
    std::set<std::int32_t> expected = theirs;
    for (std::int64_t j = own_begin; j < own_end; ++j) expected.insert(static_cast<std::int32_t>(j));
    const auto budget = static_cast<std::int64_t>(expected.size());
    const std::int64_t local = std::clamp<std::int64_t>(ref.local_tokens + own_end - ref.key_end(g), 1, budget);
    const Plan& plan = plans.plan(budget, local, cancel);

    const std::size_t chunks = plan.trace.boundaries.size() - 1;
    row.mismatches += out_of_order(ref, g, theirs, edges,
                                   std::span(plan.trace.chunk_scores).subspan(static_cast<std::size_t>(g) * chunks));
    std::set<std::int32_t> mine;
    for (const KeyRange range : plan.mask.ranges(0, g)) {
      for (std::int32_t j = range.begin; j < range.end; ++j) {
        if (j >= std::min(ref.key_begin(g), own_begin)) mine.insert(j);  // what only earlier rows of the group see
      }
    }
    std::vector<std::int32_t> different;
    std::set_symmetric_difference(mine.begin(), mine.end(), expected.begin(), expected.end(),
                                  std::back_inserter(different));
    // Which tokens of the one chunk that is cut are kept is arbitrary in the reference; how many is not.
    std::set<std::int64_t> in_chunks;
    for (const std::int32_t key : different) {
      in_chunks.insert(std::upper_bound(edges.begin(), edges.end(), key) - edges.begin());
    }
    if (mine.size() != expected.size() || in_chunks.size() > 1) {
      row.mismatches += std::max<std::int64_t>(1, static_cast<std::int64_t>(different.size()));
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

// Whole blocks of keys and of rows: a window counts in blocks, and zeros fill up the last block, which is its own.
ParityRow compare_block_sparse(const Reference& ref, const CancelToken* cancel) {
  const std::int64_t block = ref.query_block;
  const auto edges = fixed_boundaries(ref.tokens, block);
  const std::int64_t rows = (static_cast<std::int64_t>(edges.size()) - 1) * block;
  const std::int64_t window = ref.window > 0 ? std::max<std::int64_t>(1, ref.window / block) * block : 0;
  SparsityParameters p = parameters_of(ref);
  p.method = Method::kBlockSparse;
  p.block_size = block;
  p.instruction_tokens = 0;
  const std::vector<float> q = padded(ref.q(), ref.tokens, rows);
  const std::vector<float> k = padded(ref.k(), ref.tokens, rows);
  const KeyMask mask = make_planner(p, {rows, {}})
                           ->plan(heads_view(q.data(), ref.heads, rows, ref.dim),
                                  heads_view(k.data(), ref.kv_heads, rows, ref.dim), layer_of(ref, window), cancel)
                           .mask;
  std::vector<IndexList> lists;
  for (std::int64_t g = 0; g < mask.groups(); ++g) {
    const std::int64_t begin = window > 0 ? std::max<std::int64_t>(0, (g + 1) * block - window) : 0;
    IndexList list;
    for (const KeyRange range : mask.ranges(0, g)) {
      for (std::int64_t j = std::max<std::int64_t>(range.begin, begin); j < range.end && j < ref.tokens; ++j) {
        list.push_back(static_cast<std::int32_t>(j));
      }
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
