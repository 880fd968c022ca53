// on_cuda_internal.h in a build without CUDA: the device is never there, so nothing else can be reached.
#ifndef DHSA_CUDA
#include <stdexcept>

#include "core/model/on_cuda_internal.h"

namespace dhsa::on_cuda {
namespace {
[[noreturn]] void unreachable() { throw std::logic_error("CUDA code reached in a build without CUDA"); }
}  // namespace

bool available() { return false; }
void require() {
  throw Error(
      "This program was built without CUDA and cannot use a GPU: choose the CPU (--device cpu), or build with "
      "-DDHSA_CUDA=ON.");
}
at::Tensor to_device(const at::Tensor& /*host*/) { unreachable(); }
Memory memory() { unreachable(); }
void reset_peak() { unreachable(); }
void embed(std::span<const std::int32_t> /*ids*/, const at::Tensor& /*table*/, float /*scale*/, at::Tensor& /*x*/) {
  unreachable();
}
void rms_norm(const at::Tensor& /*x*/, const at::Tensor& /*weight*/, double /*eps*/, at::Tensor& /*out*/) {
  unreachable();
}
void add_normed(const at::Tensor& /*branch*/, const at::Tensor& /*weight*/, double /*eps*/, at::Tensor& /*x*/) {
  unreachable();
}
void rope_angles(std::span<const float> /*inverse_frequency*/, std::int64_t /*first*/, at::Tensor& /*angles*/) {
  unreachable();
}
void split_and_rotate(const at::Tensor& /*qkv*/, const at::Tensor& /*angles*/, at::Tensor& /*q*/, at::Tensor& /*k*/,
                      at::Tensor& /*v*/) {
  unreachable();
}
void geglu(const at::Tensor& /*gate_up*/, at::Tensor& /*out*/) { unreachable(); }
void linear(const at::Tensor& /*x*/, const at::Tensor& /*weight*/, at::Tensor& /*out*/) { unreachable(); }
void attend_one(const at::Tensor& /*q*/, const at::Tensor& /*k*/, const at::Tensor& /*v*/, const ScoreRule& /*rule*/,
                at::Tensor& /*out*/) {
  unreachable();
}

void attend_sdpa(const at::Tensor& /*q*/, const at::Tensor& /*k*/, const at::Tensor& /*v*/, float /*scale*/,
                 at::Tensor& /*out*/) {
  unreachable();
}
at::Tensor random_heads(std::int64_t /*heads*/, std::int64_t /*rows*/, std::int64_t /*dim*/) { unreachable(); }

struct StageClock::Events {};
StageClock::StageClock() { unreachable(); }
StageClock::~StageClock() = default;
void StageClock::begin(Stage /*stage*/, int /*layer*/) {}
void StageClock::end() {}
std::vector<StageReport> StageClock::finished(bool /*wait*/) { return {}; }

struct LayerAttention::State {};
LayerAttention::LayerAttention(Planner& /*planner*/, std::int64_t /*tokens*/) { unreachable(); }
LayerAttention::~LayerAttention() = default;
void LayerAttention::plan(const at::Tensor& /*q*/, const at::Tensor& /*k*/, const LayerInfo& /*layer*/,
                          const CancelToken* /*cancel*/) {}
void LayerAttention::attend(const at::Tensor& /*q*/, const at::Tensor& /*k*/, const at::Tensor& /*v*/,
                            const ScoreRule& /*rule*/, at::Tensor& /*out*/) {}
Plan LayerAttention::host_plan() { return {}; }

}  // namespace dhsa::on_cuda
#endif
