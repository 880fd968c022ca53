#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>

#include "core/attention/attend.h"
#include "core/base/hash.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
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
        text_(hash_of(ids)),
        planner_(planner),
        options_(options),
        observer_(options.observer != nullptr ? options.observer : &silent_),
        blocks_(model.row_blocks(tokens_, options)),
        buffers_(model.allocate(tokens_)),
        positions_(options.logit_positions) {
    const auto last = static_cast<std::int32_t>(tokens_ - 1);
    if (positions_.empty()) positions_.push_back(last);
    asked_ = positions_.size();
    // Decoding goes on from the last position, whatever was asked for.
    if (options.keep_cache && positions_.back() != last) positions_.push_back(last);
    all_rows_ = options.keep_final_hidden || observer_->wants_hidden(static_cast<int>(config_.layers));
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
      if (layer == options_.last_layer) {
        if (clock_) report(clock_->finished(true));
        return std::move(result_);
      }
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

  // work(begin, rows, buffers) for all rows, block by block: some blocks at a time, each with buffers of its own.
  template <class Work>
  void for_blocks(const Work& work) {
    const std::int64_t count = (tokens_ + blocks_.rows - 1) / blocks_.rows;
    std::atomic<std::int64_t> next{0};
    const auto take = [&](std::int64_t slot) {
      for (std::int64_t block = next++; block < count; block = next++) {
        check();
        const std::int64_t begin = block * blocks_.rows;
        work(begin, std::min(blocks_.rows, tokens_ - begin), rows_[static_cast<std::size_t>(slot)]);
      }
    };
    // A parallel region of one thread would keep those inside it from using the pool.
    if (blocks_.together == 1) return take(0);
    parallel_for(blocks_.together, take, options_.cancel);
  }

  // The same where only the rows that logits are asked of go on: past the attention of the last layer.
  template <class Work>
  void for_asked_blocks(const Work& work) {
    for_blocks([&](std::int64_t begin, std::int64_t n, RowBuffers& rows) {
      std::int64_t first = begin + n, last = -1;
      for (const std::int64_t position : positions_) {
        if (position < begin || position >= begin + n) continue;
        first = std::min(first, position);
        last = std::max(last, position);
      }
      if (last >= first) work(first, last + 1 - first, rows);
    });
  }

  void take_rows() {
    while (static_cast<int>(rows_.size()) < blocks_.together) rows_.push_back(model_.allocate_rows(blocks_.rows));
  }

  void tell_hidden(int index, const at::Tensor& states) {
    if (!observer_->wants_hidden(index)) return;
    const at::Tensor host = states.cpu();  // itself where it is there already
    observer_->hidden(index, ops::view(host.unsqueeze(0)));
  }

  void run_layer(int index) {
    const LayerWeights& layer = model_.weights().layers[static_cast<std::size_t>(index)];
    LayerInfo info = layer_info(config_, index);
    info.text = text_;
    at::Tensor k = buffers_.k;
    at::Tensor v = buffers_.v;
    // A layer that the cache keeps whole is written there at once.
    const bool in_cache = result_.cache != nullptr && result_.cache->first(index) == 0;
    if (in_cache) {
      k = result_.cache->keys(index).narrow(1, 0, tokens_);
      v = result_.cache->values(index).narrow(1, 0, tokens_);
    }
    stage(Stage::kQkv, index, [&] {
      take_rows();
      for_blocks([&](std::int64_t begin, std::int64_t n, RowBuffers& rows) {
        at::Tensor q_rows = buffers_.q.narrow(1, begin, n);
        at::Tensor k_rows = k.narrow(1, begin, n);
        at::Tensor v_rows = v.narrow(1, begin, n);
        model_.project(layer, buffers_.x.narrow(0, begin, n), buffers_.angles.narrow(0, begin, n), rows, q_rows, k_rows,
                       v_rows);
      });
      rows_.clear();  // leaves room for what a plan takes, so that sparse methods need no more memory than dense
      if (result_.cache != nullptr && !in_cache) keep_window(index, k, v);
    });
    attend_layer(info, k, v);
    if (index == options_.last_layer) return;
    const bool asked_only = index + 1 == config_.layers && !all_rows_;
    const auto for_rows = [&](const auto& work) { asked_only ? for_asked_blocks(work) : for_blocks(work); };
    stage(Stage::kOutput, index, [&] {
      take_rows();
      for_rows([&](std::int64_t begin, std::int64_t n, RowBuffers& rows) {
        at::Tensor x = buffers_.x.narrow(0, begin, n);
        model_.add_attention(layer, buffers_.attended.narrow(0, begin, n), rows, x);
      });
    });
    stage(Stage::kMlp, index, [&] {
      for_rows([&](std::int64_t begin, std::int64_t n, RowBuffers& rows) {
        at::Tensor x = buffers_.x.narrow(0, begin, n);
        model_.add_mlp(layer, rows, x);
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
    at::Tensor all;
    stage(Stage::kLogits, -1, [&] {
      const std::int64_t hidden = config_.hidden_size;
      const auto count = static_cast<std::int64_t>(positions_.size());
      at::Tensor rows = ops::empty({count, hidden}, at::kFloat, buffers_.x);
      for (std::int64_t i = 0; i < count; ++i)
        rows.select(0, i).copy_(buffers_.x.select(0, positions_[static_cast<std::size_t>(i)]));
      at::Tensor normed = ops::empty({count, hidden}, at::kFloat, buffers_.x);
      ops::rms_norm(rows, model_.weights().final_norm, config_.rms_norm_eps, normed);
      result_.logits.resize(static_cast<std::size_t>(count * config_.vocab_size));
      model_.logits_of(normed, result_.logits.data());
      if (all_rows_) {
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
    if (all_rows_) tell_hidden(static_cast<int>(config_.layers), all);
    if (result_.cache != nullptr) {
      const auto row = result_.logits.end() - config_.vocab_size;
      result_.cache->next_token = static_cast<std::int32_t>(std::max_element(row, result_.logits.end()) - row);
    }
    result_.logits.resize(asked_ * static_cast<std::size_t>(config_.vocab_size));
  }

  const Gemma2Model& model_;
  const Gemma2Config& config_;
  std::span<const std::int32_t> ids_;
  std::int64_t tokens_;
  std::uint64_t text_;
  Planner& planner_;
  const PrefillOptions& options_;
  PrefillObserver silent_;
  PrefillObserver* observer_;
  RowBlocks blocks_;
  PrefillBuffers buffers_;
  std::vector<RowBuffers> rows_;         // [blocks_.together] while linear layers run
  std::vector<std::int32_t> positions_;  // whose logits are computed; the first asked_ are returned
  std::size_t asked_ = 0;
  bool all_rows_ = false;                     // the final states of all are wanted
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
  if (options.last_layer >= config_.layers) {
    throw Error(fmt::format("A prefill cannot end with layer {}: the model has layers 0 to {}.", options.last_layer,
                            config_.layers - 1));
  }
  if (options.last_layer >= 0 &&
      (options.keep_cache || options.keep_final_hidden || !options.logit_positions.empty())) {
    throw Error("A prefill that ends with a layer gives no logits, final states or cache.");
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
  PrefillBuffers buffers = allocate(1);
  RowBuffers rows = allocate_rows(1);
  buffers.angles = ops::rope_angles(position, 1, config_.head_dim, config_.rope_theta, buffers.x);
  ops::embed({&token, 1}, weights_.embedding, embedding_scale(), buffers.x);
  at::Tensor attended = ops::empty({config_.heads, 1, config_.head_dim}, type, buffers.x);
  for (std::int64_t l = 0; l < config_.layers; ++l) {
    const LayerWeights& layer = weights_.layers[static_cast<std::size_t>(l)];
    const std::int64_t at = position - cache.first(l);
    at::Tensor k = cache.keys(l).narrow(1, at, 1);
    at::Tensor v = cache.values(l).narrow(1, at, 1);
    project(layer, buffers.x, buffers.angles, rows, buffers.q, k, v);
    const std::int64_t window = config_.window_of(l);
    const std::int64_t keys = window > 0 ? std::min(at + 1, window) : at + 1;
    ops::attend_one(buffers.q, cache.keys(l).narrow(1, at + 1 - keys, keys),
                    cache.values(l).narrow(1, at + 1 - keys, keys), score_rule(), attended);
    add_attention(layer, attended.view({1, config_.heads * config_.head_dim}), rows, buffers.x);
    add_mlp(layer, rows, buffers.x);
  }
  at::Tensor normed = ops::empty({1, config_.hidden_size}, at::kFloat, buffers.x);
  ops::rms_norm(buffers.x, weights_.final_norm, config_.rms_norm_eps, normed);
  std::vector<float> logits(static_cast<std::size_t>(config_.vocab_size));
  logits_of(normed, logits.data());
  cache.advance();
  return logits;
}

}  // namespace dhsa
