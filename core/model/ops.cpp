#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/parallel.h"
#include "core/model/cpu/gemm.h"
#include "core/model/cpu/ops_kernels.h"
#include "core/model/on_cuda_internal.h"
#include "core/model/ops_internal.h"

namespace dhsa::ops {
namespace {

// Work for one thread at a time: enough to be worth handing over, small enough to share evenly.
constexpr std::int64_t kValuesPerJob = 1 << 14;
// Rows up to which dot products beat a matrix product whose table has to be packed first.
constexpr std::int64_t kFewRows = 4;

bool is_bf16(const at::Tensor& tensor) { return tensor.scalar_type() == at::kBFloat16; }

char* row(const at::Tensor& tensor, std::int64_t index) {
  return static_cast<char*>(tensor.data_ptr()) + index * tensor.stride(0) * tensor.element_size();
}

// body(first row, rows) over all rows, threaded.
template <class Body>
void for_rows(std::int64_t rows, std::int64_t values_per_row, const Body& body) {
  const std::int64_t step = std::max<std::int64_t>(1, kValuesPerJob / std::max<std::int64_t>(1, values_per_row));
  const std::int64_t jobs = (rows + step - 1) / step;
  if (jobs == 1) return body(0, rows);
  parallel_for(jobs, [&](std::int64_t job) { body(job * step, std::min(step, rows - job * step)); });
}

void narrow(const float* from, std::int64_t n, void* to) {
  auto* out = static_cast<std::uint16_t*>(to);
  for (std::int64_t i = 0; i < n; ++i) out[i] = float_to_bfloat16(from[i]);
}

void widen(const void* from, bool bf16, std::int64_t n, float* to) {
  ops_kernels().convert(from, bf16 ? StoredType::kBf16 : StoredType::kF32, n, to, false);
}

void run_packed(const at::Tensor& x, const at::Tensor& weight, bool gated, at::Tensor& out) {
  const bool weight_bf16 = is_bf16(weight);
  const bool dot = is_bf16(x) && weight_bf16 && gemm_kernel(true) != nullptr;
  const at::Tensor from = is_bf16(x) && !dot ? x.to(at::kFloat) : x;
  GemmCall call;
  call.a = from.data_ptr();
  call.a_bf16 = dot;
  call.weight = weight.data_ptr();
  call.weight_bf16 = weight_bf16;
  call.k = x.size(1);
  call.rows = x.size(0);
  call.columns = out.size(1);
  call.out = out.data_ptr();
  call.out_bf16 = is_bf16(out);
  call.a_stride = from.stride(0);
  call.out_stride = out.stride(0);
  call.gated = gated;
  gemm(call);
}

// Product with rows [first, first + 32) of the table, packed on the spot.
template <class T>
void table_panel(const at::Tensor& x, const at::Tensor& table, std::int64_t first, at::Tensor& out) {
  const std::int64_t k = table.size(1);
  const std::int64_t count = std::min(kPanelColumns, table.size(0) - first);
  std::vector<T> panel(static_cast<std::size_t>(kPanelColumns * k));
  const auto* rows = reinterpret_cast<const T*>(row(table, first));
  std::vector<T> padded;
  if (count < kPanelColumns) {
    padded.resize(panel.size());
    std::copy(rows, rows + count * k, padded.begin());
    rows = padded.data();
  }
  pack_panel(rows, k, panel.data());
  GemmCall call;
  call.a = x.data_ptr();
  call.weight = panel.data();
  call.weight_bf16 = sizeof(T) == 2;
  call.k = k;
  call.rows = x.size(0);
  call.columns = count;
  call.out = out.data_ptr<float>() + first;
  call.a_stride = x.stride(0);
  call.out_stride = out.stride(0);
  gemm_kernel(false)->run(call, 0, 1);
}

}  // namespace

at::ScalarType scalar_type(DType type) { return type == DType::kFloat32 ? at::kFloat : at::kBFloat16; }

DType dtype_of(const at::Tensor& tensor) { return is_bf16(tensor) ? DType::kBFloat16 : DType::kFloat32; }

at::Tensor empty(at::IntArrayRef shape, at::ScalarType type, const at::Tensor& like) {
  return at::empty(shape, like.options().dtype(type));
}

MutableHeadsView mutable_view(at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.size(0),  tensor.size(1),
          tensor.size(2),    tensor.stride(0), tensor.stride(1)};
}

HeadsView view(const at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.size(0),  tensor.size(1),
          tensor.size(2),    tensor.stride(0), tensor.stride(1)};
}

void embed(std::span<const std::int32_t> ids, const at::Tensor& table, float scale, at::Tensor& x) {
  if (x.is_cuda()) return on_cuda::embed(ids, table, scale, x);
  const std::int64_t hidden = table.size(1);
  for_rows(static_cast<std::int64_t>(ids.size()), hidden, [&](std::int64_t begin, std::int64_t count) {
    for (std::int64_t r = begin; r < begin + count; ++r) {
      auto* to = reinterpret_cast<float*>(row(x, r));
      widen(row(table, ids[static_cast<std::size_t>(r)]), is_bf16(table), hidden, to);
      for (std::int64_t i = 0; i < hidden; ++i) to[i] *= scale;
    }
  });
}

void rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out) {
  if (x.is_cuda()) return on_cuda::rms_norm(x, weight, eps, out);
  const std::int64_t n = x.size(1);
  for_rows(x.size(0), n, [&](std::int64_t begin, std::int64_t count) {
    ops_kernels().rms_norm(reinterpret_cast<const float*>(row(x, begin)), weight.data_ptr<float>(), n, count,
                           static_cast<float>(eps), row(out, begin), is_bf16(out));
  });
}

void add_normed(const at::Tensor& branch, const at::Tensor& weight, double eps, at::Tensor& x) {
  if (x.is_cuda()) return on_cuda::add_normed(branch, weight, eps, x);
  const std::int64_t n = x.size(1);
  for_rows(x.size(0), n, [&](std::int64_t begin, std::int64_t count) {
    ops_kernels().add_normed(row(branch, begin), is_bf16(branch), weight.data_ptr<float>(), n, count,
                             static_cast<float>(eps), reinterpret_cast<float*>(row(x, begin)));
  });
}

at::Tensor rope_angles(std::int64_t first, std::int64_t n, std::int64_t dim, double theta, const at::Tensor& like) {
  const std::int64_t half = dim / 2;
  // In float32 step by step, as Hugging Face does: the angle of a late position depends on the last bit of these.
  std::vector<float> inverse(static_cast<std::size_t>(half));
  for (std::int64_t d = 0; d < half; ++d) {
    const float exponent = static_cast<float>(2 * d) / static_cast<float>(dim);
    inverse[static_cast<std::size_t>(d)] = 1.0F / std::pow(static_cast<float>(theta), exponent);
  }
  at::Tensor angles = empty({n, dim}, at::kFloat, like);
  if (angles.is_cuda()) {
    on_cuda::rope_angles(inverse, first, angles);
    return angles;
  }
  for_rows(n, 8 * dim, [&](std::int64_t begin, std::int64_t count) {
    for (std::int64_t r = begin; r < begin + count; ++r) {
      auto* out = reinterpret_cast<float*>(row(angles, r));
      for (std::int64_t d = 0; d < half; ++d) {
        const float angle = static_cast<float>(first + r) * inverse[static_cast<std::size_t>(d)];
        out[d] = std::cos(angle);
        out[d + half] = std::sin(angle);
      }
    }
  });
  return angles;
}

void split_and_rotate(const at::Tensor& qkv, const at::Tensor& angles, at::Tensor& q, at::Tensor& k, at::Tensor& v) {
  if (q.is_cuda()) return on_cuda::split_and_rotate(qkv, angles, q, k, v);
  const std::int64_t dim = q.size(2);
  const std::int64_t heads = q.size(0);
  const std::int64_t kv_heads = k.size(0);
  const bool bf16 = is_bf16(qkv);
  const std::int64_t size = qkv.element_size();
  const OpsKernels& kernels = ops_kernels();
  for_rows(qkv.size(0), qkv.size(1), [&](std::int64_t begin, std::int64_t count) {
    for (std::int64_t r = begin; r < begin + count; ++r) {
      const char* from = row(qkv, r);
      const auto* turn = reinterpret_cast<const float*>(row(angles, r));
      const auto to = [&](const at::Tensor& tensor) {
        return static_cast<char*>(tensor.data_ptr()) + r * tensor.stride(1) * size;
      };
      kernels.rope(from, bf16, heads, dim / 2, turn, to(q), q.stride(0));
      from += heads * dim * size;
      kernels.rope(from, bf16, kv_heads, dim / 2, turn, to(k), k.stride(0));
      from += kv_heads * dim * size;
      for (std::int64_t h = 0; h < kv_heads; ++h) {
        std::memcpy(to(v) + h * v.stride(0) * size, from + h * dim * size, static_cast<std::size_t>(dim * size));
      }
    }
  });
}

void linear(const at::Tensor& x, const at::Tensor& weight, at::Tensor& out) {
  if (x.is_cuda()) return on_cuda::linear(x, weight, out);
  run_packed(x, weight, false, out);
}

void gated_linear(const at::Tensor& x, const at::Tensor& gate_up, at::Tensor& wide, at::Tensor& act) {
  if (x.is_cuda()) {
    on_cuda::linear(x, gate_up, wide);
    return on_cuda::geglu(wide, act);
  }
  run_packed(x, gate_up, true, act);
}

void table_product(const at::Tensor& x, const at::Tensor& table, at::Tensor& out) {
  if (x.is_cuda()) return on_cuda::linear(x, table, out);
  const std::int64_t entries = table.size(0);
  if (x.size(0) > kFewRows) {
    return parallel_for(panels_of(entries, false), [&](std::int64_t panel) {
      if (is_bf16(table)) {
        table_panel<std::uint16_t>(x, table, panel * kPanelColumns, out);
      } else {
        table_panel<float>(x, table, panel * kPanelColumns, out);
      }
    });
  }
  const std::int64_t k = table.size(1);
  for (std::int64_t r = 0; r < x.size(0); ++r) {
    const auto* from = reinterpret_cast<const float*>(row(x, r));
    auto* to = reinterpret_cast<float*>(row(out, r));
    for_rows(entries, k, [&](std::int64_t begin, std::int64_t count) {
      ops_kernels().dot_rows(from, row(table, begin), is_bf16(table), k, count, to + begin);
    });
  }
}

void softcap(double cap, std::span<float> logits) {
  if (cap <= 0) return;
  const auto scale = static_cast<float>(cap);
  for_rows(static_cast<std::int64_t>(logits.size()), 1, [&](std::int64_t begin, std::int64_t count) {
    for (float& value : logits.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count))) {
      value = scale * std::tanh(value / scale);
    }
  });
}

void attend_one(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const ScoreRule& rule, at::Tensor& out) {
  if (q.is_cuda()) return on_cuda::attend_one(q, k, v, rule, out);
  const std::int64_t heads = q.size(0);
  const std::int64_t group = heads / k.size(0);
  const std::int64_t dim = q.size(2);
  const std::int64_t keys = k.size(1);
  const bool bf16 = is_bf16(k);
  parallel_for(heads, [&](std::int64_t head) {
    std::vector<float> query(static_cast<std::size_t>(dim));
    std::vector<float> sum(static_cast<std::size_t>(dim), 0.0F);
    std::vector<float> scores(static_cast<std::size_t>(keys));
    widen(row(q, head), is_bf16(q), dim, query.data());
    const char* k_rows = row(k, head / group);
    const char* v_rows = row(v, head / group);
    ops_kernels().dot_rows(query.data(), k_rows, bf16, dim, keys, scores.data());
    float highest = -INFINITY;
    for (float& score : scores) {
      score *= rule.scale;
      if (rule.softcap > 0) score = rule.softcap * std::tanh(score / rule.softcap);
      highest = std::max(highest, score);
    }
    float total = 0;
    for (float& score : scores) total += score = std::exp(score - highest);
    for (std::int64_t j = 0; j < keys; ++j) {
      ops_kernels().accumulate(scores[static_cast<std::size_t>(j)] / total, v_rows + j * v.stride(1) * v.element_size(),
                               bf16, dim, sum.data());
    }
    if (is_bf16(out)) {
      narrow(sum.data(), dim, row(out, head));
    } else {
      std::copy(sum.begin(), sum.end(), reinterpret_cast<float*>(row(out, head)));
    }
  });
}

}  // namespace dhsa::ops
