#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "core/attention/cuda/attend_cuda.h"
#include "core/model/on_cuda_internal.h"
#include "core/model/ops_internal.h"
#include "core/sparsity/chunk_scores.h"
#include "core/sparsity/cuda/plan_cuda.h"

namespace dhsa::on_cuda {
namespace {

cuda::Stream stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

void check(const char* fault) {
  if (fault != nullptr) throw Error(fmt::format("The GPU refused a step: {}.", fault));
}

cuda::DeviceHeads heads_of(const at::Tensor& tensor) { return {tensor.data_ptr(), tensor.stride(0), tensor.stride(1)}; }

template <class T>
at::Tensor upload(const std::vector<T>& values) {
  const auto bytes = static_cast<std::int64_t>(values.size() * sizeof(T));
  return to_device(at::from_blob(const_cast<T*>(values.data()), {bytes}, at::TensorOptions().dtype(at::kByte)));
}

template <class T>
std::vector<T> download(const T* device, std::size_t count) {
  const auto bytes = static_cast<std::int64_t>(count * sizeof(T));
  const at::Tensor tensor =
      at::from_blob(const_cast<T*>(device), {bytes}, at::TensorOptions().dtype(at::kByte).device(at::kCUDA));
  const at::Tensor host = tensor.cpu();
  std::vector<T> values(count);
  std::memcpy(values.data(), host.data_ptr(), count * sizeof(T));
  return values;
}

template <class T>
const T* data(const at::Tensor& bytes) {
  return static_cast<const T*>(static_cast<const void*>(bytes.data_ptr()));
}

std::vector<cuda::QueryTile> tiles_of(std::span<const std::int32_t> group_rows) {
  std::vector<cuda::QueryTile> tiles;
  for (std::size_t g = 0; g + 1 < group_rows.size(); ++g) {
    for (std::int32_t row = group_rows[g]; row < group_rows[g + 1]; row += cuda::kTileRows) {
      tiles.push_back({row, std::min(group_rows[g + 1], row + cuda::kTileRows), static_cast<std::int32_t>(g), 0});
    }
  }
  return tiles;
}

// A mask planned on the host, on the device.
struct UploadedMask {
  at::Tensor start, count, ranges, offsets, tiles;
  cuda::DeviceMask mask;
  int tile_count = 0;

  explicit UploadedMask(const KeyMask& from) {
    std::vector<std::int32_t> starts, counts, offset;
    for (std::size_t slot = 0; slot + 1 < from.indptr().size(); ++slot) {
      starts.push_back(static_cast<std::int32_t>(from.indptr()[slot]));
      counts.push_back(static_cast<std::int32_t>(from.indptr()[slot + 1] - from.indptr()[slot]));
      std::int32_t before = 0;
      for (std::int64_t r = from.indptr()[slot]; r < from.indptr()[slot + 1]; ++r) {
        offset.push_back(before);
        before += from.all_ranges()[static_cast<std::size_t>(r)].size();
      }
    }
    if (from.all_ranges().size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
      throw Error("This mask has too many key ranges for the GPU: choose larger query groups or the CPU.");
    }
    const std::vector<cuda::QueryTile> blocks = tiles_of(from.group_rows());
    start = upload(starts);
    count = upload(counts);
    offsets = upload(offset);
    ranges = upload(std::vector<KeyRange>(from.all_ranges().begin(), from.all_ranges().end()));
    tiles = upload(blocks);
    tile_count = static_cast<int>(blocks.size());
    mask = {static_cast<int>(from.rows()),   from.heads(),
            static_cast<int>(from.groups()), static_cast<int>(from.window()),
            data<std::int32_t>(start),       data<std::int32_t>(count),
            data<std::int32_t>(ranges),      data<std::int32_t>(offsets)};
  }
};

}  // namespace

struct LayerAttention::State {
  // A plan made on the device, and the memory it lies in.
  struct DevicePlan {
    cuda::PlanShape shape;
    cuda::PlanBuffers buffers;
    at::Tensor memory, tiles;
    int tile_count = 0;
    bool boundaries_ready = false;
    bool mask_ready = false;
  };

  State(Planner& asked, std::int64_t length) : planner(asked), tokens(length), parameters(asked.device_parameters()) {}

  Planner& planner;
  std::int64_t tokens;
  const SparsityParameters* parameters;  // of a method the device can plan; else null
  std::optional<DevicePlan> device[2];   // global and local layers: their budgets differ
  std::optional<UploadedMask> uploaded[2];
  std::optional<Plan> by_length[2];  // plans of planners that look at lengths only
  Plan host;                         // the last plan made on the host
  bool on_device = false;            // where the last plan was made
  bool shared = false;
  int kind = 0;

  [[nodiscard]] cuda::PlanShape shape_of(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer) const {
    const SparsityParameters& p = *parameters;
    cuda::PlanShape shape;
    shape.rows = static_cast<int>(tokens);
    shape.heads = static_cast<int>(q.size(0));
    shape.kv_heads = static_cast<int>(k.size(0));
    shape.dim = static_cast<int>(q.size(2));
    shape.mask_heads = static_cast<int>(mask_head_count(p.mask_heads, q.size(0), k.size(0)));
    shape.window = static_cast<int>(layer.window);
    shape.budget = static_cast<int>(layer.local() ? std::min(p.budget, layer.window) : std::min(p.budget, tokens));
    shape.sink_tokens = static_cast<int>(std::min(p.sink_tokens, tokens));
    shape.local_tokens = static_cast<int>(std::min(p.local_tokens, tokens));
    shape.query_block = static_cast<int>(std::min(p.query_block, tokens));
    shape.instruction_tokens = static_cast<int>(std::min(p.instruction_tokens, tokens));
    shape.chunks = static_cast<int>(target_chunks(p, tokens));
    shape.boundary_window = static_cast<int>(p.boundary_window);
    shape.nms_distance = static_cast<int>(p.nms_distance);
    shape.boundary_threshold = static_cast<float>(p.boundary_threshold);
    shape.sqrt_mean = p.pooling == Pooling::kSqrtMean;
    return shape;
  }

  DevicePlan make_plan(const cuda::PlanShape& shape, const at::Tensor& like) const {
    DevicePlan plan;
    plan.shape = shape;
    const std::size_t bytes = cuda::plan_layout(shape, nullptr, plan.buffers);
    plan.memory = at::empty({static_cast<std::int64_t>(bytes)}, like.options().dtype(at::kByte));
    (void)cuda::plan_layout(shape, static_cast<std::byte*>(plan.memory.data_ptr()), plan.buffers);
    std::vector<std::int32_t> rows = fixed_groups(shape.rows - shape.instruction_tokens, shape.query_block);
    for (std::int64_t g = shape.planned_groups(); g < shape.groups(); ++g) {
      rows.push_back(std::min(shape.rows, rows.back() + shape.query_block));
    }
    const std::vector<cuda::QueryTile> blocks = tiles_of(rows);
    plan.tiles = upload(blocks);
    plan.tile_count = static_cast<int>(blocks.size());
    return plan;
  }

  void plan_on_device(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer) {
    std::optional<DevicePlan>& slot = device[kind];
    if (!slot) slot = make_plan(shape_of(q, k, layer), q);
    DevicePlan& plan = *slot;
    shared = parameters->share_masks && plan.mask_ready;
    if (shared) return;
    const DevicePlan* other = device[1 - kind] ? &*device[1 - kind] : nullptr;
    if (parameters->share_boundaries && !plan.boundaries_ready && other != nullptr && other->boundaries_ready) {
      plan.buffers.boundary_scores = other->buffers.boundary_scores;
      plan.buffers.boundaries = other->buffers.boundaries;
      plan.buffers.chunk_count = other->buffers.chunk_count;
      plan.boundaries_ready = true;
    }
    if (!parameters->share_boundaries || !plan.boundaries_ready) {
      check(cuda::key_shift_scores(plan.shape, heads_of(k), plan.buffers, stream()));
      check(cuda::choose_boundaries(plan.shape, plan.buffers, stream()));
      plan.boundaries_ready = true;
    }
    check(cuda::select_keys(plan.shape, heads_of(q), heads_of(k), plan.buffers, stream()));
    plan.mask_ready = true;
  }

  void plan_on_host(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer, const CancelToken* cancel) {
    if (!planner.reads_tensors() && uploaded[kind]) return;
    if (planner.reads_tensors()) {
      const at::Tensor host_q = q.cpu(), host_k = k.cpu();
      host = planner.plan(ops::view(host_q), ops::view(host_k), layer, cancel);
    } else {
      host = planner.plan(ops::view(q), ops::view(k), layer, cancel);  // looks at the shapes only
    }
    uploaded[kind].emplace(host.mask);
    if (!planner.reads_tensors()) by_length[kind] = host;
  }

  [[nodiscard]] Plan download_plan() const {
    const DevicePlan& from = *device[kind];
    const cuda::PlanShape& s = from.shape;
    const auto slots = static_cast<std::size_t>(s.mask_heads * s.groups());
    const auto most = static_cast<std::size_t>(s.most_chunks());
    const std::vector<std::int32_t> counts = download(from.buffers.count, slots);
    const std::vector<std::int32_t> ranges = download(from.buffers.ranges, slots * (most + 2) * 2);
    std::vector<std::int32_t> rows = fixed_groups(s.rows - s.instruction_tokens, s.query_block);
    while (rows.back() < s.rows) rows.push_back(std::min(s.rows, rows.back() + s.query_block));
    KeyMask::Builder builder(rows, s.mask_heads, s.window);
    for (std::size_t slot = 0; slot < slots; ++slot) {
      std::vector<KeyRange> kept;
      for (std::int32_t r = 0; r < counts[slot]; ++r) {
        const std::size_t at = (slot * (most + 2) + static_cast<std::size_t>(r)) * 2;
        kept.push_back({ranges[at], ranges[at + 1]});
      }
      builder.add(std::move(kept));
    }
    Plan plan;
    plan.mask = builder.finish();
    plan.shared = shared;
    const auto chunks = static_cast<std::size_t>(download(from.buffers.chunk_count, 1)[0]);
    plan.trace.boundaries = download(from.buffers.boundaries, chunks + 1);
    plan.trace.boundary_scores = download(from.buffers.boundary_scores, static_cast<std::size_t>(s.rows));
    for (float& score : plan.trace.boundary_scores) {
      if (std::isinf(score)) score = std::numeric_limits<float>::quiet_NaN();
    }
    const auto planned = static_cast<std::size_t>(s.planned_groups());
    const std::vector<float> scores =
        download(from.buffers.chunk_scores, static_cast<std::size_t>(s.mask_heads) * planned * most);
    const auto groups = static_cast<std::size_t>(s.groups());
    plan.trace.chunk_scores.assign(static_cast<std::size_t>(s.mask_heads) * groups * chunks,
                                   std::numeric_limits<float>::quiet_NaN());
    for (std::size_t head = 0; head < static_cast<std::size_t>(s.mask_heads); ++head) {
      for (std::size_t g = 0; g < planned; ++g) {
        std::memcpy(plan.trace.chunk_scores.data() + (head * groups + g) * chunks,
                    scores.data() + (head * planned + g) * most, chunks * sizeof(float));
      }
    }
    return plan;
  }
};

LayerAttention::LayerAttention(Planner& planner, std::int64_t tokens)
    : state_(std::make_unique<State>(planner, tokens)) {}
LayerAttention::~LayerAttention() = default;

void LayerAttention::plan(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer, const CancelToken* cancel) {
  State& s = *state_;
  s.kind = layer.local() ? 1 : 0;
  s.on_device = s.parameters != nullptr && cuda::plan_supports(s.shape_of(q, k, layer));
  if (s.on_device) {
    s.plan_on_device(q, k, layer);
  } else {
    s.plan_on_host(q, k, layer, cancel);
  }
}

void LayerAttention::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const ScoreRule& rule,
                            at::Tensor& out) {
  const State& s = *state_;
  cuda::AttendArguments a;
  a.q = heads_of(q);
  a.k = heads_of(k);
  a.v = heads_of(v);
  a.out = heads_of(out);
  a.heads = static_cast<int>(q.size(0));
  a.kv_heads = static_cast<int>(k.size(0));
  a.dim = static_cast<int>(q.size(2));
  a.scale = rule.scale;
  a.softcap = rule.softcap;
  if (s.on_device) {
    const State::DevicePlan& plan = *s.device[s.kind];
    a.mask = cuda::mask_of(plan.shape, plan.buffers);
    a.tiles = data<cuda::QueryTile>(plan.tiles);
    a.tile_count = plan.tile_count;
  } else {
    const UploadedMask& mask = *s.uploaded[s.kind];
    a.mask = mask.mask;
    a.tiles = data<cuda::QueryTile>(mask.tiles);
    a.tile_count = mask.tile_count;
  }
  check(cuda::attend(a, stream()));
}

Plan LayerAttention::host_plan() {
  const State& s = *state_;
  if (s.on_device) return s.download_plan();
  return s.by_length[s.kind] ? *s.by_length[s.kind] : s.host;
}

}  // namespace dhsa::on_cuda
