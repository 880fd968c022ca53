#include <fmt/format.h>

#include <cmath>

#include "core/attention/check_internal.h"

namespace dhsa {
namespace {

constexpr std::int64_t kMaxDim = 512;

template <class View>
void check_view(const char* name, const View& view, std::int64_t rows, std::int64_t dim) {
  if (view.rows != rows || view.dim != dim) {
    throw Error(fmt::format("Attention: {} is [{}, {}, {}], but the mask has {} rows and q has dimension {}.", name,
                            view.heads, view.rows, view.dim, rows, dim));
  }
  if (rows > 0 && view.data == nullptr) throw Error(fmt::format("Attention: {} has no data.", name));
  if (std::abs(view.row_stride) < dim && rows > 1) {
    throw Error(
        fmt::format("Attention: rows of {} overlap (row stride {}, dimension {}).", name, view.row_stride, dim));
  }
}

}  // namespace

void check_attend_arguments(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                            const ScoreRule& rule, const MutableHeadsView& out) {
  if (q.dim < 8 || q.dim > kMaxDim || q.dim % 8 != 0) {
    throw Error(fmt::format("Attention: head dimension {} is not a multiple of 8 from 8 to {}.", q.dim, kMaxDim));
  }
  if (q.heads < 1 || k.heads < 1 || q.heads % k.heads != 0) {
    throw Error(
        fmt::format("Attention: {} query heads cannot share {} key heads; the first must be a multiple of the second.",
                    q.heads, k.heads));
  }
  if (v.heads != k.heads) {
    throw Error(fmt::format("Attention: k has {} heads but v has {}.", k.heads, v.heads));
  }
  if (out.heads != q.heads) {
    throw Error(fmt::format("Attention: q has {} heads but the output has {}.", q.heads, out.heads));
  }
  if (k.type != q.type || v.type != q.type) {
    throw Error("Attention: q, k and v must be of one type, all float32 or all bfloat16.");
  }
  check_view("q", q, mask.rows(), q.dim);
  check_view("k", k, mask.rows(), q.dim);
  check_view("v", v, mask.rows(), q.dim);
  check_view("the output", out, mask.rows(), q.dim);
  if (mask.rows() > 0 && (mask.heads() < 1 || q.heads % mask.heads() != 0)) {
    throw Error(fmt::format("Attention: a mask of {} heads does not divide {} query heads.", mask.heads(), q.heads));
  }
  if (!std::isfinite(rule.scale)) throw Error("Attention: the score scale must be a finite number.");
  if (!std::isfinite(rule.softcap) || rule.softcap < 0.0F) {
    throw Error(fmt::format("Attention: the soft cap is {}; it must be 0 (none) or a positive number.", rule.softcap));
  }
}

}  // namespace dhsa
