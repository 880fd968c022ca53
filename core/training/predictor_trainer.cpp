#include "core/training/predictor_trainer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

namespace dhsa {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kAdamEpsilon = 1e-8;
constexpr double kNormEpsilon = 1e-5;  // both as in BoundaryPredictor
constexpr double kCosineEpsilon = 1e-6;

at::Tensor tensor_of(const float* values, at::IntArrayRef shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::memcpy(tensor.data_ptr<float>(), values, static_cast<std::size_t>(tensor.numel()) * sizeof(float));
  return tensor;
}

void copy_to(const at::Tensor& tensor, float* to) {
  const at::Tensor host = tensor.detach().cpu().contiguous();
  std::memcpy(to, host.data_ptr<float>(), static_cast<std::size_t>(host.numel()) * sizeof(float));
}

}  // namespace

std::vector<std::pair<const char*, std::vector<float>*>> tensors_of(PredictorWeights& w) {
  return {{"enc.mha.in_proj_weight", &w.in_proj_weight},
          {"enc.mha.in_proj_bias", &w.in_proj_bias},
          {"enc.mha.out_proj.weight", &w.out_proj_weight},
          {"enc.mha.out_proj.bias", &w.out_proj_bias},
          {"enc.norm.weight", &w.norm_weight},
          {"enc.norm.bias", &w.norm_bias},
          {"pool.gate.weight", &w.gate_weight},
          {"mlp.0.weight", &w.mlp0_weight},
          {"mlp.0.bias", &w.mlp0_bias},
          {"mlp.2.weight", &w.mlp2_weight},
          {"mlp.2.bias", &w.mlp2_bias}};
}

std::vector<std::vector<std::int64_t>> shapes_of(const PredictorWeights& w) {
  const std::int64_t c = w.channels;
  return {{3 * c, c}, {3 * c}, {c, c}, {c}, {c}, {c}, {1, c}, {w.hidden, 4 * c + 1}, {w.hidden}, {1, w.hidden}, {1}};
}

// Attention starts as Xavier, linear layers within 1 / sqrt(inputs), biases of the attention at zero: the usual start
// of these layers where the reference was trained.
TrainerState initial_state(const PredictorWeights& shape, std::uint64_t seed) {
  TrainerState state;
  PredictorWeights& w = state.weights;
  w.channels = shape.channels;
  w.hidden = shape.hidden;
  w.heads = shape.heads;
  w.boundary_window = shape.boundary_window;
  std::mt19937_64 random(seed);
  const auto fill = [&](std::vector<float>& values, std::int64_t n, double bound) {
    values.resize(static_cast<std::size_t>(n));
    for (float& value : values) {
      const double unit = static_cast<double>(random() >> 11U) * 0x1p-53;  // the same on every library
      value = static_cast<float>(bound * (2 * unit - 1));
    }
  };
  const auto inputs = [](std::int64_t n) { return 1.0 / std::sqrt(static_cast<double>(n)); };
  const std::int64_t c = w.channels;
  fill(w.in_proj_weight, 3 * c * c, std::sqrt(6.0 / static_cast<double>(4 * c)));
  w.in_proj_bias.assign(static_cast<std::size_t>(3 * c), 0.0F);
  fill(w.out_proj_weight, c * c, inputs(c));
  w.out_proj_bias.assign(static_cast<std::size_t>(c), 0.0F);
  w.norm_weight.assign(static_cast<std::size_t>(c), 1.0F);
  w.norm_bias.assign(static_cast<std::size_t>(c), 0.0F);
  fill(w.gate_weight, c, inputs(c));
  fill(w.mlp0_weight, w.hidden * (4 * c + 1), inputs(4 * c + 1));
  fill(w.mlp0_bias, w.hidden, inputs(4 * c + 1));
  fill(w.mlp2_weight, w.hidden, inputs(w.hidden));
  fill(w.mlp2_bias, 1, inputs(w.hidden));
  std::size_t numbers = 0;
  for (const auto& [name, values] : tensors_of(w)) numbers += values->size();
  state.first_moment.assign(numbers, 0.0F);
  state.second_moment.assign(numbers, 0.0F);
  return state;
}

double focal_loss(double logit, bool ends, const LearningRule& rule) {
  const double toward = ends ? logit : -logit;
  const double log_p = toward > 0 ? -std::log1p(std::exp(-toward)) : toward - std::log1p(std::exp(toward));
  const double miss = -std::expm1(log_p);
  return -(ends ? rule.positive_weight : 1.0) * std::pow(miss, rule.focal_gamma) * log_p;
}

struct PredictorTrainer::Network {
  LearningRule rule;
  at::Device device = at::kCPU;
  PredictorWeights shape;  // sizes only
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> first;
  std::vector<at::Tensor> second;
  std::int64_t steps = 0;

  // Windows [n, 2w, C]: the keys around each cut.
  [[nodiscard]] at::Tensor windows(std::span<const LabelledKeys> layers, std::span<const Cut> cuts) const {
    const std::int64_t span = 2 * shape.boundary_window;
    const auto n = static_cast<std::int64_t>(cuts.size());
    at::Tensor values = at::empty({n, span, shape.channels}, at::kFloat);
    float* to = values.data_ptr<float>();
    for (const Cut& cut : cuts) {
      const LabelledKeys& layer = layers[static_cast<std::size_t>(cut.layer)];
      for (std::int64_t t = cut.token - shape.boundary_window + 1; t <= cut.token + shape.boundary_window; ++t) {
        for (std::int64_t h = 0; h < layer.heads; ++h, to += layer.dim) {
          std::copy_n(layer.keys.data() + (h * layer.tokens + t) * layer.dim, layer.dim, to);
        }
      }
    }
    return values.to(device);
  }

  // As BoundaryPredictor::logits(), spelled in whole tensors: [n, 2w, C] -> [n].
  [[nodiscard]] at::Tensor forward(const at::Tensor& keys) const {
    const std::int64_t n = keys.size(0);
    const std::int64_t c = shape.channels;
    const std::int64_t w = shape.boundary_window;
    const std::int64_t head_dim = c / shape.heads;
    const auto& p = parameters;
    const at::Tensor qkv =
        at::linear(keys, p[0], p[1]).view({n, 2 * w, 3, shape.heads, head_dim}).permute({2, 0, 3, 1, 4});
    const at::Tensor similarity =
        at::matmul(qkv[0].mul(1.0 / std::sqrt(static_cast<double>(head_dim))), qkv[1].transpose(-2, -1));
    const at::Tensor mixed = at::matmul(at::softmax(similarity, -1), qkv[2]).transpose(1, 2).reshape({n, 2 * w, c});
    const at::Tensor encoded = at::layer_norm(at::linear(mixed, p[2], p[3]), {c}, p[4], p[5], kNormEpsilon);
    const at::Tensor sides = encoded.view({n, 2, w, c});
    const at::Tensor gates = at::softmax(at::linear(sides, p[6]), 2);
    const at::Tensor pooled = gates.mul(sides).sum(2);
    const at::Tensor left = pooled.select(1, 0);
    const at::Tensor right = pooled.select(1, 1);
    const at::Tensor product = left.mul(right);
    const auto length = [](const at::Tensor& x) { return at::clamp_min(x.mul(x).sum(1, true).sqrt(), kCosineEpsilon); };
    const at::Tensor cosine = product.sum(1, true).div(length(left).mul(length(right)));
    const at::Tensor features = at::cat({left, right, left.sub(right).abs(), product, cosine}, 1);
    const at::Tensor hidden = at::linear(features, p[7], p[8]).relu();
    return at::linear(hidden, p[9], p[10]).squeeze(1);
  }

  [[nodiscard]] at::Tensor loss(const at::Tensor& logits, const at::Tensor& ends) const {
    const at::Tensor log_p = at::log_sigmoid(at::where(ends, logits, logits.neg()));
    const at::Tensor miss = at::clamp_min(log_p.expm1().neg(), 1e-12);  // a power below 1 has no slope at 0
    const at::Tensor weight = at::zeros_like(logits).add(1.0).masked_fill(ends, rule.positive_weight);
    return weight.mul(miss.pow(rule.focal_gamma)).mul(log_p).mean().neg();
  }

  void adam() {
    const c10::AutoGradMode off(false);
    ++steps;
    const double step = rule.learning_rate / (1 - std::pow(kBeta1, static_cast<double>(steps)));
    const double correct = 1 / std::sqrt(1 - std::pow(kBeta2, static_cast<double>(steps)));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor& parameter = parameters[i];
      const at::Tensor gradient = parameter.grad();
      first[i].mul_(kBeta1).add_(gradient, 1 - kBeta1);
      second[i].mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
      parameter.addcdiv_(first[i], second[i].sqrt().mul_(correct).add_(kAdamEpsilon), -step);
      parameter.mutable_grad().reset();
    }
  }
};

PredictorTrainer::PredictorTrainer(const TrainerState& state, const LearningRule& rule, Device device)
    : network_(std::make_unique<Network>()) {
  Network& network = *network_;
  network.rule = rule;
  network.device = device == Device::kCuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  PredictorWeights weights = state.weights;
  const auto shapes = shapes_of(weights);
  const auto tensors = tensors_of(weights);
  const float* first = state.first_moment.data();
  const float* second = state.second_moment.data();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    network.parameters.push_back(tensor_of(tensors[i].second->data(), shapes[i]).to(network.device));
    network.parameters.back().requires_grad_(true);
    network.first.push_back(tensor_of(first, shapes[i]).to(network.device));
    network.second.push_back(tensor_of(second, shapes[i]).to(network.device));
    first += tensors[i].second->size();
    second += tensors[i].second->size();
  }
  network.steps = state.steps;
  network.shape.channels = weights.channels;
  network.shape.hidden = weights.hidden;
  network.shape.heads = weights.heads;
  network.shape.boundary_window = weights.boundary_window;
}

PredictorTrainer::~PredictorTrainer() = default;

double PredictorTrainer::learn(std::span<const LabelledKeys> layers, std::span<const Cut> cuts) {
  Network& network = *network_;
  at::Tensor ends = at::empty({static_cast<std::int64_t>(cuts.size())}, at::kBool);
  bool* end = ends.data_ptr<bool>();
  for (const Cut& cut : cuts) {
    *end++ = layers[static_cast<std::size_t>(cut.layer)].ratios[static_cast<std::size_t>(cut.token)] >= kBoundaryRatio;
  }
  const at::Tensor loss = network.loss(network.forward(network.windows(layers, cuts)), ends.to(network.device));
  loss.backward();
  network.adam();
  return loss.item().toDouble();
}

std::vector<float> PredictorTrainer::logits(std::span<const LabelledKeys> layers, std::span<const Cut> cuts) const {
  const c10::AutoGradMode off(false);
  std::vector<float> values(cuts.size());
  copy_to(network_->forward(network_->windows(layers, cuts)), values.data());
  return values;
}

TrainerState PredictorTrainer::state() const {
  const Network& network = *network_;
  TrainerState state;
  state.weights = network.shape;
  state.steps = network.steps;
  const auto tensors = tensors_of(state.weights);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto n = static_cast<std::size_t>(network.parameters[i].numel());
    tensors[i].second->resize(n);
    copy_to(network.parameters[i], tensors[i].second->data());
    for (auto [moments, tensor] :
         {std::pair{&state.first_moment, network.first[i]}, std::pair{&state.second_moment, network.second[i]}}) {
      moments->resize(moments->size() + n);
      copy_to(tensor, moments->data() + moments->size() - n);
    }
  }
  return state;
}

}  // namespace dhsa
