// Every kernel this machine can run against the double-precision twin.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>
#include <thread>

#include "core/base/parallel.h"
#include "tests/core/attention/attention_case.h"

namespace {
std::atomic<long> allocations{0};
}  // namespace

// Counts; the array forms come here too. Not inlined, or GCC 12 takes the free() for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes > 0 ? bytes : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t& /*nothrow*/) noexcept {
  ++allocations;
  return std::malloc(bytes > 0 ? bytes : 1);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }

namespace dhsa {
namespace {

using test::Heads;

struct Shape {
  std::int64_t length = 64;
  std::int64_t dim = 64;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 2;
  DType type = DType::kFloat32;
  DType out_type = DType::kFloat32;
  bool interleaved = false;
  ScoreRule rule{0.125F, 50.0F};
  float deviation = 1.0F;

  [[nodiscard]] std::string text() const {
    return "L " + std::to_string(length) + " D " + std::to_string(dim) + " H " + std::to_string(heads) + "/" +
           std::to_string(kv_heads) + " cap " + std::to_string(rule.softcap) +
           (type == DType::kFloat32 ? " float32" : " bfloat16") + (interleaved ? " interleaved" : "");
  }
};

// Largest absolute error allowed, where all |v| are at most `largest_value`.
//
// float32: a score carries the rounding of a sum of D products (a few 1e-7 of their size) and of softcap, which the
// exponential turns into relative errors of weights of up to about 1e-5; what remains is the rounding of the sums.
// bfloat16 products: each weight is rounded to 8 bits, relative error at most 2^-8, so an average of values may move by
// 2^-8 of the largest; a tenth more leaves room for the coarse exponential (1.5e-4). A bfloat16 result is rounded once
// more, by the same 2^-8 at most.
double tolerance(CpuKernel kernel, double largest_value, DType out_type) {
  double bound = kernel == CpuKernel::kAvx512Bf16 ? 1.1 * std::ldexp(largest_value, -8) : 2e-5 * largest_value;
  if (out_type == DType::kBFloat16) bound += std::ldexp(largest_value, -8);
  return bound;
}

void expect_close(CpuKernel kernel, const Heads& got, const Heads& want, const Heads& values, const std::string& what) {
  double largest = 0.0;
  for (std::int64_t h = 0; h < values.view().heads; ++h) {
    for (std::int64_t i = 0; i < values.view().rows; ++i) {
      for (const float x : values.row(h, i)) largest = std::max(largest, std::abs(static_cast<double>(x)));
    }
  }
  const double bound = tolerance(kernel, largest, got.view().type);
  double worst = 0.0;
  double error2 = 0.0;
  double want2 = 0.0;
  std::string where;
  for (std::int64_t h = 0; h < got.view().heads; ++h) {
    for (std::int64_t i = 0; i < got.view().rows; ++i) {
      const std::vector<float> a = got.row(h, i);
      const std::vector<float> b = want.row(h, i);
      for (std::size_t d = 0; d < a.size(); ++d) {
        const double error = std::abs(static_cast<double>(a[d]) - static_cast<double>(b[d]));
        error2 += error * error;
        want2 += static_cast<double>(b[d]) * static_cast<double>(b[d]);
        if (!(error <= worst)) {
          worst = error;
          where = "head " + std::to_string(h) + " row " + std::to_string(i) + " column " + std::to_string(d) + ": " +
                  std::to_string(a[d]) + " for " + std::to_string(b[d]);
        }
      }
    }
  }
  EXPECT_LE(worst, bound) << name_of(kernel) << ", " << what << ", " << where;
  // Errors average out: the norm is held tighter than the worst entry.
  const bool coarse = kernel == CpuKernel::kAvx512Bf16 || got.view().type == DType::kBFloat16;
  EXPECT_LE(std::sqrt(error2 / want2), coarse ? 4e-3 : 1e-5) << name_of(kernel) << ", " << what;
}

void check(const Shape& s, const KeyMask& mask, std::mt19937& random) {
  Heads q(s.heads, s.length, s.dim, s.type, s.interleaved);
  Heads k(s.kv_heads, s.length, s.dim, s.type, s.interleaved);
  Heads v(s.kv_heads, s.length, s.dim, s.type, s.interleaved);
  // Values that bfloat16 holds, so that the rounding of inputs is not what is measured.
  q.fill(random, s.deviation, true);
  k.fill(random, 1.0F, true);
  v.fill(random, 1.0F, true);
  Heads want(s.heads, s.length, s.dim, DType::kFloat32, false);
  attend_reference(q.view(), k.view(), v.view(), mask, s.rule, want.view());
  for (const CpuKernel kernel : available_cpu_kernels()) {
    Heads got(s.heads, s.length, s.dim, s.out_type, s.interleaved);
    got.fill_with(std::numeric_limits<float>::quiet_NaN());
    attend_with(kernel, q.view(), k.view(), v.view(), mask, s.rule, got.view());
    expect_close(kernel, got, want, v, s.text());
    if (testing::Test::HasFailure()) return;
  }
}

// One of everything, drawn anew for each length.
Shape random_shape(std::mt19937& random, std::int64_t length, std::int64_t dim) {
  Shape s;
  s.length = length;
  s.dim = dim;
  s.kv_heads = 1 + static_cast<std::int64_t>(random() % 2);
  s.heads = s.kv_heads << (random() % 3);
  s.type = random() % 2 == 0 ? DType::kFloat32 : DType::kBFloat16;
  s.out_type = random() % 4 == 0 ? DType::kBFloat16 : DType::kFloat32;
  s.interleaved = random() % 2 == 0;
  const float caps[] = {0.0F, 50.0F, 2.0F, 90.0F};
  s.rule = {1.0F / std::sqrt(static_cast<float>(dim)), caps[random() % 4]};
  s.deviation = random() % 3 == 0 ? 8.0F : 1.5F;
  return s;
}

KeyMask mask_for(std::mt19937& random, const Shape& s) {
  const std::int64_t window = random() % 2 == 0 ? 0 : 1 + static_cast<std::int64_t>(random() % 200);
  if (random() % 4 == 0) {
    return KeyMask::dense(s.length, window, 1 + static_cast<std::int64_t>(random() % 150));
  }
  const int choices[] = {1, static_cast<int>(s.kv_heads), static_cast<int>(s.heads)};
  const int heads = choices[random() % 3];
  const int group_rows[] = {1, 9, 64, 400};
  return test::random_mask(random, s.length, heads, window, group_rows[random() % 4],
                           1 + static_cast<int>(random() % 12), 1 + static_cast<int>(random() % 90));
}

TEST(Attend, AgreesWithTheTwinAtEveryLengthUpTo300) {
  set_compute_threads(0);
  std::mt19937 random(1);
  for (std::int64_t length = 1; length <= 300; ++length) {
    const auto dim = 8 * (1 + static_cast<std::int64_t>(random() % 16));
    const Shape s = random_shape(random, length, dim);
    check(s, mask_for(random, s), random);
    if (HasFailure()) return;
  }
}

TEST(Attend, AgreesWithTheTwinAtEveryHeadDimension) {
  std::mt19937 random(2);
  for (std::int64_t dim = 8; dim <= 512; dim += dim < 256 ? 8 : 64) {
    for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
      Shape s = random_shape(random, 20 + static_cast<std::int64_t>(random() % 150), dim);
      s.type = type;
      check(s, mask_for(random, s), random);
      if (HasFailure()) return;
    }
  }
}

TEST(Attend, AgreesWithTheTwinOnLongRunsReadInPlace) {
  std::mt19937 random(3);
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    for (const std::int64_t window : {std::int64_t{0}, std::int64_t{700}}) {
      Shape s;
      s.length = 1100;
      s.dim = 24;
      s.type = type;
      s.interleaved = window > 0;
      check(s, KeyMask::dense(s.length, window), random);
      check(s, test::random_mask(random, s.length, 2, window, 300, 6, 500), random);
    }
  }
}

TEST(Attend, EveryCapAndGrouping) {
  std::mt19937 random(4);
  for (const float cap : {0.0F, 2.0F, 50.0F, 60.5F}) {
    for (const std::int64_t share : {1, 2, 4}) {
      for (const float deviation : {0.5F, 30.0F}) {
        Shape s;
        s.length = 131;
        s.dim = 40;
        s.kv_heads = 2;
        s.heads = 2 * share;
        s.rule.softcap = cap;
        s.deviation = deviation;
        check(s, mask_for(random, s), random);
      }
    }
  }
}

TEST(Attend, OneQueryHeadGroupOfManyHeadsIsSplitOverBlocks) {
  std::mt19937 random(5);
  Shape s;
  s.length = 200;
  s.dim = 16;
  s.heads = 12;
  s.kv_heads = 1;
  check(s, KeyMask::dense(s.length), random);
  s.dim = 320;
  check(s, test::random_mask(random, s.length, 1, 0, 130, 5, 60), random);
}

TEST(Attend, KeepsHiddenKeysOut) {
  // Keys that the mask drops hold what would show at once.
  const std::int64_t length = 150;
  Heads q(1, length, 32, DType::kFloat32, false);
  Heads k(1, length, 32, DType::kFloat32, false);
  Heads v(1, length, 32, DType::kFloat32, false);
  std::mt19937 random(6);
  q.fill(random, 1.0F);
  k.fill(random, 1.0F);
  v.fill_with(1.0F);
  auto* values = static_cast<float*>(v.view().data);
  for (std::int64_t i = 40 * 32; i < 50 * 32; ++i) values[i] = 1e30F;
  KeyMask::Builder builder({0, 40, 50, 150}, 1, 0);
  builder.add({{0, 40}});
  builder.add({{0, 50}});
  builder.add({{0, 40}, {50, 150}});
  const KeyMask mask = builder.finish();
  for (const CpuKernel kernel : available_cpu_kernels()) {
    Heads out(1, length, 32, DType::kFloat32, false);
    attend_with(kernel, q.view(), k.view(), v.view(), mask, {0.2F, 50.0F}, out.view());
    for (std::int64_t i = 0; i < length; ++i) {
      const float bound = kernel == CpuKernel::kAvx512Bf16 ? 4e-3F : 1e-5F;
      if (i >= 40 && i < 50) continue;
      EXPECT_NEAR(out.row(0, i)[5], 1.0F, bound) << name_of(kernel) << " row " << i;
    }
  }
}

TEST(Attend, SurvivesHugeScores) {
  for (const float cap : {0.0F, 50.0F}) {
    for (const float size : {1e2F, 1e4F}) {
      const std::int64_t length = 300;
      Heads q(2, length, 64, DType::kFloat32, false);
      Heads k(1, length, 64, DType::kFloat32, false);
      Heads v(1, length, 64, DType::kFloat32, false);
      std::mt19937 random(7);
      q.fill(random, size, true);
      k.fill(random, 1.0F, true);
      v.fill(random, 1.0F, true);
      const KeyMask mask = test::random_mask(random, length, 1, 0, 40, 9, 30);
      for (const CpuKernel kernel : available_cpu_kernels()) {
        Heads out(2, length, 64, DType::kFloat32, false);
        attend_with(kernel, q.view(), k.view(), v.view(), mask, {0.125F, cap}, out.view());
        for (std::int64_t h = 0; h < 2; ++h) {
          for (std::int64_t i = 0; i < length; ++i) {
            for (const float x : out.row(h, i)) {
              ASSERT_TRUE(std::abs(x) < 6.0F) << name_of(kernel) << " cap " << cap << " size " << size << ": " << x;
            }
          }
        }
      }
    }
  }
}

TEST(Attend, ScoresFarBelowTheFirstTileStillCount) {
  // The first keys score +-1e4, later ones far less or more: the running maximum has to move both ways round.
  const std::int64_t length = 700;
  std::mt19937 random(8);
  Heads q(1, length, 8, DType::kFloat32, false);
  Heads k(1, length, 8, DType::kFloat32, false);
  Heads v(1, length, 8, DType::kFloat32, false);
  q.fill_with(1.0F);
  v.fill(random, 1.0F, true);
  k.fill(random, 1.0F, true);
  auto* keys = static_cast<float*>(k.view().data);
  for (std::int64_t j = 0; j < length; ++j) {
    keys[j * 8] = j % 300 < 150 ? -1024.0F : 512.0F * static_cast<float>(j / 300);
  }
  Heads want(1, length, 8, DType::kFloat32, false);
  const KeyMask mask = KeyMask::dense(length);
  attend_reference(q.view(), k.view(), v.view(), mask, {1.0F, 0.0F}, want.view());
  for (const CpuKernel kernel : available_cpu_kernels()) {
    Heads got(1, length, 8, DType::kFloat32, false);
    attend_with(kernel, q.view(), k.view(), v.view(), mask, {1.0F, 0.0F}, got.view());
    // Scores of 1e3 carry 1e-4 of rounding.
    for (std::int64_t i = 0; i < length; ++i) {
      for (std::size_t d = 0; d < 8; ++d) {
        EXPECT_NEAR(got.row(0, i)[d], want.row(0, i)[d], kernel == CpuKernel::kAvx512Bf16 ? 1.6e-2F : 1e-3F)
            << name_of(kernel) << " row " << i;
      }
    }
  }
}

TEST(Attend, DoesNotDependOnTheNumberOfThreads) {
  std::mt19937 random(9);
  const std::int64_t length = 900;
  Heads q(4, length, 64, DType::kFloat32, false);
  Heads k(2, length, 64, DType::kFloat32, false);
  Heads v(2, length, 64, DType::kFloat32, false);
  q.fill(random, 2.0F);
  k.fill(random, 1.0F);
  v.fill(random, 1.0F);
  const KeyMask masks[] = {KeyMask::dense(length), test::random_mask(random, length, 4, 300, 50, 10, 40)};
  for (const KeyMask& mask : masks) {
    for (const CpuKernel kernel : available_cpu_kernels()) {
      Heads one(4, length, 64, DType::kFloat32, false);
      Heads two(4, length, 64, DType::kFloat32, false);
      set_compute_threads(1);
      attend_with(kernel, q.view(), k.view(), v.view(), mask, {0.125F, 0.0F}, one.view());
      set_compute_threads(2);
      attend_with(kernel, q.view(), k.view(), v.view(), mask, {0.125F, 0.0F}, two.view());
      EXPECT_TRUE(one == two) << name_of(kernel);
    }
  }
  set_compute_threads(0);
}

TEST(Attend, StopsWhenCancelled) {
  const std::int64_t length = 600;
  Heads q(2, length, 64, DType::kFloat32, false);
  Heads k(2, length, 64, DType::kFloat32, false);
  Heads v(2, length, 64, DType::kFloat32, false);
  Heads out(2, length, 64, DType::kFloat32, false);
  out.fill_with(7.0F);
  CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(attend(q.view(), k.view(), v.view(), KeyMask::dense(length), {}, out.view(), &cancel), Cancelled);
  EXPECT_EQ(out.row(0, 0)[0], 7.0F);
}

TEST(Attend, StopsInTheMiddleWhenCancelled) {
  const std::int64_t length = 30000;
  Heads q(4, length, 64, DType::kFloat32, false);
  Heads k(2, length, 64, DType::kFloat32, false);
  Heads v(2, length, 64, DType::kFloat32, false);
  Heads out(4, length, 64, DType::kFloat32, false);
  out.fill_with(7.0F);
  CancelToken cancel;
  const KeyMask mask = KeyMask::dense(length);
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel.cancel();
  });
  EXPECT_THROW(
      attend_with(CpuKernel::kPortable, q.view(), k.view(), v.view(), mask, {0.1F, 50.0F}, out.view(), &cancel),
      Cancelled);
  canceller.join();
  // Short blocks come last.
  EXPECT_EQ(out.row(3, 0)[0], 7.0F);
}

TEST(Attend, RefusesWhatDoesNotFit) {
  Heads q(4, 10, 16, DType::kFloat32, false);
  Heads k(2, 10, 16, DType::kFloat32, false);
  Heads out(4, 10, 16, DType::kFloat32, false);
  const KeyMask mask = KeyMask::dense(10);
  const ScoreRule rule{1.0F, 0.0F};
  const auto refused = [&](const HeadsView& a, const HeadsView& b, const HeadsView& c, const KeyMask& m,
                           const ScoreRule& r, const MutableHeadsView& o) {
    EXPECT_THROW(attend(a, b, c, m, r, o), Error);
    EXPECT_THROW(attend_reference(a, b, c, m, r, o), Error);
  };
  EXPECT_NO_THROW(attend(q.view(), k.view(), k.view(), mask, rule, out.view()));
  const Heads three(3, 10, 16, DType::kFloat32, false);
  refused(q.view(), three.view(), three.view(), mask, rule, out.view());
  refused(q.view(), k.view(), three.view(), mask, rule, out.view());
  refused(q.view(), k.view(), k.view(), mask, rule, three.view());
  const Heads narrow(2, 10, 16, DType::kBFloat16, false);
  refused(q.view(), narrow.view(), k.view(), mask, rule, out.view());
  refused(q.view(), k.view(), narrow.view(), mask, rule, out.view());
  refused(q.view(), k.view(), k.view(), KeyMask::dense(11), rule, out.view());
  const Heads short_rows(2, 9, 16, DType::kFloat32, false);
  refused(q.view(), k.view(), short_rows.view(), mask, rule, out.view());
  const Heads q12(4, 10, 12, DType::kFloat32, false);
  refused(q12.view(), q12.view(), q12.view(), mask, rule, q12.view());
  const Heads q520(4, 10, 520, DType::kFloat32, false);
  refused(q520.view(), q520.view(), q520.view(), mask, rule, q520.view());
  refused(q.view(), k.view(), k.view(), mask, {std::numeric_limits<float>::infinity(), 0.0F}, out.view());
  refused(q.view(), k.view(), k.view(), mask, {1.0F, -1.0F}, out.view());
  MutableHeadsView nothing = out.view();
  nothing.data = nullptr;
  refused(q.view(), k.view(), k.view(), mask, rule, nothing);
  HeadsView overlapping = k.view();
  overlapping.row_stride = 4;
  refused(q.view(), overlapping, k.view(), mask, rule, out.view());
}

TEST(Attend, TakesOneRowAndNone) {
  std::mt19937 random(10);
  Shape s;
  s.length = 1;
  check(s, KeyMask::dense(1), random);
  Heads none(2, 0, 64, DType::kFloat32, false);
  EXPECT_NO_THROW(attend(none.view(), none.view(), none.view(), KeyMask(), {}, none.view()));
}

TEST(Attend, RowsThatKeepNothingAreZero) {
  const KeyMask all = KeyMask::dense(64);
  const KeyMask nothing = all.subtracted(all);
  Heads q(2, 64, 16, DType::kFloat32, false);
  Heads out(2, 64, 16, DType::kFloat32, false);
  std::mt19937 random(11);
  q.fill(random, 1.0F);
  for (const CpuKernel kernel : available_cpu_kernels()) {
    out.fill_with(3.0F);
    attend_with(kernel, q.view(), q.view(), q.view(), nothing, {1.0F, 0.0F}, out.view());
    for (std::int64_t i = 0; i < 64; ++i) EXPECT_EQ(out.row(1, i)[3], 0.0F);
  }
}

TEST(Attend, AllocatesNothingPerBlock) {
  std::mt19937 random(21);
  const auto allocations_at = [&](std::int64_t length) {
    Heads q(2, length, 32, DType::kFloat32, false);
    Heads k(1, length, 32, DType::kFloat32, false);
    Heads v(1, length, 32, DType::kFloat32, false);
    q.fill(random, 1.0F);
    k.fill(random, 1.0F);
    v.fill(random, 1.0F);
    Heads out(2, length, 32, DType::kFloat32, false);
    const KeyMask mask = test::random_mask(random, length, 1, 0, 1, 4, 8);  // a block per row
    attend(q.view(), k.view(), v.view(), mask, {}, out.view());             // threads have their scratch now
    const long before = allocations;
    attend(q.view(), k.view(), v.view(), mask, {}, out.view());
    return allocations - before;
  };
  const long some = allocations_at(500);
  EXPECT_GT(some, 0) << "the list of blocks at least";
  EXPECT_LT(allocations_at(2000), some + 20) << "lists grow by doubling";
}

TEST(Kernels, BestNeverRoundsFloat32) {
  const std::vector<CpuKernel> kernels = available_cpu_kernels();
  ASSERT_FALSE(kernels.empty());
  EXPECT_EQ(kernels.front(), CpuKernel::kPortable);
  EXPECT_NE(best_cpu_kernel(DType::kFloat32), CpuKernel::kAvx512Bf16);
  EXPECT_EQ(best_cpu_kernel(DType::kBFloat16), kernels.back());
}

}  // namespace
}  // namespace dhsa
