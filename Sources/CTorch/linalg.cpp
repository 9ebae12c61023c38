// Products of matrices and their decompositions.
#include <ATen/ops/bmm.h>
#include <ATen/ops/cdist.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/trace.h>

#include "support.hpp"

using namespace ctorch;

extern "C" {

ct_status ct_matmul(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::matmul(get(a), get(b))) }
ct_status ct_bmm(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::bmm(get(a), get(b))) }
ct_status ct_cdist(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::cdist(get(a), get(b))) }
ct_status ct_trace(ct_tensor a, ct_tensor *out) { CT_MAKE(at::trace(get(a))) }

ct_status ct_eigh(ct_tensor a, ct_tensor *values, ct_tensor *vectors) {
  *values = *vectors = nullptr;
  CT_RUN(auto [l, q] = at::linalg_eigh(get(a)); *values = wrap(l); *vectors = wrap(q))
}

ct_status ct_svd(ct_tensor a, ct_tensor *u, ct_tensor *s, ct_tensor *vh) {
  *u = *s = *vh = nullptr;
  CT_RUN(auto [left, values, right] = at::linalg_svd(get(a), false); *u = wrap(left); *s = wrap(values);
         *vh = wrap(right))
}

}  // extern "C"
