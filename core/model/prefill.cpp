#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/attention/attend.h"
#include "core/base/memory.h"
#include "core/model/gemma2_internal.h"
#include "core/model/on_cuda_internal.h"

namespace dhsa {
namespace {

using Clock = std::chrono::steady_clock;

// One prefill, from token ids to logits.
class PrefillRun {
 public:
  PrefillRun(const Gemma2Model& model, std::span<const std::int32_t> ids, Planner& planner,
             const PrefillOptions& options)
      : model_(model),
        config_(model.config()),
        ids_(ids),
        tokens_(static_cast<std::int64_t>(ids.size())),
        planner_(planner),
        options_(options),
        observer_(options.observer != nullptr ? options.observer : &silent_),
        buffers_(model.allocate(tokens_, options)) {
    if (model.options().device == Device::kCuda) {
      clock_.emplace();
      on_device_.emplace(planner_, tokens_);
    }
    if (options.keep_cache) {
      result_.cache =
          std::make_shared<KvCache>(config_, tokens_, ops::scalar_type(model.options().compute), buffers_.x);
    }
  }

  PrefillResult run() {
    observer_->prefill_begins(tokens_, static_cast<int>(config_.layers));
    stage(Stage::kEmbed, -1, [&] {
      ops::embed(ids_, model_.weights().embedding, model_.embedding_scale(), buffers_.x);
      buffers_.angles = ops::rope_angles(0, tokens_, config_.head_dim, config_.rope_theta, buffers_.x);
    });
    tell_hidden(0, buffers_.x);
    for (int layer = 0; layer < static_cast<int>(config_.layers); ++layer) {
      run_layer(layer);
      if (layer + 1 < static_cast<int>(config_.layers)) tell_hidden(layer + 1, buffers_.x);
    }
    finish();
    return std::move(result_);
  }

 private:
  template <class Work>
  void stage(Stage stage, int layer, const Work& work) {
    check();
    observer_->stage_begins(stage, layer);
    if (clock_) {
      clock_->begin(stage, layer);
      work();
      clock_->end();
      report(clock_->finished(false));
      return;
    }
    const Clock::time_point start = Clock::now();
    work();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    report({{stage, layer, seconds, options_.observer != nullptr ? resident_bytes() : 0}});
  }

  void report(const std::vector<StageReport>& reports) {
    for (const StageReport& each : reports) {
      result_.seconds += each.seconds;
      observer_->stage_ends(each);
    }
  }

  void check() const {
    if (options_.cancel != nullptr) options_.cancel->check();
  }

  template <class Work>
  void for_blocks(const Work& work) {
    const std::int64_t block = model_.row_block(options_);
    for (std::int64_t begin = 0; begin < tokens_; begin += block) {
      check();
      work(begin, std::min(block, tokens_ - begin));
    }
  }

  void tell_hidden(int index, const at::Tensor& states) {
    if (!observer_->wants_hidden(index)) return;
    const at::Tensor host = states.cpu();  // itself where it is there already
    observer_->hidden(index, ops::view(host.unsqueeze(0)));
  }

  void run_layer(int index) {
    const LayerWeights& layer = model_.weights().layers[static_cast<std::size_t>(index)];
    const LayerInfo info = layer_info(config_, index);
    at::Tensor k = buffers_.k;
    at::Tensor v = buffers_.v;
    // A layer that the cache keeps whole is written there at once.
    const bool in_cache = result_.cache != nullptr && result_.cache->first(index) == 0;
    if (in_cache) {
      k = result_.cache->keys(index).narrow(1, 0, tokens_);
      v = result_.cache->values(index).narrow(1, 0, tokens_);
    }
    stage(Stage::kQkv, index, [&] {
      for_blocks([&](std::int64_t begin, std::int64_t n) {
        at::Tensor q_rows = buffers_.q.narrow(1, begin, n);
        at::Tensor k_rows = k.narrow(1, begin, n);
        at::Tensor v_rows = v.narrow(1, begin, n);
        model_.project(layer, buffers_.x.narrow(0, begin, n), buffers_.angles.narrow(0, begin, n), buffers_, q_rows,
                       k_rows, v_rows);
      });
      if (result_.cache != nullptr && !in_cache) keep_window(index, k, v);
    });
    attend_layer(info, k, v);
    stage(Stage::kOutput, index, [&] {
      for_blocks([&](std::int64_t begin, std::int64_t n) {
        at::Tensor x = buffers_.x.narrow(0, begin, n);
        model_.add_attention(layer, buffers_.attended.narrow(0, begin, n), buffers_, x);
      });
    });
    stage(Stage::kMlp, index, [&] {
      for_blocks([&](std::int64_t begin, std::int64_t n) {
        at::Tensor x = buffers_.x.narrow(0, begin, n);
        model_.add_mlp(layer, buffers_, x);
      });
    });
  }

  void keep_window(int index, const at::Tensor& k, const at::Tensor& v) {
    const std::int64_t first = result_.cache->first(index);
    const std::int64_t n = tokens_ - first;
    result_.cache->keys(index).narrow(1, 0, n).copy_(k.narrow(1, first, n));
    result_.cache->values(index).narrow(1, 0, n).copy_(v.narrow(1, first, n));
  }

  void attend_layer(const LayerInfo& info, const at::Tensor& k, const at::Tensor& v) {
    const HeadsView q_view = ops::view(buffers_.q);
    const HeadsView k_view = ops::view(k);
    const HeadsView v_view = ops::view(v);
    at::Tensor by_head = buffers_.attended.view({tokens_, config_.heads, config_.head_dim}).transpose(0, 1);
    if (on_device_) return attend_on_device(info, k, v, by_head);
    const MutableHeadsView out = ops::mutable_view(by_head);
    Plan plan;
    stage(Stage::kPlan, info.index, [&] { plan = planner_.plan(q_view, k_view, info, options_.cancel); });
    stage(Stage::kAttend, info.index,
          [&] { attend(q_view, k_view, v_view, plan.mask, model_.score_rule(), out, options_.cancel); });
    const HeadsView output = out;
    observer_->attended({info, q_view, k_view, v_view, output, plan});
  }

  void attend_on_device(const LayerInfo& info, const at::Tensor& k, const at::Tensor& v, at::Tensor& by_head) {
    stage(Stage::kPlan, info.index, [&] { on_device_->plan(buffers_.q, k, info, options_.cancel); });
    stage(Stage::kAttend, info.index, [&] { on_device_->attend(buffers_.q, k, v, model_.score_rule(), by_head); });
    if (options_.observer == nullptr) return;
    const Plan plan = on_device_->host_plan();
    if (!observer_->wants_attention(info.index)) {
      HeadsView q_view = ops::view(buffers_.q), kv_view = ops::view(k);
      q_view.data = kv_view.data = nullptr;
      observer_->attended({info, q_view, kv_view, kv_view, q_view, plan});
      return;
    }
    const at::Tensor host_q = buffers_.q.cpu(), host_k = k.cpu(), host_v = v.cpu(), host_out = by_head.cpu();
    observer_->attended({info, ops::view(host_q), ops::view(host_k), ops::view(host_v), ops::view(host_out), plan});
  }

  void finish() {
    std::vector<std::int32_t> positions = options_.logit_positions;
    const auto last = static_cast<std::int32_t>(tokens_ - 1);
    if (positions.empty()) positions.push_back(last);
    const auto asked = positions.size();
    // Decoding goes on from the last position, whatever was asked for.
    if (result_.cache != nullptr && positions.back() != last) positions.push_back(last);

    const auto final_layer = static_cast<int>(config_.layers);
    const bool all_rows = options_.keep_final_hidden || observer_->wants_hidden(final_layer);
    at::Tensor all;
    stage(Stage::kLogits, -1, [&] {
      const std::int64_t hidden = config_.hidden_size;
      const auto count = static_cast<std::int64_t>(positions.size());
      at::Tensor rows = ops::empty({count, hidden}, at::kFloat, buffers_.x);
      for (std::int64_t i = 0; i < count; ++i)
        rows.select(0, i).copy_(buffers_.x.select(0, positions[static_cast<std::size_t>(i)]));
      at::Tensor normed = ops::empty({count, hidden}, at::kFloat, buffers_.x);
      ops::rms_norm(rows, model_.weights().final_norm, config_.rms_norm_eps, normed);
      result_.logits.resize(static_cast<std::size_t>(count * config_.vocab_size));
      model_.logits_of(normed, result_.logits.data());
      if (all_rows) {
        if (options_.keep_final_hidden) result_.final_hidden.resize(static_cast<std::size_t>(tokens_ * hidden));
        if (options_.keep_final_hidden && !on_device_) {
          all = at::from_blob(result_.final_hidden.data(), {tokens_, hidden}, at::kFloat);
        } else {
          all = ops::empty({tokens_, hidden}, at::kFloat, buffers_.x);
        }
        ops::rms_norm(buffers_.x, model_.weights().final_norm, config_.rms_norm_eps, all);
        if (options_.keep_final_hidden && on_device_) {
          at::from_blob(result_.final_hidden.data(), {tokens_, hidden}, at::kFloat).copy_(all);
        }
      }
    });
    if (clock_) report(clock_->finished(true));
    if (all_rows) tell_hidden(final_layer, all);
    if (result_.cache != nullptr) {
      const auto row = result_.logits.end() - config_.vocab_size;
      result_.cache->next_token = static_cast<std::int32_t>(std::max_element(row, result_.logits.end()) - row);
    }
    result_.logits.resize(asked * static_cast<std::size_t>(config_.vocab_size));
  }

  const Gemma2Model& model_;
  const Gemma2Config& config_;
  std::span<const std::int32_t> ids_;
  std::int64_t tokens_;
  Planner& planner_;
  const PrefillOptions& options_;
  PrefillObserver silent_;
  PrefillObserver* observer_;
  PrefillBuffers buffers_;
  std::optional<on_cuda::StageClock> clock_;  // both on CUDA only
  std::optional<on_cuda::LayerAttention> on_device_;
  PrefillResult result_;
};

void check_token(const Gemma2Config& config, std::int64_t token, const std::string& where) {
  if (token < 0 || token >= config.vocab_size) {
    throw Error(
        fmt::format("Token {}{} is outside the model's vocabulary of {}: tokenizer and model do not belong "
                    "together.",
                    token, where, config.vocab_size));
  }
}

}  // namespace

PrefillResult Gemma2Model::prefill(std::span<const std::int32_t> ids, Planner& planner,
                                   const PrefillOptions& options) const {
  if (ids.empty()) throw Error("There are no tokens to run: the text is empty.");
  for (std::size_t i = 0; i < ids.size(); ++i) check_token(config_, ids[i], fmt::format(" at position {}", i));
  const auto tokens = static_cast<std::int64_t>(ids.size());
  for (const std::int32_t position : options.logit_positions) {
    if (position < 0 || position >= tokens) {
      throw Error(fmt::format("Logits were asked for at position {} but the text has {} tokens.", position, tokens));
    }
  }
  const PrefillEstimate need = estimate(tokens, options);
  if (need.activations > need.available) {
    throw Error(
        fmt::format("A prefill of {} tokens needs about {} beside the weights and {} are free: shorten the text "
                    "to at most {} tokens.",
                    tokens, size_text(need.activations), size_text(need.available), need.longest));
  }
  const bool cuda = options_.device == Device::kCuda;
  cuda ? on_cuda::reset_peak() : reset_peak_resident();
  const std::int64_t start = cuda ? on_cuda::memory().allocated : resident_bytes();
  PrefillResult result = PrefillRun(*this, ids, planner, options).run();
  result.start_bytes = start;
  result.peak_bytes = cuda ? on_cuda::memory().peak : peak_resident_bytes();
  return result;
}

std::vector<float> Gemma2Model::decode_step(KvCache& cache, std::int32_t token) const {
  check_token(config_, token, "");
  if (cache.layers() != config_.layers || cache.keys(0).size(0) != config_.kv_heads ||
      cache.keys(0).size(2) != config_.head_dim || ops::dtype_of(cache.keys(0)) != options_.compute) {
    throw Error("This key/value cache belongs to another model.");
  }
  cache.reserve_next();
  const std::int64_t position = cache.length();
  const at::ScalarType type = ops::scalar_type(options_.compute);
  PrefillBuffers buffers = allocate(1, {});
  buffers.angles = ops::rope_angles(position, 1, config_.head_dim, config_.rope_theta, buffers.x);
  ops::embed({&token, 1}, weights_.embedding, embedding_scale(), buffers.x);
  at::Tensor attended = ops::empty({config_.heads, 1, config_.head_dim}, type, buffers.x);
  for (std::int64_t l = 0; l < config_.layers; ++l) {
    const LayerWeights& layer = weights_.layers[static_cast<std::size_t>(l)];
    const std::int64_t at = position - cache.first(l);
    at::Tensor k = cache.keys(l).narrow(1, at, 1);
    at::Tensor v = cache.values(l).narrow(1, at, 1);
    project(layer, buffers.x, buffers.angles, buffers, buffers.q, k, v);
    const std::int64_t window = config_.window_of(l);
    const std::int64_t keys = window > 0 ? std::min(at + 1, window) : at + 1;
    ops::attend_one(buffers.q, cache.keys(l).narrow(1, at + 1 - keys, keys),
                    cache.values(l).narrow(1, at + 1 - keys, keys), score_rule(), attended);
    add_attention(layer, attended.view({1, config_.heads * config_.head_dim}), buffers, buffers.x);
    add_mlp(layer, buffers, buffers.x);
  }
  at::Tensor normed = ops::empty({1, config_.hidden_size}, at::kFloat, buffers.x);
  ops::rms_norm(buffers.x, weights_.final_norm, config_.rms_norm_eps, normed);
  std::vector<float> logits(static_cast<std::size_t>(config_.vocab_size));
  logits_of(normed, logits.data());
  cache.advance();
  return logits;
}

}  // namespace dhsa
