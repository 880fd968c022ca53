// Warpgroup-level pieces of the Hopper path (sm_90a): asynchronous products, barriers in shared memory, bulk copies.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace dhsa::cuda {

// --- barriers in shared memory: an arrival count and expected bytes per phase, waited for by the phase's parity ---

__device__ __forceinline__ void barrier_init(std::uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void barrier_arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(barrier) : "memory");
}
__device__ __forceinline__ void barrier_arrive_expecting(std::uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(barrier), "r"(bytes) : "memory");
}
// Arrives once this thread's asynchronous copies so far have landed; counted in the barrier's arrivals.
__device__ __forceinline__ void barrier_arrive_after_copies(std::uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];\n" ::"r"(barrier) : "memory");
}
__device__ __forceinline__ void barrier_wait(std::uint32_t barrier, int parity) {
  asm volatile(
      "{ .reg .pred done;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again; }\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
// Shared memory written by ordinary stores and cp.async becomes visible to the tensor cores.
__device__ __forceinline__ void fence_to_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}

template <int kThreads>
__device__ __forceinline__ void named_sync(int id) {
  asm volatile("bar.sync %0, %1;\n" ::"r"(id), "n"(kThreads) : "memory");
}
// Box of the tensor map at {0, row, 0, 0, head}: the copy engine writes it swizzled and counts its bytes at the
// barrier.
__device__ __forceinline__ void copy_box(std::uint32_t to, const CUtensorMap* map, int row, int head,
                                         std::uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %2, %2, %4}], "
      "[%5];\n" ::"r"(to),
      "l"(map), "r"(0), "r"(row), "r"(head), "r"(barrier)
      : "memory");
}

template <int kRegisters>
__device__ __forceinline__ void more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
}

// --- wgmma ---

// Matrix of 128-byte swizzled rows (64 bfloat16) in shared memory, 8-row groups `group_bytes` apart. `slab_bytes`
// parts the 64-wide column slabs of an operand whose columns are the product's columns (V); else it is not read.
__device__ __forceinline__ std::uint64_t matrix_descriptor(std::uint32_t address, int slab_bytes, int group_bytes) {
  return (static_cast<std::uint64_t>(1) << 62) | (static_cast<std::uint64_t>(group_bytes >> 4) << 32) |
         (static_cast<std::uint64_t>(slab_bytes >> 4) << 16) | ((address & 0x3ffffU) >> 4);
}
__device__ __forceinline__ void products_fence() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ __forceinline__ void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(kPending) : "memory");
}
// Keeps the compiler from moving uses of an asynchronous product's registers across this point.
template <int kCount>
__device__ __forceinline__ void pin(float (&r)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(r[i])::"memory");
}

__device__ __forceinline__ void pin(std::uint32_t (&r)[4]) {
  asm volatile("" : "+r"(r[0]), "+r"(r[1]), "+r"(r[2]), "+r"(r[3])::"memory");
}

// multiply_shared: c[64 x N] = a[64 x 16] b[N x 16]^T (+ c where `keep`), both in shared memory.
// multiply_registers: c[64 x N] += a[64 x 16] b[16 x N], a in registers, b in shared memory by rows of 16.
// c: of row lane/4 + 16 * warp (elements 4n, 4n + 1) and 8 below it (4n + 2, 4n + 3), columns 8n + 2 * (lane % 4) and
// the next; a is laid out as mma's.
#define DHSA_ACC8(i)                                                                                          \
  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), "+f"(c[i + 4]), "+f"(c[i + 5]), "+f"(c[i + 6]), \
      "+f"(c[i + 7])

__device__ __forceinline__ void multiply_shared(float (&c)[40], std::uint64_t a, std::uint64_t b, int keep) {
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %42, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n80k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39"
      "}, %40, %41, p, 1, 1, 0, 0; }\n"
      : DHSA_ACC8(0), DHSA_ACC8(8), DHSA_ACC8(16), DHSA_ACC8(24), DHSA_ACC8(32)
      : "l"(a), "l"(b), "r"(keep));
}

__device__ __forceinline__ void multiply_shared(float (&c)[64], std::uint64_t a, std::uint64_t b, int keep) {
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
      "}, %64, %65, p, 1, 1, 0, 0; }\n"
      : DHSA_ACC8(0), DHSA_ACC8(8), DHSA_ACC8(16), DHSA_ACC8(24), DHSA_ACC8(32), DHSA_ACC8(40), DHSA_ACC8(48),
        DHSA_ACC8(56)
      : "l"(a), "l"(b), "r"(keep));
}

__device__ __forceinline__ void multiply_registers(float (&c)[32], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
      "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;\n"
      : DHSA_ACC8(0), DHSA_ACC8(8), DHSA_ACC8(16), DHSA_ACC8(24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

__device__ __forceinline__ void multiply_registers(float (&c)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
      "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1;\n"
      : DHSA_ACC8(0), DHSA_ACC8(8), DHSA_ACC8(16), DHSA_ACC8(24), DHSA_ACC8(32), DHSA_ACC8(40), DHSA_ACC8(48),
        DHSA_ACC8(56)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

__device__ __forceinline__ void multiply_registers(float (&c)[128], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
      "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
      "}, {%128, %129, %130, %131}, %132, 1, 1, 1, 1;\n"
      : DHSA_ACC8(0), DHSA_ACC8(8), DHSA_ACC8(16), DHSA_ACC8(24), DHSA_ACC8(32), DHSA_ACC8(40), DHSA_ACC8(48),
        DHSA_ACC8(56), DHSA_ACC8(64), DHSA_ACC8(72), DHSA_ACC8(80), DHSA_ACC8(88), DHSA_ACC8(96), DHSA_ACC8(104),
        DHSA_ACC8(112), DHSA_ACC8(120)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#undef DHSA_ACC8

}  // namespace dhsa::cuda
