// Agreement with the outputs of the method's reference implementation, stage by stage.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace dhsa {

// One stage. Numbers are compared by their largest error (absolute, relative where the reference exceeds 1), sets by
// the number of members that only one side has.
struct ParityRow {
  std::string name;             // the tensor of the fixture
  double max_error = 0;         // of numbers
  double tolerance = 0;         // of numbers; sets must agree exactly
  std::int64_t compared = 0;    // numbers or members
  std::int64_t mismatches = 0;  // of sets
  bool is_set = false;
  bool passed = false;
  std::string note;  // what a reader should know about this comparison; may be empty
};
void to_json(nlohmann::json& json, const ParityRow& row);

// Compares every stage whose reference output the safetensors file holds: predictor_logits, predicted_boundaries,
// label_ratios, label_boundaries, topk_avgpool, topk_avgpool_norm, dhsa_output, block_sparse_output. q [H, L, D],
// k and v [Hkv, L, D] are there too; settings are JSON in the metadata key "parameters". Throws Error where the file is
// no such fixture.
[[nodiscard]] std::vector<ParityRow> compare_with_reference(const std::filesystem::path& fixture,
                                                            const CancelToken* cancel = nullptr);

}  // namespace dhsa
