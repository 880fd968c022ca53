#include "core/training/labelled_keys.h"

#include <algorithm>
#include <cmath>

#include "core/sparsity/boundaries.h"

namespace dhsa {
namespace {

class Labeller : public PrefillObserver {
 public:
  Labeller(std::int64_t boundary_window, const CancelToken* cancel)
      : boundary_window_(boundary_window), cancel_(cancel) {}

  [[nodiscard]] bool wants_attention(int /*layer*/) const override { return true; }
  void attended(const AttendedLayer& layer) override {
    LabelledKeys labelled;
    labelled.tokens = layer.k.rows;
    labelled.heads = layer.k.heads;
    labelled.dim = layer.k.dim;
    labelled.keys.resize(static_cast<std::size_t>(layer.k.heads * layer.k.rows * layer.k.dim));
    float* to = labelled.keys.data();
    for (std::int64_t h = 0; h < layer.k.heads; ++h) {
      for (std::int64_t j = 0; j < layer.k.rows; ++j, to += layer.k.dim) layer.k.load_row(h, j, to);
    }
    AttentionMassRule rule;
    rule.boundary_window = boundary_window_;
    rule.scale = layer.layer.scale;
    rule.softcap = layer.layer.softcap;
    rule.window = rule.row_window = layer.layer.window;
    labelled.ratios = attention_mass_ratios(layer.q, layer.k, rule, cancel_);
    layers_.push_back(std::move(labelled));
  }
  [[nodiscard]] std::vector<LabelledKeys> take() { return std::move(layers_); }

 private:
  std::int64_t boundary_window_;
  const CancelToken* cancel_;
  std::vector<LabelledKeys> layers_;
};

}  // namespace

std::vector<std::int32_t> LabelledKeys::cuts(std::int64_t boundary_window) const {
  std::vector<std::int32_t> defined;
  for (std::int64_t j = boundary_window - 1; j < tokens - boundary_window; ++j) {
    if (!std::isnan(ratios[static_cast<std::size_t>(j)])) defined.push_back(static_cast<std::int32_t>(j));
  }
  return defined;
}

std::vector<LabelledKeys> label_sequence(const Gemma2& model, std::span<const std::int32_t> ids,
                                         std::int64_t boundary_window, const CancelToken* cancel) {
  Labeller labeller(boundary_window, cancel);
  SparsityParameters dense;
  dense.method = Method::kDense;
  const std::unique_ptr<Planner> planner = make_planner(dense, {static_cast<std::int64_t>(ids.size()), {}});
  PrefillOptions options;
  options.observer = &labeller;
  options.cancel = cancel;
  static_cast<void>(model.prefill(ids, *planner, options));
  return labeller.take();
}

}  // namespace dhsa
