#include <fmt/format.h>

#include "core/base/error.h"
#include "core/sparsity/parameters.h"

namespace dhsa {
namespace {

template <class Change>
Preset preset(const char* name, const char* label, const char* help, const Change& change) {
  Preset made{name, label, help, {}};
  change(made.parameters);
  return made;
}

std::vector<Preset> make_presets() {
  using P = SparsityParameters;
  std::vector<Preset> list;
  list.push_back(
      preset("best", "DHSA, best",
             "Of 32-token chunks worth two budgets, the tokens that every sixteenth row attends to most; the "
             "last 64 rows are asked one by one about every key, so that what the answer looks up is kept.",
             [](P& p) {
               p.query_block = 128;
               p.boundaries = BoundarySource::kFixed;
               p.chunk_length = 32;
               p.chunks_per_block = 4;
               p.scores = ChunkScoring::kMoments;
               p.score_rows = 16;
               p.score_last_rows = 64;
               p.candidates = 2;
               p.mask_heads = MaskHeads::kPerHead;
               p.sink_tokens = 16;
             }));
  list.push_back(preset("reference-niah", "Published: needle",
                        "The published setting for the needle test: budget 1024, query blocks of 128 rows.",
                        [](P&) {}));
  list.push_back(preset("longbench", "Published: LongBench",
                        "The published setting for LongBench: budget 2048, query blocks of 128 rows.",
                        [](P& p) { p.budget = 2048; }));
  list.push_back(preset("latency", "Published: latency",
                        "The published setting for speed: budget 2048, query blocks of 256 rows, boundaries and masks "
                        "shared by the layers.",
                        [](P& p) {
                          p.budget = 2048;
                          p.query_block = 256;
                          p.share_boundaries = true;
                          p.share_masks = true;
                        }));
  list.push_back(preset("block-sparse", "Block sparse",
                        "Fixed blocks of 128 keys ranked by their mean, the most recent block always kept.", [](P& p) {
                          p.method = Method::kBlockSparse;
                          p.sink_tokens = 0;
                        }));
  list.push_back(preset("window-sinks", "Window + sinks", "The most recent keys and the first four.", [](P& p) {
    p.method = Method::kWindowSinks;
    p.sink_tokens = 4;
  }));
  list.push_back(preset("vertical-slash", "Vertical-slash",
                        "Columns and diagonals that the last 64 queries attend to most.", [](P& p) {
                          p.method = Method::kVerticalSlash;
                          p.sink_tokens = 16;
                          p.local_tokens = 128;
                        }));
  list.push_back(preset("oracle", "Token top-k oracle",
                        "The keys that dense attention gives the most mass, row by row: the best any mask of this "
                        "budget can do.",
                        [](P& p) {
                          p.method = Method::kTokenTopK;
                          p.mask_heads = MaskHeads::kPerHead;
                        }));
  list.push_back(preset("dense", "Dense", "Every key a query may see.", [](P& p) { p.method = Method::kDense; }));
  return list;
}

}  // namespace

std::span<const Preset> presets() {
  static const std::vector<Preset> list = make_presets();
  return list;
}

void apply_preset(SparsityParameters& parameters, const std::string& name) {
  std::string names;
  for (const Preset& preset : presets()) {
    if (preset.name == name) {
      SparsityParameters applied = preset.parameters;
      applied.instruction_tokens = parameters.instruction_tokens;
      applied.predictor = parameters.predictor;
      parameters = applied;
      return;
    }
    names += (names.empty() ? "" : ", ") + preset.name;
  }
  throw Error(fmt::format("There is no preset \"{}\"; the presets are {}.", name, names));
}

}  // namespace dhsa
