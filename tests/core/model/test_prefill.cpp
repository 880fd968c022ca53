// Prefill, cache and decode: properties that hold for any weights. Agreement with Hugging Face is checked in
// tests/core/verify/test_verify_gemma2.cpp.
#include <algorithm>
#include <numeric>
#include <thread>

#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/model/decode.h"
#include "tests/core/model/model_helpers.h"

namespace dhsa::test {
namespace {

class Prefill : public testing::Test {
 protected:
  static void SetUpTestSuite() { set_compute_threads(0); }

  static std::shared_ptr<const Gemma2> tiny(DType compute = DType::kFloat32) {
    return Gemma2::load(kTiny, {Device::kCpu, compute});
  }
  static std::shared_ptr<const Gemma2> demo(DType compute = DType::kFloat32) {
    return Gemma2::load(kDemo, {Device::kCpu, compute});
  }
  static PrefillResult run(const Gemma2& model, std::span<const std::int32_t> ids, const PrefillOptions& options = {}) {
    DensePlanner planner;
    return model.prefill(ids, planner, options);
  }
};

TEST_F(Prefill, RowBlocksDoNotChangeTheResult) {
  for (const DType compute : {DType::kFloat32, DType::kBFloat16}) {
    const auto model = demo(compute);
    const auto ids = random_ids(300, model->config().vocab_size);
    PrefillOptions options;
    options.logit_positions = {0, 1, 133, 299};
    std::vector<std::vector<float>> results;
    for (const std::int64_t block : {33, 128, 4096}) {
      options.row_block = block;
      results.push_back(run(*model, ids, options).logits);
    }
    const double tolerance = compute == DType::kFloat32 ? 1e-5 : 2e-2;
    for (std::size_t i = 1; i < results.size(); ++i) {
      EXPECT_LT(relative_difference(results[i], results[0]), tolerance);
    }
  }
}

TEST_F(Prefill, RowsLeftOutOfTheLastLayerDoNotChangeTheLogitsAskedFor) {
  for (const DType compute : {DType::kFloat32, DType::kBFloat16}) {
    const auto model = demo(compute);
    const auto ids = random_ids(300, model->config().vocab_size);
    PrefillOptions options;
    options.row_block = 48;
    options.keep_final_hidden = true;  // every row goes through every layer
    options.logit_positions = {299, 7, 100, 102};
    const auto all = run(*model, ids, options).logits;
    options.keep_final_hidden = false;
    EXPECT_LT(relative_difference(run(*model, ids, options).logits, all), 1e-6);
  }
}

TEST_F(Prefill, ThreadsDoNotChangeTheResult) {
  for (const DType compute : {DType::kFloat32, DType::kBFloat16}) {
    const auto model = demo(compute);
    const auto ids = random_ids(1000, model->config().vocab_size);
    set_compute_threads(1);
    const auto alone = run(*model, ids).logits;
    for (const int threads : {2, 3}) {
      set_compute_threads(threads);
      EXPECT_EQ(run(*model, ids).logits, alone) << threads << " threads";
    }
  }
  set_compute_threads(0);
}

// Row blocks are taken by threads; what is left behind for decoding and for observers has to be whole all the same.
TEST_F(Prefill, ACacheAndFinalStatesAreWholeWhateverLogitsAreAskedFor) {
  const auto model = demo();
  const auto ids = random_ids(700, model->config().vocab_size);
  PrefillOptions options;
  options.row_block = 48;
  options.keep_cache = true;
  options.logit_positions = {3, 130};
  const auto start = run(*model, std::span(ids).first(699), options);
  EXPECT_LT(relative_difference(model->decode_step(*start.cache, ids.back()), run(*model, ids).logits), 1e-5);

  struct FinalStates : PrefillObserver {
    std::vector<float> values;
    [[nodiscard]] bool wants_hidden(int index) const override { return index == 8; }
    void hidden(int /*index*/, const HeadsView& states) override {
      values.resize(static_cast<std::size_t>(states.rows * states.dim));
      for (std::int64_t row = 0; row < states.rows; ++row) states.load_row(0, row, values.data() + row * states.dim);
    }
  } seen;
  options.observer = &seen;
  (void)run(*model, ids, options);
  options.observer = nullptr;
  options.keep_final_hidden = true;
  EXPECT_EQ(seen.values, run(*model, ids, options).final_hidden);
}

TEST_F(Prefill, ALogitRowDependsOnNothingBehindIt) {
  const auto model = tiny();
  const auto ids = random_ids(40, model->config().vocab_size);
  PrefillOptions options;
  options.logit_positions = {11};
  const auto whole = run(*model, ids, options).logits;
  const auto prefix = run(*model, std::span(ids).first(12)).logits;
  EXPECT_LT(relative_difference(prefix, whole), 1e-5);
}

TEST_F(Prefill, OneAndTwoTokens) {
  for (const DType compute : {DType::kFloat32, DType::kBFloat16}) {
    const auto model = tiny(compute);
    const auto ids = random_ids(2, model->config().vocab_size);
    PrefillOptions options;
    options.keep_cache = true;
    const auto one = run(*model, std::span(ids).first(1), options);
    const auto two = run(*model, ids, options);
    ASSERT_EQ(one.logits.size(), 97U);
    EXPECT_LT(relative_difference(model->decode_step(*one.cache, ids[1]), two.logits),
              compute == DType::kFloat32 ? 1e-5 : 3e-2);
  }
}

// Decoding must give what a prefill of the longer text gives, before, at and past the sliding window.
TEST_F(Prefill, DecodeContinuesThePrefill) {
  const auto model = tiny();  // window 8
  ASSERT_EQ(model->config().sliding_window, 8);
  const auto ids = random_ids(60, model->config().vocab_size);
  for (const std::size_t prompt : {1U, 5U, 7U, 8U, 9U, 30U}) {
    PrefillOptions options;
    options.keep_cache = true;
    const auto start = run(*model, std::span(ids).first(prompt), options);
    for (std::size_t at = prompt; at < prompt + 20; ++at) {
      const auto decoded = model->decode_step(*start.cache, ids[at]);
      const auto expected = run(*model, std::span(ids).first(at + 1)).logits;
      ASSERT_LT(relative_difference(decoded, expected), 1e-5) << "prompt " << prompt << ", position " << at;
    }
  }
}

TEST_F(Prefill, DecodePastTheRoomOfTheCache) {
  const auto model = tiny();
  const auto ids = random_ids(600, model->config().vocab_size);
  PrefillOptions options;
  options.keep_cache = true;
  const auto start = run(*model, std::span(ids).first(3), options);
  std::vector<float> last;
  for (std::size_t at = 3; at < ids.size(); ++at) last = model->decode_step(*start.cache, ids[at]);
  EXPECT_LT(relative_difference(last, run(*model, ids).logits), 1e-5);
}

TEST_F(Prefill, DecodeInBfloat16StaysNearFloat32) {
  const auto model = demo(DType::kBFloat16);
  const auto exact = demo();
  const auto ids = random_ids(700, model->config().vocab_size);  // past the window of 512
  PrefillOptions options;
  options.keep_cache = true;
  const auto start = run(*model, std::span(ids).first(690), options);
  std::vector<float> last;
  for (std::size_t at = 690; at < ids.size(); ++at) last = model->decode_step(*start.cache, ids[at]);
  EXPECT_LT(relative_difference(last, run(*exact, ids).logits), 4e-2);
}

TEST_F(Prefill, GreedyGenerationIsTheArgmaxChainAndCanBeRepeated) {
  const auto model = tiny();
  auto ids = random_ids(20, model->config().vocab_size);
  PrefillOptions options;
  options.keep_cache = true;
  options.logit_positions = {4};  // the chain starts at the last position all the same
  const auto start = run(*model, ids, options);
  EXPECT_EQ(start.logits.size(), 97U);
  std::vector<std::int32_t> reported;
  const auto tokens =
      generate_greedy(*model, start, 12, nullptr, [&](std::int32_t token) { reported.push_back(token); });
  EXPECT_EQ(reported, tokens);
  EXPECT_EQ(generate_greedy(*model, start, 12), tokens);
  EXPECT_EQ(generate_greedy(*model, start, 0).size(), 0U);
  ASSERT_FALSE(tokens.empty());
  for (const std::int32_t token : tokens) {
    const auto logits = run(*model, ids).logits;
    EXPECT_EQ(token, std::max_element(logits.begin(), logits.end()) - logits.begin());
    ids.push_back(token);
  }
  PrefillOptions no_cache;
  EXPECT_NE(error_of([&] { (void)generate_greedy(*model, run(*model, ids, no_cache), 3); }).find("cache"),
            std::string::npos);
}

TEST_F(Prefill, GenerationEndsAtAStopToken) {
  const auto plain = tiny();
  const auto ids = random_ids(20, plain->config().vocab_size);
  PrefillOptions options;
  options.keep_cache = true;
  const auto tokens = generate_greedy(*plain, run(*plain, ids, options), 6);
  ASSERT_EQ(tokens.size(), 6U);
  const auto stop = std::find(tokens.begin(), tokens.end(), tokens[3]) - tokens.begin();
  TempFolder folder;
  tiny_model_with(folder.path(), {}, [&](nlohmann::json& config) { config["eos_token_id"] = {1, tokens[3]}; });
  const auto stopping = Gemma2::load(folder.path());
  const auto short_chain = continue_greedily(*stopping, run(*stopping, ids, options), 6);
  EXPECT_EQ(short_chain.stop_token, tokens[3]);
  EXPECT_EQ(continue_greedily(*plain, run(*plain, ids, options), 6).stop_token, std::nullopt);
  EXPECT_EQ(short_chain.tokens, std::vector<std::int32_t>(tokens.begin(), tokens.begin() + stop));
}

TEST_F(Prefill, FinalHiddenGivesTheSameLogits) {
  const auto model = demo();
  const auto ids = random_ids(90, model->config().vocab_size);
  PrefillOptions options;
  options.keep_final_hidden = true;
  options.logit_positions.resize(ids.size());
  std::iota(options.logit_positions.begin(), options.logit_positions.end(), 0);
  const auto result = run(*model, ids, options);
  ASSERT_EQ(result.final_hidden.size(), ids.size() * 256);
  std::vector<float> again(result.logits.size());
  model->logits(result.final_hidden, static_cast<std::int64_t>(ids.size()), again.data());
  EXPECT_LT(relative_difference(again, result.logits), 1e-6);
  EXPECT_NE(error_of([&] { model->logits(result.final_hidden, 3, again.data()); }), "");
}

TEST_F(Prefill, TokensOutsideTheVocabularyAreRefused) {
  const auto model = tiny();
  for (const std::int32_t bad : {-1, 97, 2147483647}) {
    const std::vector<std::int32_t> ids{2, 5, bad};
    const std::string sentence = error_of([&] { (void)run(*model, ids); });
    EXPECT_NE(sentence.find(std::to_string(bad)), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("position 2"), std::string::npos) << sentence;
  }
  EXPECT_NE(error_of([&] { (void)run(*model, {}); }).find("no tokens"), std::string::npos);
  PrefillOptions options;
  options.logit_positions = {3};
  EXPECT_NE(error_of([&] { (void)run(*model, std::vector<std::int32_t>{2, 5, 6}, options); }), "");
}

struct Witness : PrefillObserver {
  std::vector<StageReport> stages;
  std::vector<std::int64_t> hidden_sizes;
  std::int64_t attended_layers = 0;
  CancelToken* cancel = nullptr;
  int cancel_layer = -1;
  Stage cancel_stage = Stage::kMlp;
  void stage_begins(Stage stage, int layer) override {
    if (cancel != nullptr && stage == cancel_stage && layer == cancel_layer) cancel->cancel();
  }
  void stage_ends(const StageReport& report) override { stages.push_back(report); }
  void attended(const AttendedLayer& layer) override {
    ++attended_layers;
    EXPECT_EQ(layer.q.heads, 4);
    EXPECT_EQ(layer.k.heads, 2);
    EXPECT_EQ(layer.output.rows, layer.plan.mask.rows());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  [[nodiscard]] bool wants_hidden(int /*index*/) const override { return true; }
  void hidden(int index, const HeadsView& states) override {
    EXPECT_EQ(index, static_cast<int>(hidden_sizes.size()));
    hidden_sizes.push_back(states.rows * states.dim);
  }
};

TEST_F(Prefill, ObserverSeesEveryStageInOrder) {
  const auto model = demo();
  const auto ids = random_ids(64, model->config().vocab_size);
  Witness witness;
  PrefillOptions options;
  options.observer = &witness;
  const auto result = run(*model, ids, options);
  ASSERT_EQ(witness.stages.size(), 2U + 8U * 5U);
  EXPECT_EQ(witness.stages.front().stage, Stage::kEmbed);
  EXPECT_EQ(witness.stages.back().stage, Stage::kLogits);
  double seconds = 0;
  for (std::size_t i = 0; i < witness.stages.size(); ++i) {
    const StageReport& report = witness.stages[i];
    seconds += report.seconds;
    EXPECT_GT(report.resident_bytes, 0);
    const bool in_layer = i > 0 && i + 1 < witness.stages.size();
    EXPECT_EQ(report.layer, in_layer ? static_cast<int>((i - 1) / 5) : -1);
    if (in_layer) {
      EXPECT_EQ(static_cast<int>(report.stage), static_cast<int>(Stage::kQkv) + static_cast<int>((i - 1) % 5));
    }
  }
  EXPECT_NEAR(result.seconds, seconds, 1e-9);
  EXPECT_EQ(witness.attended_layers, 8);
  EXPECT_EQ(witness.hidden_sizes, std::vector<std::int64_t>(9, 64 * 256));
  EXPECT_GE(result.peak_bytes, result.start_bytes);
}

TEST_F(Prefill, CancelTakesEffectWithinTheStage) {
  const auto model = demo();
  const auto ids = random_ids(300, model->config().vocab_size);
  for (const Stage stage : {Stage::kEmbed, Stage::kQkv, Stage::kAttend, Stage::kOutput, Stage::kMlp}) {
    CancelToken token;
    Witness witness;
    witness.cancel = &token;
    witness.cancel_stage = stage;
    witness.cancel_layer = stage == Stage::kEmbed ? -1 : 3;
    PrefillOptions options;
    options.observer = &witness;
    options.cancel = &token;
    options.row_block = 64;
    EXPECT_THROW((void)run(*model, ids, options), Cancelled);
    const std::size_t before = stage == Stage::kEmbed ? 0 : 1 + 3 * 5 + (static_cast<std::size_t>(stage) - 1);
    EXPECT_LE(witness.stages.size(), before + (stage == Stage::kEmbed ? 1U : 0U)) << name_of(stage);
  }
  EXPECT_EQ(run(*model, ids).logits.size(), 8192U) << "the model is unharmed";
}

TEST_F(Prefill, MemoryIsLinearAndAsEstimated) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer's own memory would be measured";
#endif
  for (const bool keep : {false, true}) {
    const auto model = demo(keep ? DType::kFloat32 : DType::kBFloat16);
    PrefillOptions options;
    (void)run(*model, random_ids(600, 8192), options);  // libraries have their buffers now
    options.keep_cache = keep;
    options.keep_final_hidden = keep;
    const std::int64_t tokens = 8192;  // one head's scores would be 256 MiB
    const auto result = run(*model, random_ids(static_cast<std::size_t>(tokens), 8192), options);
    const auto measured = static_cast<double>(result.peak_bytes - result.start_bytes);
    const auto estimated = static_cast<double>(model->estimate(tokens, options).activations);
    EXPECT_LT(result.peak_bytes, 700'000'000);
    EXPECT_NEAR(estimated / measured, 1.0, 0.2) << measured / 1e6 << " MB measured, keep " << keep;
  }
}

TEST_F(Prefill, WhatCannotFitIsRefusedWithAProposal) {
  const auto model = demo();
  const PrefillOptions options;
  const PrefillEstimate small = model->estimate(1000, options);
  EXPECT_LT(small.activations, small.available);
  EXPECT_GT(small.longest, 1000);
  EXPECT_LE(model->estimate(small.longest / 2, options).activations, small.available);
  const auto too_many = static_cast<std::size_t>(small.longest) * 2;
  const std::string sentence = error_of([&] { (void)run(*model, std::vector<std::int32_t>(too_many, 5)); });
  EXPECT_NE(sentence.find(std::to_string(too_many) + " tokens"), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("at most"), std::string::npos) << sentence;
}

}  // namespace
}  // namespace dhsa::test
