// Which variants there are.
#include <algorithm>
#include <utility>

#include "core/experiments/ablation.h"

namespace dhsa {
namespace {

class Variants {
 public:
  explicit Variants(std::int64_t budget) : budget_(budget) {}

  void begin(const char* group, const char* preset) {
    group_ = group;
    base_ = {};
    apply_preset(base_, preset);
    base_.budget = base_.max_budget = budget_;
  }
  template <class Change>
  void add(std::string name, const Change& change) {
    AblationVariant variant{group_, std::move(name), base_};
    change(variant.parameters);
    list_.push_back(std::move(variant));
  }
  void add(std::string name) {
    add(std::move(name), [](SparsityParameters&) {});
  }
  [[nodiscard]] std::vector<AblationVariant> take() { return std::move(list_); }

 private:
  std::int64_t budget_;
  std::string group_;
  SparsityParameters base_;
  std::vector<AblationVariant> list_;
};

}  // namespace

std::vector<AblationVariant> ablation_variants(std::int64_t budget) {
  using P = SparsityParameters;
  Variants v(budget);
  v.begin("methods", "window-sinks");
  v.add("window-sinks");
  v.begin("methods", "block-sparse");
  v.add("block-sparse");
  v.begin("methods", "vertical-slash");
  v.add("vertical-slash");
  v.begin("methods", "reference-niah");
  v.add("published");
  v.begin("methods", "best");
  v.add("best");
  v.begin("methods", "oracle");
  const std::int64_t group = [] {
    P best;
    apply_preset(best, "best");
    return best.query_block;
  }();
  v.add("group oracle", [&](P& p) { p.oracle_rows = group; });
  v.add("group oracle, shared", [&](P& p) {
    p.oracle_rows = group;
    p.mask_heads = MaskHeads::kShared;
  });

  v.begin("paper: pooling", "reference-niah");
  v.add("published, sqrt(n) mean", [](P& p) { p.pooling = Pooling::kSqrtMean; });
  v.add("published, mean", [](P& p) { p.pooling = Pooling::kMean; });

  v.begin("paper: boundaries", "reference-niah");
  v.add("published, learned", [](P& p) { p.boundaries = BoundarySource::kLearned; });
  v.add("published, key shift", [](P& p) { p.boundaries = BoundarySource::kKeyShift; });
  v.add("published, sentences", [](P& p) { p.boundaries = BoundarySource::kSentence; });
  v.add("published, attention mass", [](P& p) { p.boundaries = BoundarySource::kAttentionMass; });
  v.add("published, fixed", [](P& p) {
    p.boundaries = BoundarySource::kFixed;
    p.chunk_length = 64;
  });
  v.begin("boundaries under best", "best");
  v.add("best, learned", [](P& p) { p.boundaries = BoundarySource::kLearned; });
  v.add("best, key shift", [](P& p) { p.boundaries = BoundarySource::kKeyShift; });
  v.add("best, sentences", [](P& p) { p.boundaries = BoundarySource::kSentence; });
  v.add("best, attention mass", [](P& p) { p.boundaries = BoundarySource::kAttentionMass; });
  v.add("best, fixed", [](P& p) {
    p.boundaries = BoundarySource::kFixed;
    p.chunk_length =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(p.query_block) / p.chunks_per_block));
  });

  for (const auto& [group_name, preset] :
       {std::pair{"paper: heads and sharing", "reference-niah"}, std::pair{"heads and sharing under best", "best"}}) {
    v.begin(group_name, preset);
    const std::string base = preset == std::string("best") ? "best" : "published";
    v.add(base + ", one mask", [](P& p) { p.mask_heads = MaskHeads::kShared; });
    v.add(base + ", mask per key/value head", [](P& p) { p.mask_heads = MaskHeads::kPerKvHead; });
    v.add(base + ", mask per head", [](P& p) { p.mask_heads = MaskHeads::kPerHead; });
    v.add(base + ", shared boundaries", [](P& p) { p.share_boundaries = true; });
    v.add(base + ", shared masks", [](P& p) { p.share_masks = true; });
    v.add(base + ", both shared", [](P& p) { p.share_boundaries = p.share_masks = true; });
  }

  // Whole chunks: what scores and sizes are worth before tokens are chosen among them.
  const auto whole_chunks = [](P& p) {
    p.candidates = 0;
    p.score_last_rows = 0;
    p.boundaries = BoundarySource::kKeyShift;
  };
  v.begin("(a) scores and rows, whole chunks", "best");
  const auto scores = [&](const char* name, ChunkScoring scoring, std::int64_t rows) {
    v.add(name, [&](P& p) {
      whole_chunks(p);
      p.scores = scoring;
      p.score_rows = rows;
    });
  };
  scores("mean, mean query", ChunkScoring::kMean, 0);
  scores("moments, mean query", ChunkScoring::kMoments, 0);
  scores("mean, every row", ChunkScoring::kMean, 1);
  scores("moments, every row", ChunkScoring::kMoments, 1);
  scores("mean, every 8th row", ChunkScoring::kMean, 8);
  scores("moments, every 8th row", ChunkScoring::kMoments, 8);
  scores("moments, every 32nd row", ChunkScoring::kMoments, 32);
  v.begin("(b) frequency bands", "best");
  scores("bands, every 8th row", ChunkScoring::kBands, 8);
  v.begin("(c) upper bounds", "best");
  scores("bounds, every 8th row", ChunkScoring::kBounds, 8);
  v.begin("(d) mass threshold", "best");
  const auto threshold = [&](const char* name, double mass) {
    v.add(name, [&](P& p) {
      whole_chunks(p);
      p.score_rows = 8;
      p.selection = Selection::kThreshold;
      p.mass = mass;
      p.min_budget = std::min<std::int64_t>(256, budget);
      p.max_budget = 2 * budget;
    });
  };
  threshold("mass 0.90", 0.90);
  threshold("mass 0.95", 0.95);
  threshold("mass 0.98", 0.98);
  v.begin("(e) groups and chunks, moments, every 8th row", "best");
  const auto sizes = [&](const char* name, std::int64_t rows, std::int64_t chunk) {
    v.add(name, [&](P& p) {
      whole_chunks(p);
      p.score_rows = 8;
      p.query_block = rows;
      p.chunks_per_block = static_cast<double>(rows) / static_cast<double>(chunk);
      p.nms_distance = std::min<std::int64_t>(p.nms_distance, chunk / 2);
    });
  };
  sizes("128 rows, chunks of 64", 128, 64);
  sizes("128 rows, chunks of 16", 128, 16);
  sizes("64 rows, chunks of 32", 64, 32);
  sizes("64 rows, chunks of 16", 64, 16);
  v.begin("tokens chosen among chunks", "best");
  const auto tokens = [&](const char* name, double candidates, std::int64_t rows) {
    v.add(name, [&](P& p) {
      p.candidates = candidates;
      p.score_rows = rows;
    });
  };
  tokens("whole chunks, every 16th row", 0, 16);
  tokens("of 1.5 budgets, every 16th row", 1.5, 16);
  tokens("of 2 budgets, every 16th row", 2, 16);
  tokens("of 4 budgets, every 16th row", 4, 16);
  tokens("of 2 budgets, every 8th row", 2, 8);
  tokens("of 2 budgets, every 32nd row", 2, 32);
  v.add("of 2 budgets, last rows sampled like others", [](P& p) { p.score_last_rows = 0; });
  return v.take();
}

}  // namespace dhsa
