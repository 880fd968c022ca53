#include "core/run/trace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "core/base/error.h"
#include "core/model/config.h"
#include "core/model/gemma2.h"

namespace dhsa {
namespace {

// Two heads of 5 rows and 8 values in a [rows, heads, 8 + 2] buffer: strides as a fused projection leaves them.
struct Strided {
  explicit Strided(std::int64_t heads_) : heads(heads_), data(static_cast<std::size_t>(5 * heads_ * 10)) {
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = float_to_bfloat16(static_cast<float>(i));
  }
  [[nodiscard]] HeadsView view() const { return {data.data(), DType::kBFloat16, heads, 5, 8, 10, 10 * heads}; }
  std::int64_t heads;
  std::vector<std::uint16_t> data;
};

struct Layer {
  Layer() {
    info.index = 1;
    info.window = 3;
    plan.mask = KeyMask::dense(5, 3, 2);
    plan.trace.boundaries = {0, 2, 5};
    plan.trace.chunk_scores = {1, 2, 3, 4, 5, 6};
    plan.seconds = {0.25, 0.5, 1.0};
  }
  Strided q{4}, k{2}, v{2};
  LayerInfo info;
  Plan plan;
};

void attend(PrefillObserver& observer, const Layer& layer) {
  observer.attended({layer.info, layer.q.view(), layer.k.view(), layer.v.view(), layer.q.view(), layer.plan});
}

// Counts what reaches the second observer.
class Second : public PrefillObserver {
 public:
  void prefill_begins(std::int64_t tokens, int layers) override { began = tokens * 100 + layers; }
  void stage_begins(Stage, int) override { ++stages_begun; }
  void stage_ends(const StageReport&) override { ++stages_ended; }
  [[nodiscard]] bool wants_attention(int layer) const override { return layer == 0; }
  void attended(const AttendedLayer&) override { ++attended_layers; }
  [[nodiscard]] bool wants_hidden(int index) const override { return index == 2; }
  void hidden(int, const HeadsView&) override { ++hidden_states; }
  std::int64_t began = 0;
  int stages_begun = 0, stages_ended = 0, attended_layers = 0, hidden_states = 0;
};

TEST(CapturedLayer, KeepsACompactCopyInTheTypeOfTheRun) {
  auto layer = std::make_unique<Layer>();
  const CapturedLayer copy(
      {layer->info, layer->q.view(), layer->k.view(), layer->v.view(), layer->q.view(), layer->plan});
  EXPECT_EQ(copy.bytes(), (4 + 2 + 2) * 5 * 8 * 2);
  const Strided expected(4);
  layer.reset();  // the copy owns its data
  const CapturedLayer moved = copy;
  EXPECT_EQ(moved.q().type, DType::kBFloat16);
  EXPECT_EQ(moved.q().row_stride, 8);
  std::vector<float> is(8), should(8);
  for (std::int64_t head = 0; head < 4; ++head) {
    for (std::int64_t row = 0; row < 5; ++row) {
      moved.q().load_row(head, row, is.data());
      expected.view().load_row(head, row, should.data());
      EXPECT_EQ(is, should) << head << " " << row;
    }
  }
  EXPECT_EQ(moved.k().heads, 2);
  EXPECT_EQ(moved.layer().window, 3);
}

TEST(CaptureBytes, AreWhatACaptureTakes) {
  Gemma2Config config;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  const Layer layer;
  const CapturedLayer copy({layer.info, layer.q.view(), layer.k.view(), layer.v.view(), layer.q.view(), layer.plan});
  EXPECT_EQ(capture_bytes(config, DType::kBFloat16, 5, 1), copy.bytes());
  EXPECT_EQ(capture_bytes(config, DType::kFloat32, 5, 3), 6 * copy.bytes());
}

TEST(TraceRecorder, FillsATraceAndPassesEverythingOn) {
  Second second;
  RecordOptions options;
  options.capture_layers = {1};
  TraceRecorder recorder(options, &second);
  recorder.prefill_begins(5, 2);
  EXPECT_TRUE(recorder.wants_attention(0));  // the second one wants it
  EXPECT_TRUE(recorder.wants_attention(1));
  EXPECT_FALSE(recorder.wants_attention(2));
  EXPECT_TRUE(recorder.wants_hidden(2));
  const Layer layer;
  for (const double seconds : {0.5, 0.25}) {
    recorder.stage_begins(Stage::kPlan, 1);
    recorder.stage_ends({Stage::kPlan, 1, seconds, 1000});
  }
  recorder.stage_ends({Stage::kLogits, -1, 0.125, 2000});
  attend(recorder, layer);
  recorder.hidden(2, layer.q.view());
  PrefillResult result;
  result.seconds = 0.875;
  result.peak_bytes = 4096;
  const RunTrace trace = recorder.take(result);

  EXPECT_EQ(second.began, 502);
  EXPECT_EQ(second.stages_begun, 2);
  EXPECT_EQ(second.stages_ended, 3);
  EXPECT_EQ(second.attended_layers, 1);
  EXPECT_EQ(second.hidden_states, 1);
  EXPECT_EQ(trace.tokens, 5);
  EXPECT_EQ(trace.layers, 2);
  EXPECT_EQ(trace.stage_seconds(Stage::kPlan), 0.75);
  EXPECT_EQ(trace.stage_seconds(Stage::kPlan, 0), 0.0);
  EXPECT_EQ(trace.seconds, 0.875);
  EXPECT_EQ(trace.captured[0], nullptr);
  ASSERT_NE(trace.captured[1], nullptr);
  ASSERT_NE(trace.plans[1], nullptr);
  EXPECT_EQ(trace.plans[1]->mask, layer.plan.mask);
  EXPECT_EQ(trace.summaries[1].boundaries, layer.plan.trace.boundaries);
  EXPECT_EQ(trace.summaries[1].kept_pairs, 1 + 2 + 3 + 3 + 3);
  EXPECT_EQ(trace.summaries[1].density(), 1.0);

  const nlohmann::json json = trace;
  EXPECT_EQ(json["tokens"], 5);
  EXPECT_EQ(json["stage_seconds"]["plan"], 0.75);
  EXPECT_EQ(json["stage_seconds"]["mlp"], 0.0);
  EXPECT_EQ(json["layers"].size(), 2U);
  EXPECT_EQ(json["layers"][1]["plan"]["boundaries"], nlohmann::json({0, 2, 5}));
  EXPECT_EQ(json["layers"][1]["plan"]["query_groups"], 3);
  EXPECT_EQ(json["layers"][1]["plan"]["seconds"]["selection"], 1.0);
  EXPECT_EQ(json["layers"][1]["resident_bytes"], 1000);
  EXPECT_GT(json["layers"][1]["captured_bytes"], 0);
}

TEST(TraceRecorder, MayServeASecondRunAndLeaveMasksOut) {
  RecordOptions options;
  options.keep_plans = false;
  TraceRecorder recorder(options);
  EXPECT_FALSE(recorder.wants_attention(0));
  const Layer layer;
  for (int run = 0; run < 2; ++run) {
    recorder.prefill_begins(5, 2);
    recorder.stage_ends({Stage::kMlp, 0, 1.0, 0});
    attend(recorder, layer);
    const RunTrace trace = recorder.take({});
    EXPECT_EQ(trace.stage_seconds(Stage::kMlp), 1.0);
    EXPECT_EQ(trace.plans[1], nullptr);
    EXPECT_EQ(trace.summaries[1].query_groups, 3);
  }
}

TEST(TraceRecorder, RefusesALayerTheModelLacks) {
  RecordOptions options;
  options.capture_layers = {2};
  TraceRecorder recorder(options);
  EXPECT_THROW(recorder.prefill_begins(5, 2), Error);
}

}  // namespace
}  // namespace dhsa
