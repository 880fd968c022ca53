// Where a training stands, on disk: weights, Adam's moments, and of which training they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/training/predictor_trainer.h"

namespace dhsa {

struct TrainingCheckpoint {
  std::string identity;  // settings, model and texts: what must agree to go on
  std::int64_t sequences = 0;
  double loss_sum = 0;  // since the last measurement
  std::int64_t loss_steps = 0;
  TrainerState state;
};
void write_checkpoint(const std::filesystem::path& path, const TrainingCheckpoint& checkpoint);
// Throws Error naming file and fault.
[[nodiscard]] TrainingCheckpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace dhsa
