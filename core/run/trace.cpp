#include "core/run/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"
#include "core/model/config.h"
#include "core/model/gemma2.h"

namespace dhsa {

CapturedLayer::CapturedLayer(const AttendedLayer& layer) : layer_(layer.layer) {
  const std::array<const HeadsView*, 3> from = {&layer.q, &layer.k, &layer.v};
  for (std::size_t t = 0; t < from.size(); ++t) {
    const HeadsView& view = *from[t];
    const std::int64_t width = bytes_of(view.type);
    const std::int64_t row_bytes = view.dim * width;
    data_[t].resize(static_cast<std::size_t>(view.heads * view.rows * row_bytes));
    const auto* source = static_cast<const std::uint8_t*>(view.data);
    std::uint8_t* to = data_[t].data();
    for (std::int64_t head = 0; head < view.heads; ++head) {
      for (std::int64_t row = 0; row < view.rows; ++row, to += row_bytes) {
        std::memcpy(to, source + view.offset(head, row) * width, static_cast<std::size_t>(row_bytes));
      }
    }
    shape_[t] = {nullptr, view.type, view.heads, view.rows, view.dim, view.rows * view.dim, view.dim};
  }
}

namespace {

HeadsView on(const HeadsView& shape, const std::vector<std::uint8_t>& data) {
  HeadsView view = shape;
  view.data = data.data();
  return view;
}

}  // namespace

// The view points into this object, so it is made on demand: copies and moves stay right.
HeadsView CapturedLayer::q() const { return on(shape_[0], data_[0]); }
HeadsView CapturedLayer::k() const { return on(shape_[1], data_[1]); }
HeadsView CapturedLayer::v() const { return on(shape_[2], data_[2]); }

std::int64_t CapturedLayer::bytes() const noexcept {
  std::int64_t sum = 0;
  for (const auto& data : data_) sum += static_cast<std::int64_t>(data.size());
  return sum;
}

std::int64_t capture_bytes(const Gemma2Config& config, DType type, std::int64_t tokens, std::int64_t layers) {
  return layers * tokens * (config.heads + 2 * config.kv_heads) * config.head_dim * bytes_of(type);
}

PlanSummary summarise(const Plan& plan) {
  PlanSummary summary;
  summary.shared = plan.shared;
  summary.window = plan.mask.window();
  summary.mask_heads = plan.mask.heads();
  summary.query_groups = plan.mask.groups();
  summary.key_ranges = static_cast<std::int64_t>(plan.mask.all_ranges().size());
  summary.kept_pairs = static_cast<double>(plan.mask.kept_pairs()) / plan.mask.heads();
  summary.causal_pairs = static_cast<double>(plan.mask.causal_pairs()) / plan.mask.heads();
  summary.mask_bytes = plan.mask.bytes();
  summary.boundaries = plan.trace.boundaries;
  summary.seconds = plan.seconds;
  return summary;
}

double RunTrace::kept_pairs() const {
  double sum = 0;
  for (const PlanSummary& plan : summaries) sum += plan.kept_pairs;
  return sum;
}

double RunTrace::causal_pairs() const {
  double sum = 0;
  for (const PlanSummary& plan : summaries) sum += plan.causal_pairs;
  return sum;
}

double RunTrace::stage_seconds(Stage stage) const {
  double sum = 0;
  for (const StageReport& report : stages) {
    if (report.stage == stage) sum += report.seconds;
  }
  return sum;
}

double RunTrace::stage_seconds(Stage stage, int layer) const {
  double sum = 0;
  for (const StageReport& report : stages) {
    if (report.stage == stage && report.layer == layer) sum += report.seconds;
  }
  return sum;
}

void to_json(nlohmann::json& json, const RunTrace& trace) {
  json = nlohmann::json::object();
  json["tokens"] = trace.tokens;
  json["seconds"] = trace.seconds;
  json["peak_bytes"] = trace.peak_bytes;
  nlohmann::json& stages = json["stage_seconds"] = nlohmann::json::object();
  for (int s = 0; s < kStageCount; ++s) {
    const auto stage = static_cast<Stage>(s);
    stages[name_of(stage)] = trace.stage_seconds(stage);
  }
  nlohmann::json& layers = json["layers"] = nlohmann::json::array();
  for (int layer = 0; layer < trace.layers; ++layer) {
    nlohmann::json entry = {{"layer", layer}};
    nlohmann::json seconds = nlohmann::json::object();
    std::int64_t resident = 0;
    for (const StageReport& report : trace.stages) {
      if (report.layer != layer) continue;
      seconds[name_of(report.stage)] = report.seconds;
      resident = std::max(resident, report.resident_bytes);
    }
    entry["seconds"] = std::move(seconds);
    entry["resident_bytes"] = resident;
    const auto index = static_cast<std::size_t>(layer);
    if (index < trace.summaries.size()) {
      const PlanSummary& plan = trace.summaries[index];
      entry["plan"] = {{"shared", plan.shared},
                       {"window", plan.window},
                       {"mask_heads", plan.mask_heads},
                       {"query_groups", plan.query_groups},
                       {"key_ranges", plan.key_ranges},
                       {"kept_pairs", plan.kept_pairs},
                       {"causal_pairs", plan.causal_pairs},
                       {"density", plan.density()},
                       {"mask_bytes", plan.mask_bytes},
                       {"boundaries", plan.boundaries},
                       {"seconds",
                        {{"boundaries", plan.seconds.boundaries},
                         {"similarity", plan.seconds.similarity},
                         {"selection", plan.seconds.selection}}}};
    }
    if (index < trace.captured.size() && trace.captured[index] != nullptr) {
      entry["captured_bytes"] = trace.captured[index]->bytes();
    }
    layers.push_back(std::move(entry));
  }
}

TraceRecorder::TraceRecorder(RecordOptions options, PrefillObserver* next)
    : options_(std::move(options)), next_(next) {}

void TraceRecorder::prefill_begins(std::int64_t tokens, int layers) {
  for (const int layer : options_.capture_layers) {
    if (layer < 0 || layer >= layers) {
      throw Error(fmt::format("Layer {} cannot be captured: the model has layers 0 to {}.", layer, layers - 1));
    }
  }
  trace_ = {};  // a recorder may serve one run after another
  trace_.tokens = tokens;
  trace_.layers = layers;
  trace_.stages.reserve(static_cast<std::size_t>(layers) * kStageCount);
  trace_.summaries.resize(static_cast<std::size_t>(layers));
  trace_.plans.resize(static_cast<std::size_t>(layers));
  trace_.captured.resize(static_cast<std::size_t>(layers));
  if (next_ != nullptr) next_->prefill_begins(tokens, layers);
}

void TraceRecorder::stage_begins(Stage stage, int layer) {
  if (next_ != nullptr) next_->stage_begins(stage, layer);
}

void TraceRecorder::stage_ends(const StageReport& report) {
  trace_.stages.push_back(report);
  if (next_ != nullptr) next_->stage_ends(report);
}

namespace {

bool contains(const std::vector<int>& layers, int layer) {
  return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

}  // namespace

bool TraceRecorder::wants_attention(int layer) const {
  return contains(options_.capture_layers, layer) || (next_ != nullptr && next_->wants_attention(layer));
}

void TraceRecorder::attended(const AttendedLayer& layer) {
  const auto index = static_cast<std::size_t>(layer.layer.index);
  trace_.summaries[index] = summarise(layer.plan);
  if (options_.keep_plans) trace_.plans[index] = std::make_shared<const Plan>(layer.plan);
  if (contains(options_.capture_layers, layer.layer.index)) {
    trace_.captured[index] = std::make_shared<const CapturedLayer>(layer);
  }
  if (next_ != nullptr) next_->attended(layer);
}

bool TraceRecorder::wants_hidden(int index) const { return next_ != nullptr && next_->wants_hidden(index); }

void TraceRecorder::hidden(int index, const HeadsView& states) {
  if (next_ != nullptr) next_->hidden(index, states);
}

RunTrace TraceRecorder::take(const PrefillResult& result) {
  trace_.seconds = result.seconds;
  trace_.peak_bytes = result.peak_bytes;
  return std::exchange(trace_, {});
}

}  // namespace dhsa
