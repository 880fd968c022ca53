#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "core/sparsity/boundary_predictor.h"
#include "core/training/checkpoint.h"
#include "tests/fuzz/target.h"

// Both readers want a file: one of this process, written anew each time.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("dhsa-fuzz-predictor-" + std::to_string(getpid()));
  {
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    dhsa::fuzz::require(file != nullptr && std::fwrite(data, 1, size, file) == size, "a temporary file can be written");
    std::fclose(file);
  }
  dhsa::fuzz::parses_or_refuses([&] {
    const auto predictor = dhsa::BoundaryPredictor::load(path);
    const dhsa::PredictorWeights& weights = predictor->weights();
    dhsa::fuzz::require(weights.channels % weights.heads == 0, "heads divide the channels");
    dhsa::fuzz::require(
        weights.mlp0_weight.size() == static_cast<std::size_t>(weights.hidden * (4 * weights.channels + 1)),
        "weights have the size that their shape says");
  });
  dhsa::fuzz::parses_or_refuses([&] {
    const dhsa::TrainingCheckpoint checkpoint = dhsa::read_checkpoint(path);
    dhsa::fuzz::require(checkpoint.sequences >= 0 && checkpoint.state.steps >= 0, "counts are not negative");
    dhsa::fuzz::require(checkpoint.state.first_moment.size() == checkpoint.state.second_moment.size(),
                        "both moments belong to the same weights");
  });
  std::filesystem::remove(path);
  return 0;
}
