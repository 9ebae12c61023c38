// Over one or several dimensions: sums, moments, extremes, softmax.
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/argmin.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/var.h>

#include "support.hpp"

using namespace ctorch;

namespace {

/// An empty list means all dimensions to `sum` and `mean`, but not to every reduction; this says it the one way all
/// accept.
at::OptionalIntArrayRef over(const int64_t *dims, int32_t rank) {
  return rank == 0 ? at::OptionalIntArrayRef(std::nullopt) : at::OptionalIntArrayRef(ints(dims, rank));
}

}  // namespace

extern "C" {

ct_status ct_sum(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out) {
  CT_MAKE(at::sum(get(a), over(dims, rank), keep))
}
ct_status ct_mean(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out) {
  CT_MAKE(at::mean(get(a), over(dims, rank), keep))
}
ct_status ct_var(ct_tensor a, const int64_t *dims, int32_t rank, double correction, bool keep, ct_tensor *out) {
  CT_MAKE(at::var(get(a), over(dims, rank), std::optional<at::Scalar>(correction), keep))
}
ct_status ct_amin(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out) {
  CT_MAKE(at::amin(get(a), ints(dims, rank), keep))
}
ct_status ct_amax(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out) {
  CT_MAKE(at::amax(get(a), ints(dims, rank), keep))
}
ct_status ct_norm(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out) {
  CT_MAKE(at::linalg_vector_norm(get(a), 2, over(dims, rank), keep))
}
ct_status ct_argmax(ct_tensor a, int64_t dim, bool keep, ct_tensor *out) { CT_MAKE(at::argmax(get(a), dim, keep)) }
ct_status ct_argmin(ct_tensor a, int64_t dim, bool keep, ct_tensor *out) { CT_MAKE(at::argmin(get(a), dim, keep)) }
ct_status ct_cumsum(ct_tensor a, int64_t dim, ct_tensor *out) { CT_MAKE(at::cumsum(get(a), dim)) }
ct_status ct_sort(ct_tensor a, int64_t dim, ct_tensor *out) { CT_MAKE(std::get<0>(at::sort(get(a), dim))) }
ct_status ct_softmax(ct_tensor a, int64_t dim, ct_tensor *out) { CT_MAKE(at::softmax(get(a), dim)) }
ct_status ct_log_softmax(ct_tensor a, int64_t dim, ct_tensor *out) { CT_MAKE(at::log_softmax(get(a), dim)) }

}  // extern "C"
