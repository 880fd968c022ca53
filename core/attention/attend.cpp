#include "core/attention/attend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "core/attention/check_internal.h"
#include "core/attention/cpu/dispatch.h"
#include "core/base/parallel.h"

namespace dhsa {
namespace {

constexpr std::int64_t kBlockRows = 128;
// Multiply-adds that a scheduled index does at least: about 50 us, so that per-row masks do not drown in scheduling.
constexpr std::int64_t kBatchCost = std::int64_t{1} << 22;

// Query heads [head, head + heads) of one kv head at rows [row_begin, row_begin + rows), all with one list of keys.
struct Block {
  std::int64_t cost = 0;  // lanes * keys
  std::int64_t group = 0;
  std::int32_t head = 0;
  std::int32_t heads = 0;
  std::int32_t row_begin = 0;
  std::int32_t rows = 0;
};

// Calls use(begin, end) for the group's ranges, clipped to what rows [row_begin, row_begin + rows) can see.
template <class Use>
void visit_visible(const KeyMask& mask, int mask_head, const Block& block, const Use& use) {
  const auto first = static_cast<std::int32_t>(mask.first_visible(block.row_begin));
  const std::int32_t end = block.row_begin + block.rows;
  const auto ranges = mask.ranges(mask_head, block.group);
  auto range = std::ranges::upper_bound(ranges, first, {}, &KeyRange::end);
  for (; range != ranges.end() && range->begin < end; ++range) {
    use(std::max(range->begin, first), std::min(range->end, end));
  }
}

// Blocks in the order they are started: kv head by kv head, so that its keys and values stay in the shared cache, and
// long ones first within each.
std::vector<Block> list_blocks(const KeyMask& mask, std::int64_t heads, std::int64_t kv_heads, int max_lanes) {
  std::vector<Block> blocks;
  const std::int64_t group_heads = heads / kv_heads;
  for (std::int64_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
    const auto begin_of_head = static_cast<std::ptrdiff_t>(blocks.size());
    const std::int64_t end_head = (kv_head + 1) * group_heads;
    for (std::int64_t head = kv_head * group_heads; head < end_head;) {
      const int mask_head = mask.mask_head(head, heads);
      std::int64_t sharing = 1;
      while (head + sharing < end_head && mask.mask_head(head + sharing, heads) == mask_head) ++sharing;
      for (std::int64_t group = 0; group < mask.groups(); ++group) {
        const auto g = static_cast<std::size_t>(group);
        const std::int32_t group_end = mask.group_rows()[g + 1];
        for (std::int32_t row = mask.group_rows()[g]; row < group_end; row += static_cast<std::int32_t>(kBlockRows)) {
          Block block;
          block.group = group;
          block.row_begin = row;
          block.rows = static_cast<std::int32_t>(std::min<std::int64_t>(kBlockRows, group_end - row));
          std::int64_t keys = 0;
          visit_visible(mask, mask_head, block, [&](std::int32_t begin, std::int32_t end) { keys += end - begin; });
          const std::int64_t together = std::min<std::int64_t>(sharing, std::max(1, max_lanes / block.rows));
          for (std::int64_t h = 0; h < sharing; h += together) {
            block.head = static_cast<std::int32_t>(head + h);
            block.heads = static_cast<std::int32_t>(std::min(together, sharing - h));
            block.cost = keys * block.heads * block.rows;
            blocks.push_back(block);
          }
        }
      }
      head += sharing;
    }
    std::stable_sort(blocks.begin() + begin_of_head, blocks.end(),
                     [](const Block& a, const Block& b) { return a.cost > b.cost; });
  }
  return blocks;
}

struct FreeAligned {
  void operator()(void* memory) const noexcept { std::free(memory); }
};

// One per thread and kept: the page faults of a fresh megabyte would cost as much as a short layer's attention.
class ThreadScratch {
 public:
  void* reserve(std::int64_t bytes) {
    if (bytes > capacity_) {
      capacity_ = 0;
      constexpr std::size_t kPage = 4096;
      const std::size_t rounded = (static_cast<std::size_t>(bytes) + kPage - 1) / kPage * kPage;
      memory_.reset(std::aligned_alloc(kPage, rounded));
      if (!memory_) throw std::bad_alloc();
      capacity_ = bytes;
    }
    return memory_.get();
  }
  std::vector<cpu::KeyRange> ranges;

 private:
  std::unique_ptr<void, FreeAligned> memory_;
  std::int64_t capacity_ = 0;
};

const char* element_at(const HeadsView& view, std::int64_t head, std::int64_t row) {
  return static_cast<const char*>(view.data) + view.offset(head, row) * bytes_of(view.type);
}

}  // namespace

void attend_with(CpuKernel kernel, const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                 const ScoreRule& rule, const MutableHeadsView& out, const CancelToken* cancel) {
  check_attend_arguments(q, k, v, mask, rule, out);
  const cpu::KernelTable& table = cpu::kernel_table(kernel);
  const auto dim = static_cast<std::int32_t>(q.dim);
  const std::vector<Block> blocks = list_blocks(mask, q.heads, k.heads, table.max_lanes(dim));
  std::vector<std::size_t> batches{0};
  std::int64_t cost = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    cost += blocks[i].cost * dim * 2;
    if (cost >= kBatchCost || i + 1 == blocks.size()) {
      batches.push_back(i + 1);
      cost = 0;
    }
  }
  const std::int64_t scratch_bytes = table.scratch_bytes(dim);

  const auto attend_one = [&](const Block& block, ThreadScratch& scratch) {
    scratch.ranges.clear();
    visit_visible(mask, mask.mask_head(block.head, q.heads), block, [&](std::int32_t begin, std::int32_t end) {
      scratch.ranges.push_back({begin, end});
    });
    const std::int64_t kv_head = block.head / (q.heads / k.heads);
    cpu::BlockTask task{};
    task.query = element_at(q, block.head, block.row_begin);
    task.query_head_stride = q.head_stride;
    task.query_row_stride = q.row_stride;
    task.key = element_at(k, kv_head, 0);
    task.key_row_stride = k.row_stride;
    task.value = element_at(v, kv_head, 0);
    task.value_row_stride = v.row_stride;
    task.out = static_cast<char*>(out.data) + out.offset(block.head, block.row_begin) * bytes_of(out.type);
    task.out_head_stride = out.head_stride;
    task.out_row_stride = out.row_stride;
    task.bfloat16_in = q.type == DType::kBFloat16;
    task.bfloat16_out = out.type == DType::kBFloat16;
    task.heads = block.heads;
    task.rows = block.rows;
    task.dim = dim;
    task.row_begin = block.row_begin;
    // A window as long as the text hides nothing.
    task.window = mask.window() < mask.rows() ? static_cast<std::int32_t>(mask.window()) : 0;
    task.ranges = scratch.ranges.data();
    task.range_count = static_cast<std::int32_t>(scratch.ranges.size());
    task.scale = rule.scale;
    task.softcap = rule.softcap;
    table.attend_block(task, scratch.reserve(scratch_bytes));
  };
  parallel_for(
      static_cast<std::int64_t>(batches.size()) - 1,
      [&](std::int64_t index) {
        thread_local ThreadScratch scratch;
        const auto i = static_cast<std::size_t>(index);
        for (std::size_t at = batches[i]; at < batches[i + 1]; ++at) attend_one(blocks[at], scratch);
      },
      cancel);
}

void attend(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask, const ScoreRule& rule,
            const MutableHeadsView& out, const CancelToken* cancel) {
  attend_with(best_cpu_kernel(q.type), q, k, v, mask, rule, out, cancel);
}

}  // namespace dhsa
