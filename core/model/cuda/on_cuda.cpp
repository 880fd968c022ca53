#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "core/model/cuda/device_internal.h"
#include "core/model/cuda/ops_cuda.h"

namespace dhsa::on_cuda {
namespace {

void check(cudaError_t error) {
  if (error != cudaSuccess) on_cuda::check(cudaGetErrorString(error));
}

at::TensorOptions on_device(at::ScalarType type) { return at::TensorOptions().dtype(type).device(at::kCUDA); }

}  // namespace

bool available() { return c10::cuda::device_count() > 0; }

void require() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) {
    (void)at::empty({1}, on_device(at::kByte));  // libtorch sets its allocator up with the first tensor
    return;
  }
  throw Error(fmt::format("There is no usable GPU here ({}): choose the CPU (--device cpu).",
                          error == cudaSuccess ? "none found" : cudaGetErrorString(error)));
}

at::Tensor to_device(const at::Tensor& host) { return host.to(at::kCUDA); }

Memory memory() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(c10::cuda::current_device());
  const auto& allocated = stats.allocated_bytes[0];  // [0]: of all pools
  return {allocated.current, allocated.peak,
          static_cast<std::int64_t>(free) + stats.reserved_bytes[0].current - allocated.current};
}

void reset_peak() { c10::cuda::CUDACachingAllocator::resetPeakStats(c10::cuda::current_device()); }

void embed(std::span<const std::int32_t> ids, const at::Tensor& table, float scale, at::Tensor& x) {
  const at::Tensor host = at::from_blob(const_cast<std::int32_t*>(ids.data()), {static_cast<std::int64_t>(ids.size())},
                                        at::TensorOptions().dtype(at::kInt));
  const at::Tensor device = to_device(host);
  check(cuda::embed(device.data_ptr<std::int32_t>(), table.data_ptr(), scale, x.data_ptr<float>(), x.size(0), x.size(1),
                    stream()));
}

void rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out) {
  check(cuda::rms_norm(x.data_ptr<float>(), weight.data_ptr<float>(), static_cast<float>(eps), out.data_ptr(),
                       out.scalar_type() == at::kFloat, x.size(0), x.size(1), stream()));
}

void add_normed(const at::Tensor& branch, const at::Tensor& weight, double eps, at::Tensor& x) {
  check(cuda::add_normed(branch.data_ptr(), weight.data_ptr<float>(), static_cast<float>(eps), x.data_ptr<float>(),
                         x.size(0), x.size(1), stream()));
}

void rope_angles(std::span<const float> inverse_frequency, std::int64_t first, at::Tensor& angles) {
  const at::Tensor host =
      at::from_blob(const_cast<float*>(inverse_frequency.data()), {static_cast<std::int64_t>(inverse_frequency.size())},
                    at::TensorOptions().dtype(at::kFloat));
  const at::Tensor device = to_device(host);
  check(cuda::rope_angles(device.data_ptr<float>(), first, angles.data_ptr<float>(), angles.size(0),
                          static_cast<int>(angles.size(1)), stream()));
}

void split_and_rotate(const at::Tensor& qkv, const at::Tensor& angles, at::Tensor& q, at::Tensor& k, at::Tensor& v) {
  check(cuda::split_and_rotate(qkv.data_ptr(), angles.data_ptr<float>(), heads_of(q), heads_of(k), heads_of(v),
                               static_cast<int>(q.size(0)), static_cast<int>(k.size(0)), static_cast<int>(q.size(2)),
                               qkv.size(0), stream()));
}

void geglu(const at::Tensor& gate_up, at::Tensor& out) {
  check(cuda::geglu(gate_up.data_ptr(), out.data_ptr(), out.size(0), out.size(1), stream()));
}

void linear(const at::Tensor& x, const at::Tensor& weight, at::Tensor& out) {
  if (x.scalar_type() == weight.scalar_type()) {
    at::mm_out(out, x, weight.t());
    return;
  }
  // Logits: the rows are float32 and few; the weight passes through a float32 panel. `out` may lie on the host.
  constexpr std::int64_t kPanelValues = std::int64_t{1} << 24U;
  const std::int64_t step = std::max<std::int64_t>(1, kPanelValues / weight.size(1));
  for (std::int64_t begin = 0; begin < weight.size(0); begin += step) {
    const std::int64_t n = std::min(step, weight.size(0) - begin);
    out.narrow(1, begin, n).copy_(at::mm(x, weight.narrow(0, begin, n).to(at::kFloat).t()));
  }
}

void attend_one(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const ScoreRule& rule, at::Tensor& out) {
  const std::int64_t kv_heads = k.size(0), group = q.size(0) / kv_heads, dim = q.size(2);
  const at::Tensor grouped = q.reshape({kv_heads, group, dim}).to(at::kFloat);
  at::Tensor scores = at::matmul(grouped, k.to(at::kFloat).transpose(1, 2)).mul_(rule.scale);
  if (rule.softcap > 0) scores = at::tanh(scores.div_(rule.softcap)).mul_(rule.softcap);
  out.copy_(at::matmul(at::softmax(scores, -1), v.to(at::kFloat)).reshape(out.sizes()));
}

void attend_sdpa(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, float scale, at::Tensor& out) {
  out = at::scaled_dot_product_attention(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), {}, 0.0, true,
                                         static_cast<double>(scale), q.size(0) != k.size(0));
}

at::Tensor random_heads(std::int64_t heads, std::int64_t rows, std::int64_t dim) {
  return at::randn({heads, rows, dim}, on_device(at::kBFloat16));
}

struct StageClock::Events {
  struct Pair {
    StageReport report;
    cudaEvent_t begin = nullptr, end = nullptr;
    bool ended = false;
  };
  std::deque<Pair> open;
  std::vector<cudaEvent_t> spare;

  cudaEvent_t take() {
    if (!spare.empty()) {
      const cudaEvent_t event = spare.back();
      spare.pop_back();
      return event;
    }
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event));
    return event;
  }
};

StageClock::StageClock() : events_(std::make_unique<Events>()) {}

StageClock::~StageClock() {
  for (const Events::Pair& pair : events_->open) {
    cudaEventDestroy(pair.begin);
    cudaEventDestroy(pair.end);
  }
  for (const cudaEvent_t event : events_->spare) cudaEventDestroy(event);
}

void StageClock::begin(Stage stage, int layer) {
  Events::Pair pair;
  pair.report.stage = stage;
  pair.report.layer = layer;
  pair.begin = events_->take();
  pair.end = events_->take();
  check(cudaEventRecord(pair.begin, static_cast<cudaStream_t>(stream())));
  events_->open.push_back(pair);
}

void StageClock::end() {
  Events::Pair& pair = events_->open.back();
  pair.ended = true;
  pair.report.resident_bytes =
      c10::cuda::CUDACachingAllocator::getDeviceStats(c10::cuda::current_device()).allocated_bytes[0].current;
  check(cudaEventRecord(pair.end, static_cast<cudaStream_t>(stream())));
}

std::vector<StageReport> StageClock::finished(bool wait) {
  std::vector<StageReport> reports;
  while (!events_->open.empty() && events_->open.front().ended) {
    Events::Pair& pair = events_->open.front();
    if (wait) {
      check(cudaEventSynchronize(pair.end));
    } else if (cudaEventQuery(pair.end) != cudaSuccess) {
      break;
    }
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, pair.begin, pair.end));
    pair.report.seconds = static_cast<double>(milliseconds) / 1e3;
    reports.push_back(pair.report);
    events_->spare.push_back(pair.begin);
    events_->spare.push_back(pair.end);
    events_->open.pop_front();
  }
  return reports;
}

}  // namespace dhsa::on_cuda
