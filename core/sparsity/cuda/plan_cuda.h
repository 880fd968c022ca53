// Planning on CUDA, from queries and keys to key ranges without the host: raw device pointers in, raw device pointers
// out, no libtorch. Each step does what the planners of core/sparsity do on the CPU; what a group must keep and how
// many keys it may choose is decided there, on the host (GroupKeys). Choices differ only where two scores lie within
// the rounding of float32 sums. Functions enqueue on `stream` and return nullptr, or CUDA's words for what went wrong.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/sparsity/cuda/device_mask.h"

namespace dhsa::cuda {

// One query group: rows [row_begin, row_end), allowed keys [key_begin, row_end).
struct GroupKeys {
  std::int32_t row_begin, row_end, key_begin;
  std::int32_t sink_end;     // [key_begin, sink_end) and
  std::int32_t local_begin;  // [local_begin, row_end) are kept whatever the scores say
  std::int32_t choose;       // keys between them to choose; none if not positive
  std::int32_t at_least;     // chosen by a threshold whatever their mass
  std::int32_t whole;        // 1: all allowed keys are kept, nothing is chosen
};

// Chunks [edges[c], edges[c + 1]), c < *count <= most.
struct DeviceChunks {
  const std::int32_t* edges = nullptr;
  const std::int32_t* count = nullptr;
  int most = 0;
};

// Where a mask is written; slot s = head * groups + g has room for most_ranges ranges from s * most_ranges on.
struct MaskBuffers {
  std::int32_t* start = nullptr;    // [slots]
  std::int32_t* count = nullptr;    // [slots]
  std::int32_t* ranges = nullptr;   // [slots, most_ranges, 2]
  std::int32_t* offsets = nullptr;  // [slots, most_ranges]
  int most_ranges = 0;
};

// r_j = 1 - cos(mean of the w keys up to j, mean of the w keys after j); NaN where a window leaves the sequence.
// `sums` [rows, 2] is scratch. Heads times dim must be even.
[[nodiscard]] const char* key_shift_scores(const DeviceHeads& k, int rows, int kv_heads, int dim, int boundary_window,
                                           float* sums, float* scores, Stream stream);

struct DeviceBoundaryRule {
  int rows = 0;
  int most = 0;  // N_c
  int nms_distance = 0;
  double threshold = 0;  // 0: none
  int instruction_tokens = 0;
};
// Boundaries by descending score (NaN: no candidate). `state` [rows] and `accepted` [rows] are scratch; edges has room
// for most + 2.
[[nodiscard]] const char* choose_boundaries(const DeviceBoundaryRule& rule, const float* scores, std::int8_t* state,
                                            std::int32_t* accepted, std::int32_t* edges, std::int32_t* count,
                                            Stream stream);

// Mean of the rows of each segment over `joined` neighbouring heads, times sqrt(rows) where asked: out [heads / joined,
// segments.most, dim].
struct PooledRows {
  DeviceHeads x;
  int heads = 0;
  int joined = 1;
  DeviceChunks segments;
  float* out = nullptr;
};
// Both in one launch.
[[nodiscard]] const char* pool_rows(const PooledRows& keys, const PooledRows& queries, int dim, bool sqrt_mean,
                                    Stream stream);

// What chunks are reduced to so that their product with a query's features is the logit of chunk_scores.h: out [parts,
// kv heads, chunks.most, width]. Mean: the mean key; moments: mean and variance; bands: mean of either half of the
// rotated pairs with its keys' length given back, two parts; bounds: middle and half width of the box around the keys.
enum class ChunkFeatures : std::int32_t { kMean, kMoments, kBands, kBounds };
[[nodiscard]] const char* chunk_features(const DeviceHeads& k, int kv_heads, int dim, ChunkFeatures kind,
                                         const DeviceChunks& chunks, float* out, Stream stream);

// Groups [first_group, first_group + groups) of all_groups for mask heads [first_head, first_head + heads) of
// mask_heads.
struct GroupSpan {
  const GroupKeys* keys = nullptr;  // [all_groups]
  int all_groups = 0;
  int first_group = 0;
  int groups = 0;
  int mask_heads = 1;
  int first_head = 0;
  int heads = 1;
};
// Rows that speak for each group.
struct AskedRows {
  const std::int32_t* rows = nullptr;   // ascending groups
  const std::int32_t* start = nullptr;  // [all_groups + 1] into rows
  int first = 0;                        // of the first row that is given
  int count = 0;                        // of the given
};

// From logits [parts, heads, asked.count, columns] (overwritten) of chunks from first_chunk on to the estimated
// attention probability of one token of each chunk, averaged over rows, heads and parts: scores [mask_heads,
// all_groups, chunks.most].
struct MassScores {
  GroupSpan span;
  AskedRows asked;
  DeviceChunks chunks;
  float* logits = nullptr;
  int first_chunk = 0;  // rows of the span see none before it,
  int columns = 0;      // nor any after these
  int parts = 1;
  int heads = 0;
  int window = 0;
  float softcap = 0;
  bool less_log_length = false;
  float* scores = nullptr;
};
[[nodiscard]] const char* mass_scores(const MassScores& work, Stream stream);

// Chunks for each group, by scores [mask_heads, all_groups, chunks.most].
struct ChunkChoice {
  GroupSpan span;
  DeviceChunks chunks;
  const float* scores = nullptr;
  bool mass_scores = false;  // scores are probabilities of a token, else similarities
  bool threshold = false;    // the choice ends at `mass` of the estimated attention
  double mass = 1;
};
[[nodiscard]] const char* select_chunks(const ChunkChoice& choice, const MaskBuffers& out, Stream stream);

// Keys are looked at in tiles of this many: TokenRefinement's are widened to the same.
inline constexpr int kTileKeys = 16;
// Room that a group has in scratch memory, counted from the first group of all on; all mask heads alike.
struct GroupRoom {
  std::int64_t first_logit;  // of [asked rows of the heads of a mask, most_tiles * kTileKeys]
  std::int32_t first_tile, most_tiles;
};
// For each mask head and group of a span: the tiles that hold a key of the chosen chunks, ascending, and which of their
// keys those are.
struct CandidateTiles {
  const GroupRoom* room = nullptr;  // [all_groups + 1]
  int per_head = 0;                 // tiles of all groups of the span
  std::int32_t* tile = nullptr;     // [heads, per_head]
  std::uint16_t* keys = nullptr;    // [heads, per_head] one bit a key
  std::int32_t* count = nullptr;    // [heads, groups]
};
[[nodiscard]] const char* candidate_tiles(const ChunkChoice& choice, const CandidateTiles& out, Stream stream);

// TokenRefinement on the device, of groups that follow each other; those from first_chosen on get their keys.
struct Refinement {
  GroupSpan span;
  int first_chosen = 0;
  int batch = 0;  // TokenRefinement::kBatch and kCarry
  float carry = 0;
  AskedRows asked;
  const void* queries = nullptr;  // bfloat16 [parts, heads, asked.count, dim]; parts are added up
  int parts = 1;
  DeviceHeads k;
  int rows = 0;  // of k
  int heads = 0;
  int kv_heads = 0;
  int dim = 0;  // 64, 128 or 256
  int window = 0;
  float scale = 1;
  float softcap = 0;
  CandidateTiles tiles;
  int most_tiles = 0;                // of a group of the span
  int most_asked = 0;                // rows of a group of the span
  std::int64_t logits_per_head = 0;  // of all groups of the span
  float* logits = nullptr;           // [span.heads, logits_per_head] scratch
  float* softmax = nullptr;          // [span.heads, span.groups, heads / mask_heads * most_asked, 2] scratch
  float* own = nullptr;              // [span.heads, tiles.per_head * kTileKeys] scratch
  std::uint32_t* ranks = nullptr;    // like own: of the estimates
};
[[nodiscard]] const char* refine_tokens(const Refinement& work, const MaskBuffers& out, Stream stream);

// For each slot head * span.groups + g of `out` the best keys by sums [mask_heads, span.groups, width], of keys
// key_begin ... key_begin + width - 1.
[[nodiscard]] const char* select_keys(const GroupSpan& span, const float* sums, int key_begin, int width,
                                      const MaskBuffers& out, Stream stream);

// Vertical-slash: columns and diagonals [mask_heads, rows] by descending attention, the first column_count and
// diagonal_count [mask_heads] of them with any.
struct Lines {
  GroupSpan span;
  const std::int64_t* columns = nullptr;
  const std::int64_t* diagonals = nullptr;
  const std::int64_t* column_count = nullptr;
  const std::int64_t* diagonal_count = nullptr;
  int rows = 0;
};
[[nodiscard]] const char* select_lines(const Lines& lines, const MaskBuffers& out, Stream stream);

}  // namespace dhsa::cuda
