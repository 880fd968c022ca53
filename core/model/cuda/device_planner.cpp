#include "core/model/cuda/device_planner_internal.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "core/model/cuda/device_scores_internal.h"
#include "core/sparsity/chunk_scores.h"
#include "core/sparsity/cuda/group_keys.h"
#include "core/sparsity/planner_parts.h"
#include "core/sparsity/token_refinement.h"

namespace dhsa::on_cuda {
namespace {

using cuda::small;

constexpr std::int64_t kScratchBytes = std::int64_t{1} << 26U;  // about what a step takes beside its results
constexpr float kUndefined = std::numeric_limits<float>::quiet_NaN();

cuda::MaskBuffers buffers_of(const MaskOnDevice& mask, std::int64_t most_ranges) {
  const cuda::DeviceMask view = mask.view();
  const auto writable = [](const std::int32_t* pointer) { return const_cast<std::int32_t*>(pointer); };
  return {writable(view.start), writable(view.count), writable(view.ranges), writable(view.offsets),
          small(most_ranges)};
}

// Chunk edges, on the device and, where nothing of the text's keys decides them, on the host.
struct Chunks {
  at::Tensor edges, count;          // int [most + 1], [1]
  at::Tensor scores;                // float [L] of scored boundaries
  std::vector<float> known_scores;  // of boundaries that the host knows
  std::vector<std::int32_t> known;  // edges that the host knows
  std::int64_t most = 0;
  std::int64_t shortest = 1;  // keys of any chunk but those at the ends and at the instruction
  bool aligned = false;       // all but few begin with a tile of keys

  [[nodiscard]] cuda::DeviceChunks view() const {
    return {data<std::int32_t>(edges), data<std::int32_t>(count), small(most)};
  }
  // Pieces of chunks that hold so many keys: whole ones, and some that are short or cut.
  [[nodiscard]] std::int64_t most_pieces(std::int64_t keys) const {
    return std::min(most, keys / shortest + 6) + 2;  // and the sinks and local keys
  }
};

at::Tensor ints(const std::vector<std::int32_t>& values) { return upload(values).view(at::kInt); }

Chunks known_chunks(std::vector<std::int32_t> edges) {
  Chunks chunks;
  chunks.edges = ints(edges);
  chunks.most = static_cast<std::int64_t>(edges.size()) - 1;
  chunks.count = ints({small(chunks.most)});
  chunks.known = std::move(edges);
  return chunks;
}

}  // namespace

struct DevicePlanner::State {
  // Query groups of one kind of layer, and where their masks are written.
  struct Groups {
    QueryGroups rows;
    at::Tensor edges;  // int [groups + 1]
    std::vector<cuda::GroupKeys> keys;
    at::Tensor device_keys;
    MaskOnDevice mask;
    std::int64_t most_ranges = 0;
    // Rows that speak for each group.
    std::vector<std::int64_t> asked;
    std::vector<std::int32_t> asked_start;
    at::Tensor device_asked, device_asked_start, asked_index;
    // Refinement: which chunks are candidates, and the room that takes.
    std::vector<cuda::GroupKeys> candidates;
    std::vector<cuda::GroupRoom> room;
    at::Tensor device_candidates, device_room;
  };
  struct Kind {
    std::optional<Groups> groups;
    std::optional<Chunks> chunks;
    at::Tensor chunk_scores;  // float [mask heads, groups, chunks.most]
    bool planned = false;
    bool shared = false;
  };

  PlannerInputs inputs;
  SparsityParameters& p = inputs.parameters;
  std::int64_t tokens;
  std::optional<PredictorOnDevice> predictor;
  Kind kinds[2];  // global and local layers
  std::optional<Chunks> chunks;
  Kind* last = nullptr;

  // Of the layer at hand.
  at::Tensor q, k;
  LayerInfo layer;
  const CancelToken* cancel = nullptr;
  int mask_heads = 1;

  State(const PlannerInputs& from, std::int64_t length) : inputs(from), tokens(length) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  [[nodiscard]] at::TensorOptions options(at::ScalarType type) const { return q.options().dtype(type); }
  [[nodiscard]] int heads() const { return small(q.size(0)); }
  [[nodiscard]] int kv_heads() const { return small(k.size(0)); }
  [[nodiscard]] int dim() const { return small(q.size(2)); }
  [[nodiscard]] bool refined() const {
    return p.method == Method::kDhsa && p.candidates > 0 && p.selection == Selection::kBudget &&
           (!layer.local() || p.budget < layer.window);
  }
  [[nodiscard]] bool by_mass() const {
    return p.method == Method::kDhsa && (p.scores != ChunkScoring::kMean || p.score_rows > 0);
  }

  // ---- Boundaries

  Chunks find_chunks() {
    if (p.method == Method::kBlockSparse) {
      Chunks blocks = known_chunks(fixed_boundaries(tokens, p.block_size));
      blocks.shortest = p.block_size;
      return blocks;
    }
    if (p.boundaries == BoundarySource::kFixed) {
      Chunks fixed = known_chunks(fixed_boundaries(tokens, p.chunk_length, p.instruction_tokens));
      fixed.shortest = p.chunk_length;
      fixed.aligned = p.chunk_length % cuda::kTileKeys == 0;
      fixed.known_scores = edge_scores(fixed.known, tokens);
      return fixed;
    }
    if (p.boundaries == BoundarySource::kSentence) {
      std::vector<float> scores = sentence_scores(inputs.document, tokens);
      Chunks sentences =
          known_chunks(select_boundaries(scores, sentence_rule(tokens, p.nms_distance, p.instruction_tokens)));
      sentences.shortest = p.nms_distance + 1;
      sentences.known_scores = std::move(scores);
      return sentences;
    }
    Chunks scored;
    scored.shortest = p.nms_distance + 1;
    if (p.boundaries == BoundarySource::kLearned) {
      inputs.predictor->check_keys(k.size(0), k.size(2));
      if (!predictor) predictor.emplace(*inputs.predictor);
      scored.scores = predictor->logits(k, cancel);
    } else if (p.boundaries == BoundarySource::kAttentionMass) {
      scored.scores = attention_mass_ratios(q, k, p.boundary_window, layer, cancel);
    } else {
      scored.scores = at::empty({tokens}, options(at::kFloat));
      const at::Tensor sums = at::empty({tokens, 2}, options(at::kFloat));
      check(cuda::key_shift_scores(heads_of(k), small(tokens), kv_heads(), dim(), small(p.boundary_window),
                                   data<float>(sums), data<float>(scored.scores), stream()));
    }
    const cuda::DeviceBoundaryRule rule{small(tokens), small(target_chunks(p, tokens)),
                                        small(std::min(p.nms_distance, tokens)), p.boundary_threshold,
                                        small(std::min(p.instruction_tokens, tokens))};
    scored.most = rule.most + 2;
    scored.edges = at::empty({scored.most + 1}, options(at::kInt));
    scored.count = at::empty({1}, options(at::kInt));
    const at::Tensor state = at::empty({tokens}, options(at::kByte)), accepted = at::empty({tokens}, options(at::kInt));
    check(cuda::choose_boundaries(rule, data<float>(scored.scores), data<std::int8_t>(state),
                                  data<std::int32_t>(accepted), data<std::int32_t>(scored.edges),
                                  data<std::int32_t>(scored.count), stream()));
    return scored;
  }

  static std::vector<std::int32_t> edges_on_host(const Chunks& from) {
    if (!from.known.empty()) return from.known;
    const at::Tensor edges = from.edges.cpu(), count = from.count.cpu();
    const auto* first = data<std::int32_t>(edges);
    return {first, first + *data<std::int32_t>(count) + 1};
  }

  // ---- Groups

  Groups make_groups() const {
    Groups groups;
    const bool by_chunks = p.method == Method::kDhsa && p.query_grouping == QueryGrouping::kChunks;
    const std::vector<std::int32_t> edges = by_chunks ? edges_on_host(*chunks) : std::vector<std::int32_t>();
    groups.rows = query_groups(tokens, p.method == Method::kTokenTopK ? p.oracle_rows : p.query_block,
                               p.instruction_tokens, edges);
    groups.edges = ints(groups.rows.rows);
    groups.keys = cuda::group_keys(p, groups.rows, layer.window, refined());
    groups.device_keys = upload(groups.keys);
    if (p.method == Method::kTokenTopK) return groups;  // its masks are put together block by block
    if (by_mass() || refined()) ask_rows(groups);
    if (refined()) find_candidates(groups);
    const std::int64_t chosen = cuda::most_chosen(groups.keys);
    const bool by_piece = p.method != Method::kVerticalSlash && !refined();
    groups.most_ranges = by_piece ? chunks->most_pieces(chosen) : chosen + 2;
    groups.mask = MaskOnDevice(groups.rows.rows, mask_heads, layer.window, groups.most_ranges, q);
    return groups;
  }

  void ask_rows(Groups& groups) const {
    const ScoredRows rule{p.score_rows, p.score_last_rows};
    groups.asked_start = {0};
    for (std::int64_t g = 0; g < groups.rows.count(); ++g) {
      std::vector<std::int64_t> rows = rule.of_group(groups.rows.begin(g), groups.rows.end(g), tokens);
      if (rows.empty()) rows.push_back(groups.rows.end(g) - 1);  // the mean query sees what the last row sees
      groups.asked.insert(groups.asked.end(), rows.begin(), rows.end());
      groups.asked_start.push_back(small(static_cast<std::int64_t>(groups.asked.size())));
    }
    groups.device_asked = ints({groups.asked.begin(), groups.asked.end()});
    groups.device_asked_start = ints(groups.asked_start);
    groups.asked_index = upload(groups.asked).view(at::kLong);
  }

  void find_candidates(Groups& groups) const {
    std::int64_t logit = 0, tile = 0;
    const std::int64_t per_mask = heads() / mask_heads;
    for (std::size_t g = 0; g < groups.keys.size(); ++g) {
      const std::int64_t begin = groups.keys[g].row_begin, end = groups.keys[g].row_end;
      const GroupReach reach = group_reach(begin, end, layer.window, p.budget);
      const bool asks_all = p.score_rows > 0 && end > groups.rows.rows.back() - p.score_last_rows;
      std::int64_t most_tiles = 0;
      if (groups.keys[g].whole != 0) {
        groups.candidates.push_back(cuda::whole_group(begin, end, end));  // nobody asks
      } else {
        groups.candidates.push_back(asks_all ? cuda::whole_group(begin, end, reach.begin)
                                             : cuda::chunk_group(p, begin, end, layer.window, p.candidates));
        const cuda::GroupKeys& from = groups.candidates.back();
        const std::int64_t all = (end + cuda::kTileKeys - 1) / cuda::kTileKeys - from.key_begin / cuda::kTileKeys;
        const std::int64_t chosen = std::max(0, from.choose);
        const std::int64_t keys = chosen + (from.sink_end - from.key_begin) + (from.row_end - from.local_begin);
        // A piece begins and ends inside a tile at worst; where chunks begin with tiles, only few pieces do.
        const std::int64_t partial = 2 * (chunks->aligned ? 6 : chunks->most_pieces(chosen));
        most_tiles = from.whole != 0 ? all : std::min(all, keys / cuda::kTileKeys + partial);
      }
      groups.room.push_back({logit, small(tile), small(most_tiles)});
      tile += most_tiles;
      logit += per_mask * (groups.asked_start[g + 1] - groups.asked_start[g]) * most_tiles * cuda::kTileKeys;
    }
    groups.room.push_back({logit, small(tile), 0});
    groups.device_candidates = upload(groups.candidates);
    groups.device_room = upload(groups.room);
  }

  [[nodiscard]] cuda::GroupSpan all_of(const Groups& groups) const {
    const int count = small(groups.rows.count());
    return {data<cuda::GroupKeys>(groups.device_keys), count, 0, count, mask_heads, 0, mask_heads};
  }

  // ---- Scores

  // Rows of q in blocks of their own: the mean over each group and `joined` heads.
  [[nodiscard]] cuda::PooledRows group_means(const Groups& groups, int joined, const at::Tensor& out) const {
    return {heads_of(q),
            heads(),
            joined,
            {data<std::int32_t>(groups.edges), nullptr, small(groups.rows.count())},
            data<float>(out)};
  }

  at::Tensor similarity(const Groups& groups) const {
    const int key_heads = std::min(mask_heads, kv_heads());
    const std::int64_t count = groups.rows.count(), most = chunks->most;
    const bool sqrt_mean = p.method == Method::kDhsa && p.pooling == Pooling::kSqrtMean;
    const at::Tensor of_keys = at::empty({key_heads, most, dim()}, options(at::kFloat));
    const at::Tensor of_groups = at::empty({mask_heads, count, dim()}, options(at::kFloat));
    const cuda::PooledRows keys{heads_of(k), kv_heads(), kv_heads() / key_heads, chunks->view(), data<float>(of_keys)};
    check(cuda::pool_rows(keys, group_means(groups, heads() / mask_heads, of_groups), dim(), sqrt_mean, stream()));
    return at::matmul(of_groups.view({key_heads, mask_heads / key_heads * count, dim()}), of_keys.transpose(1, 2))
        .view({mask_heads, count, most});
  }

  [[nodiscard]] static cuda::AskedRows asked_rows(const Groups& groups, std::int64_t first, std::int64_t n) {
    return {data<std::int32_t>(groups.device_asked), data<std::int32_t>(groups.device_asked_start), small(first),
            small(n)};
  }

  // [heads, n, dim] float32: the asked rows [first, first + n), or the groups' mean queries.
  at::Tensor asked_queries(const Groups& groups, std::int64_t first, std::int64_t n) const {
    if (p.score_rows > 0) return q.index_select(1, groups.asked_index.narrow(0, first, n)).to(at::kFloat);
    const at::Tensor means = at::empty({q.size(0), groups.rows.count(), q.size(2)}, options(at::kFloat));
    check(cuda::pool_rows({}, group_means(groups, 1, means), dim(), false, stream()));
    return means.narrow(1, first, n);
  }

  // [heads, n, width] float32 for one part.
  [[nodiscard]] at::Tensor query_features(const at::Tensor& queries, int part) const {
    const at::Tensor scaled = queries.mul(static_cast<double>(layer.scale));
    switch (p.scores) {
      case ChunkScoring::kMean:
        break;
      case ChunkScoring::kMoments:
        return at::cat({scaled, scaled.square().mul_(0.5)}, 2);
      case ChunkScoring::kBounds:
        return at::cat({scaled, scaled.abs()}, 2);
      case ChunkScoring::kBands: {
        const at::Tensor place = at::arange(q.size(2), options(at::kLong)).remainder(q.size(2) / 2);
        const at::Tensor fast = place.lt(q.size(2) / 4);
        return scaled.mul(part == 0 ? fast : fast.logical_not());
      }
    }
    return scaled;
  }

  // visit(first group, groups) for runs of groups, each as long as bytes(first, groups) stay within kScratchBytes.
  template <class Bytes, class Visit>
  void each_run(std::int64_t first, std::int64_t count, std::int64_t step, const Bytes& bytes,
                const Visit& visit) const {
    while (first < count) {
      if (cancel != nullptr) cancel->check();
      std::int64_t end = std::min(count, first + step);
      while (end < count && bytes(first, std::min(count, end + step)) <= kScratchBytes)
        end = std::min(count, end + step);
      visit(first, end);
      first = end;
    }
  }

  at::Tensor mass(const Groups& groups) const {
    const int parts = p.scores == ChunkScoring::kBands ? 2 : 1;
    const bool wide = p.scores == ChunkScoring::kMoments || p.scores == ChunkScoring::kBounds;
    const std::int64_t width = wide ? 2 * q.size(2) : q.size(2), most = chunks->most, per_kv = heads() / kv_heads();
    const at::Tensor features = at::empty({parts, k.size(0), most, width}, options(at::kFloat));
    check(cuda::chunk_features(heads_of(k), kv_heads(), dim(), static_cast<cuda::ChunkFeatures>(p.scores),
                               chunks->view(), data<float>(features), stream()));
    at::Tensor scores = at::empty({mask_heads, groups.rows.count(), most}, options(at::kFloat));
    const auto asked = [&](std::int64_t g) -> std::int64_t { return groups.asked_start[static_cast<std::size_t>(g)]; };
    // Chunks that rows [begin, end) see: all, where the host does not know the edges.
    const auto seen = [&](std::int64_t begin, std::int64_t end) -> std::pair<std::int64_t, std::int64_t> {
      const std::vector<std::int32_t>& edges = chunks->known;
      if (edges.empty()) return {0, most};
      const std::int64_t key = layer.local() ? std::max<std::int64_t>(0, begin - layer.window + 1) : 0;
      return {std::upper_bound(edges.begin(), edges.end(), key) - edges.begin() - 1,
              std::lower_bound(edges.begin(), edges.end() - 1, end) - edges.begin()};
    };
    each_run(
        0, groups.rows.count(), 1,
        // Short runs, so that little is multiplied that no row sees, and logits stay in the cache.
        [&](std::int64_t g, std::int64_t end) { return 4 * parts * heads() * (asked(end) - asked(g)) * most * 4; },
        [&](std::int64_t g, std::int64_t end) {
          const std::int64_t n = asked(end) - asked(g);
          const auto [first, last_seen] = seen(groups.rows.begin(g), groups.rows.end(end - 1));
          const std::int64_t columns = last_seen - first;
          const at::Tensor queries = asked_queries(groups, asked(g), n);
          const at::Tensor logits = at::empty({parts, k.size(0), per_kv * n, columns}, options(at::kFloat));
          for (int part = 0; part < parts; ++part) {
            at::Tensor out = logits.select(0, part);
            at::bmm_out(out, query_features(queries, part).reshape({k.size(0), per_kv * n, width}),
                        features.select(0, part).narrow(1, first, columns).transpose(1, 2));
          }
          cuda::MassScores work;
          work.span = all_of(groups);
          work.span.first_group = small(g);
          work.span.groups = small(end - g);
          work.asked = asked_rows(groups, asked(g), n);
          work.chunks = chunks->view();
          work.logits = data<float>(logits);
          work.first_chunk = small(first);
          work.columns = small(columns);
          work.parts = parts;
          work.heads = heads();
          work.window = small(layer.window);
          work.softcap = layer.softcap;
          work.less_log_length = p.scores == ChunkScoring::kBounds;
          work.scores = data<float>(scores);
          check(cuda::mass_scores(work, stream()));
        });
    return scores;
  }

  // ---- Selection

  void refine(const Groups& groups, const at::Tensor& scores) {
    constexpr std::int64_t kBatch = TokenRefinement::kBatch;
    const std::int64_t count = groups.rows.sparse;
    const auto room = [&](std::int64_t g) -> const cuda::GroupRoom& {
      return groups.room[static_cast<std::size_t>(g)];
    };
    const auto asked = [&](std::int64_t g) -> std::int64_t { return groups.asked_start[static_cast<std::size_t>(g)]; };
    // A run begins with the group before its first batch, which is heard by the groups after it.
    const auto from = [](std::int64_t first) { return std::max<std::int64_t>(0, first - 1); };
    const auto bytes_per_head = [&](std::int64_t first, std::int64_t end) {
      return 4 * (room(end).first_logit - room(from(first)).first_logit +
                  2 * cuda::kTileKeys * std::int64_t{room(end).first_tile - room(from(first)).first_tile});
    };
    each_run(
        0, count, kBatch, [&](std::int64_t first, std::int64_t end) { return mask_heads * bytes_per_head(first, end); },
        [&](std::int64_t first, std::int64_t end) {
          const std::int64_t g = from(first);
          const std::int64_t together = std::clamp<std::int64_t>(
              kScratchBytes / std::max<std::int64_t>(1, bytes_per_head(first, end)), 1, mask_heads);
          cuda::Refinement work;
          work.span = all_of(groups);
          work.span.first_group = small(g);
          work.span.groups = small(end - g);
          work.first_chosen = small(first);
          work.batch = kBatch;
          work.carry = TokenRefinement::kCarry;
          const std::int64_t n = asked(end) - asked(g);
          work.asked = asked_rows(groups, asked(g), n);
          const at::Tensor queries = exact_queries(groups, asked(g), n);
          work.queries = queries.data_ptr();
          work.parts = small(queries.size(0));
          work.k = heads_of(k);
          work.rows = small(tokens);
          work.heads = heads();
          work.kv_heads = kv_heads();
          work.dim = dim();
          work.window = small(layer.window);
          work.scale = layer.scale;
          work.softcap = layer.softcap;
          for (std::int64_t i = g; i < end; ++i) {
            work.most_tiles = std::max(work.most_tiles, room(i).most_tiles);
            work.most_asked = std::max(work.most_asked, small(asked(i + 1) - asked(i)));
          }
          work.tiles.room = data<cuda::GroupRoom>(groups.device_room);
          work.tiles.per_head = room(end).first_tile - room(g).first_tile;
          work.logits_per_head = room(end).first_logit - room(g).first_logit;
          const std::int64_t tiles = together * work.tiles.per_head, slots = together * (end - g);
          const at::Tensor tile = at::empty({tiles}, options(at::kInt)), keys = at::empty({tiles}, options(at::kShort)),
                           counts = at::empty({slots}, options(at::kInt)),
                           logits = at::empty({together * work.logits_per_head}, options(at::kFloat)),
                           softmax =
                               at::empty({slots * (heads() / mask_heads) * work.most_asked * 2}, options(at::kFloat)),
                           own = at::empty({tiles * cuda::kTileKeys}, options(at::kFloat)),
                           ranks = at::empty({tiles * cuda::kTileKeys}, options(at::kInt));
          work.tiles.tile = data<std::int32_t>(tile);
          work.tiles.keys = data<std::uint16_t>(keys);
          work.tiles.count = data<std::int32_t>(counts);
          work.logits = data<float>(logits);
          work.softmax = data<float>(softmax);
          work.own = data<float>(own);
          work.ranks = data<std::uint32_t>(ranks);
          cuda::ChunkChoice choice{work.span, chunks->view(), data<float>(scores), by_mass(), false, 1};
          choice.span.keys = data<cuda::GroupKeys>(groups.device_candidates);
          for (std::int64_t head = 0; head < mask_heads; head += together) {
            work.span.first_head = choice.span.first_head = small(head);
            work.span.heads = choice.span.heads = small(std::min(together, mask_heads - head));
            check(cuda::candidate_tiles(choice, work.tiles, stream()));
            check(cuda::refine_tokens(work, buffers_of(groups.mask, groups.most_ranges), stream()));
          }
        });
    // Rows of the instruction.
    cuda::ChunkChoice rest{all_of(groups), chunks->view(), data<float>(scores), by_mass(), false, 1};
    rest.span.first_group = small(count);
    rest.span.groups = small(groups.rows.count() - count);
    check(cuda::select_chunks(rest, buffers_of(groups.mask, groups.most_ranges), stream()));
  }

  // [parts, heads, n, dim] bfloat16 whose sum over parts are the asked queries: a mean query takes three.
  at::Tensor exact_queries(const Groups& groups, std::int64_t first, std::int64_t n) const {
    if (p.score_rows > 0) return q.index_select(1, groups.asked_index.narrow(0, first, n)).unsqueeze(0).contiguous();
    at::Tensor rest = asked_queries(groups, first, n).contiguous();
    std::vector<at::Tensor> parts;
    for (int part = 0; part < 3; ++part) {
      parts.push_back(rest.to(at::kBFloat16));
      rest = rest - parts.back().to(at::kFloat);
    }
    return at::stack(parts);
  }

  void plan_chunks(Kind& kind) {
    const bool known = chunks && !chunks->known.empty();
    if (!known && (!chunks || !p.share_boundaries)) chunks = find_chunks();
    const bool by_chunks = p.method == Method::kDhsa && p.query_grouping == QueryGrouping::kChunks;
    if (!kind.groups || (by_chunks && !known && !p.share_boundaries)) kind.groups = make_groups();
    const Groups& groups = *kind.groups;
    kind.chunks = chunks;
    kind.chunk_scores = by_mass() ? mass(groups) : similarity(groups);
    if (refined()) return refine(groups, kind.chunk_scores);
    check(cuda::select_chunks({all_of(groups), chunks->view(), data<float>(kind.chunk_scores), by_mass(),
                               p.method == Method::kDhsa && p.selection == Selection::kThreshold, p.mass},
                              buffers_of(groups.mask, groups.most_ranges), stream()));
  }

  void plan_lines(Kind& kind) {
    if (!kind.groups) kind.groups = make_groups();
    const Groups& groups = *kind.groups;
    constexpr std::int64_t kProbes = 64;
    const std::int64_t probe_begin = std::max<std::int64_t>(0, tokens - kProbes);
    const at::Tensor columns = at::zeros({mask_heads, tokens}, options(at::kFloat));
    const at::Tensor diagonals = at::zeros({mask_heads, tokens}, options(at::kFloat));
    const at::Tensor key = at::arange(probe_begin, tokens, options(at::kLong)).unsqueeze(1) -
                           at::arange(tokens, options(at::kLong)).unsqueeze(0);  // on each row's diagonals
    const at::Tensor inside = key.ge(0), place = key.clamp_min(0);
    const std::int64_t per_kv = heads() / kv_heads(), per_mask = heads() / mask_heads;
    for (std::int64_t kv = 0; kv < kv_heads(); ++kv) {
      const at::Tensor rows = probabilities(q, k, kv, layer, probe_begin, tokens, 0);
      for (std::int64_t h = 0; h < per_kv; ++h) {
        const std::int64_t m = (kv * per_kv + h) / per_mask;
        const at::Tensor of_head = rows.select(0, h);
        columns.select(0, m).add_(of_head.sum(0));
        diagonals.select(0, m).add_(of_head.gather(1, place).mul_(inside).sum(0));
      }
    }
    const at::Tensor column_order = std::get<1>(at::sort(columns, true, 1, true));
    const at::Tensor diagonal_order = std::get<1>(at::sort(diagonals, true, 1, true));
    const at::Tensor column_count = columns.gt(0).sum(1), diagonal_count = diagonals.gt(0).sum(1);
    check(cuda::select_lines({all_of(groups), data<std::int64_t>(column_order), data<std::int64_t>(diagonal_order),
                              data<std::int64_t>(column_count), data<std::int64_t>(diagonal_count), small(tokens)},
                             buffers_of(groups.mask, groups.most_ranges), stream()));
  }

  void plan_oracle(Kind& kind) {
    if (!kind.groups) kind.groups = make_groups();
    Groups& groups = *kind.groups;
    std::vector<at::Tensor> starts, counts, ranges, offsets;
    std::int64_t before = 0;  // ranges of the blocks before
    for (std::int64_t g = 0; g < groups.rows.count();) {
      if (cancel != nullptr) cancel->check();
      const std::int64_t row_begin = groups.rows.begin(g);
      const std::int64_t key_begin = layer.local() ? std::max<std::int64_t>(0, row_begin - layer.window + 1) : 0;
      const std::int64_t most_rows = std::min<std::int64_t>(512, block_rows(q.size(0), row_begin + 512 - key_begin));
      const bool sparse = g < groups.rows.sparse;
      std::int64_t end = g + 1;
      while (end < (sparse ? groups.rows.sparse : groups.rows.count()) &&
             groups.rows.end(end) - row_begin <= most_rows) {
        ++end;
      }
      const std::int64_t width = groups.rows.end(end - 1) - key_begin;
      const std::int64_t chosen = cuda::most_chosen(
          std::span(groups.keys).subspan(static_cast<std::size_t>(g), static_cast<std::size_t>(end - g)));
      const at::Tensor sums = sparse ? group_sums(groups, g, end, key_begin) : at::empty({0}, options(at::kFloat));
      const std::int64_t slots = mask_heads * (end - g), most = chosen + 2;
      const at::Tensor start = at::empty({slots}, options(at::kInt)), count = at::empty({slots}, options(at::kInt)),
                       range = at::empty({slots, most}, options(at::kLong)),
                       offset = at::empty({slots, most}, options(at::kInt));
      cuda::GroupSpan span = all_of(groups);
      span.first_group = small(g);
      span.groups = small(end - g);
      check(cuda::select_keys(span, data<float>(sums), small(key_begin), small(width),
                              {data<std::int32_t>(start), data<std::int32_t>(count), data<std::int32_t>(range),
                               data<std::int32_t>(offset), small(most)},
                              stream()));
      // Most rows have far fewer ranges than there is room for.
      const at::Tensor used = at::arange(most, options(at::kInt)).unsqueeze(0).lt(count.unsqueeze(1));
      ranges.push_back(range.masked_select(used));
      offsets.push_back(offset.masked_select(used));
      starts.push_back(at::cumsum(count, 0).sub_(count).add_(before).view({mask_heads, end - g}));
      counts.push_back(count.view({mask_heads, end - g}));
      before += ranges.back().size(0);
      if (before > std::numeric_limits<std::int32_t>::max()) refuse_ranges();
      g = end;
    }
    groups.mask = MaskOnDevice(groups.rows.rows, mask_heads, layer.window, at::cat(starts, 1).to(at::kInt).contiguous(),
                               at::cat(counts, 1).contiguous(), at::cat(ranges), at::cat(offsets));
  }

  // Attention summed over the rows of groups [g, end) and the heads of each mask: [mask heads, groups, keys].
  at::Tensor group_sums(const Groups& groups, std::int64_t g, std::int64_t end, std::int64_t key_begin) const {
    const std::int64_t row_begin = groups.rows.begin(g), row_end = groups.rows.end(end - 1), rows = row_end - row_begin;
    const std::int64_t per_kv = heads() / kv_heads(), per_mask = heads() / mask_heads;
    at::Tensor sums = at::zeros({mask_heads, rows, row_end - key_begin}, options(at::kFloat));
    for (std::int64_t kv = 0; kv < kv_heads(); ++kv) {
      const at::Tensor of_rows = probabilities(q, k, kv, layer, row_begin, row_end, key_begin);
      for (std::int64_t h = 0; h < per_kv; ++h) sums.select(0, (kv * per_kv + h) / per_mask).add_(of_rows.select(0, h));
    }
    if (p.oracle_rows == 1) return sums;
    const std::int64_t full = rows / p.oracle_rows;
    std::vector<at::Tensor> parts{
        sums.narrow(1, 0, full * p.oracle_rows).view({mask_heads, full, p.oracle_rows, sums.size(2)}).sum(2)};
    if (full < end - g) parts.push_back(sums.narrow(1, full * p.oracle_rows, rows - full * p.oracle_rows).sum(1, true));
    return at::cat(parts, 1);
  }

  const MaskOnDevice& plan() {
    Kind& kind = kinds[layer.local() ? 1 : 0];
    last = &kind;
    kind.shared = p.share_masks && kind.planned;
    if (!kind.shared) {
      mask_heads = p.method == Method::kBlockSparse ? 1 : small(mask_head_count(p.mask_heads, heads(), kv_heads()));
      switch (p.method) {
        case Method::kVerticalSlash:
          plan_lines(kind);
          break;
        case Method::kTokenTopK:
          plan_oracle(kind);
          break;
        default:
          plan_chunks(kind);
      }
      kind.planned = true;
    }
    return kind.groups->mask;
  }
};

DevicePlanner::DevicePlanner(const PlannerInputs& inputs, std::int64_t tokens)
    : state_(std::make_unique<State>(inputs, tokens)) {}
DevicePlanner::~DevicePlanner() = default;

const MaskOnDevice& DevicePlanner::plan(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer,
                                        const CancelToken* cancel) {
  State& s = *state_;
  s.q = q;
  s.k = k;
  s.layer = layer;
  s.cancel = cancel;
  const MaskOnDevice& mask = s.plan();
  s.q = s.k = at::Tensor();
  return mask;
}

Plan DevicePlanner::host_plan() const {
  const State::Kind& kind = *state_->last;
  Plan plan;
  plan.mask = kind.groups->mask.download();
  plan.shared = kind.shared;
  if (!kind.chunks) return plan;
  const Chunks& chunks = *kind.chunks;
  plan.trace.boundaries = State::edges_on_host(chunks);
  plan.trace.boundary_scores = chunks.known_scores;
  if (chunks.scores.defined()) {
    const at::Tensor scores = chunks.scores.cpu();
    plan.trace.boundary_scores.assign(data<float>(scores), data<float>(scores) + scores.size(0));
  }
  const at::Tensor scores = kind.chunk_scores.cpu();
  const std::size_t count = plan.trace.boundaries.size() - 1;
  const std::vector<std::int32_t>& rows = kind.groups->rows.rows;
  for (std::int64_t slot = 0; slot < scores.size(0) * scores.size(1); ++slot) {
    const float* row = data<float>(scores) + slot * scores.size(2);
    const std::int32_t end = rows[static_cast<std::size_t>(slot % scores.size(1)) + 1];
    for (std::size_t c = 0; c < count; ++c) {
      plan.trace.chunk_scores.push_back(plan.trace.boundaries[c] < end ? row[c] : kUndefined);
    }
  }
  return plan;
}

}  // namespace dhsa::on_cuda
