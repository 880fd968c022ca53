#include "core/run/open_model.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "core/sparsity/boundary_predictor.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

const std::filesystem::path kDemo = DHSA_RESOURCES "/models/demo";

TEST(OpenModel, ChecksWhatIsCheapFirst) {
  ScratchFolder folder;
  EXPECT_NE(error_of([&] { static_cast<void>(open_model(folder / "none")); }).find("not a folder"), std::string::npos);
  EXPECT_NE(error_of([&] { static_cast<void>(open_model(folder.path())); }).find("config.json"), std::string::npos);
  std::filesystem::copy(kDemo / "config.json", folder / "config.json");
  EXPECT_NE(error_of([&] { static_cast<void>(open_model(folder.path())); }).find("tokenizer.model"), std::string::npos);
  std::filesystem::copy(kDemo / "tokenizer.model", folder / "tokenizer.model");
  EXPECT_NE(error_of([&] { static_cast<void>(open_model(folder.path())); }).find("safetensors"), std::string::npos);
}

TEST(OpenModel, TellsWhatItDoesAndStops) {
  std::vector<std::string> told;
  OpenModelOptions options;
  options.warm_up = true;
  options.progress = [&](const char* what) { told.emplace_back(what); };
  const OpenModel opened = open_model(kDemo, options);
  EXPECT_EQ(told, (std::vector<std::string>{"loading the model", "warming up"}));
  EXPECT_LE(opened.tokenizer->size(), opened.model->config().vocab_size);
  CancelToken cancel;
  cancel.cancel();
  options.cancel = &cancel;
  EXPECT_THROW(static_cast<void>(open_model(kDemo, options)), Cancelled);
}

TEST(OpenPredictor, IsReadAgainOnlyAfterItHasChanged) {
  ScratchFolder folder;
  SparsityParameters parameters;
  parameters.boundaries = BoundarySource::kLearned;
  EXPECT_NE(error_of([&] { static_cast<void>(open_predictor(parameters, folder.path())); }).find("has none"),
            std::string::npos);
  const auto path = folder / "predictor.safetensors";
  PredictorWeights weights = BoundaryPredictor::load(kDemo / "predictor.safetensors")->weights();
  write_predictor(path, weights);
  const auto first = open_predictor(parameters, folder.path());
  EXPECT_EQ(open_predictor(parameters, folder.path()), first);
  parameters.predictor = path.string();
  EXPECT_EQ(open_predictor(parameters, kDemo), first);  // whichever way it was named

  weights.mlp2_bias[0] += 1;  // trained again: as long as before
  write_predictor(path, weights);
  // Clocks of file systems tick every few milliseconds: no training is as quick as this test.
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) + std::chrono::seconds(1));
  const auto second = open_predictor(parameters, folder.path());
  EXPECT_EQ(second->weights().mlp2_bias[0], weights.mlp2_bias[0]);
  EXPECT_NE(second, first);
  std::ofstream(path) << "no predictor";
  EXPECT_THROW(static_cast<void>(open_predictor(parameters, folder.path())), Error);
}

TEST(OpenPredictor, IsNoneWhereNoneIsNeeded) {
  ScratchFolder folder;
  SparsityParameters parameters;
  parameters.boundaries = BoundarySource::kAuto;
  EXPECT_EQ(open_predictor(parameters, folder.path()), nullptr);
  EXPECT_NE(open_predictor(parameters, kDemo), nullptr);
  parameters.boundaries = BoundarySource::kKeyShift;
  EXPECT_EQ(open_predictor(parameters, kDemo), nullptr);
  parameters.boundaries = BoundarySource::kLearned;
  parameters.method = Method::kBlockSparse;
  EXPECT_EQ(open_predictor(parameters, kDemo), nullptr);
}

}  // namespace
}  // namespace dhsa
