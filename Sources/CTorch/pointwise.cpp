// Element by element: arithmetic, functions, comparison, masks.
#include <ATen/ops/abs.h>
#include <ATen/ops/add.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/div.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/log.h>
#include <ATen/ops/logical_not.h>
#include <ATen/ops/masked_fill.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/mish.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/neg.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/round.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/square.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>

#include "support.hpp"

using namespace ctorch;

namespace {

template <typename Right>
at::Tensor compare(const at::Tensor &a, const Right &b, int32_t relation) {
  switch (relation) {
    case CT_EQ: return a.eq(b);
    case CT_NE: return a.ne(b);
    case CT_LT: return a.lt(b);
    case CT_LE: return a.le(b);
    case CT_GT: return a.gt(b);
    case CT_GE: return a.ge(b);
  }
  TORCH_CHECK(false, "unknown relation ", relation);
}

}  // namespace

extern "C" {

ct_status ct_add(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::add(get(a), get(b))) }
ct_status ct_sub(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::sub(get(a), get(b))) }
ct_status ct_mul(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::mul(get(a), get(b))) }
ct_status ct_div(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::div(get(a), get(b))) }
ct_status ct_add_scalar(ct_tensor a, double b, ct_tensor *out) { CT_MAKE(at::add(get(a), scalar(get(a), b))) }
ct_status ct_mul_scalar(ct_tensor a, double b, ct_tensor *out) { CT_MAKE(at::mul(get(a), scalar(get(a), b))) }
ct_status ct_div_scalar(ct_tensor a, double b, ct_tensor *out) { CT_MAKE(at::div(get(a), scalar(get(a), b))) }
ct_status ct_scalar_sub(double a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::rsub(get(b), scalar(get(b), a))) }
ct_status ct_scalar_div(double a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::mul(at::reciprocal(get(b)), a)) }
ct_status ct_pow_scalar(ct_tensor a, double exponent, ct_tensor *out) {
  CT_MAKE(at::pow(get(a), scalar(get(a), exponent)))
}
ct_status ct_maximum(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::maximum(get(a), get(b))) }
ct_status ct_minimum(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::minimum(get(a), get(b))) }
ct_status ct_lerp(ct_tensor a, ct_tensor b, double weight, ct_tensor *out) { CT_MAKE(at::lerp(get(a), get(b), weight)) }

ct_status ct_neg(ct_tensor a, ct_tensor *out) { CT_MAKE(at::neg(get(a))) }
ct_status ct_abs(ct_tensor a, ct_tensor *out) { CT_MAKE(at::abs(get(a))) }
ct_status ct_exp(ct_tensor a, ct_tensor *out) { CT_MAKE(at::exp(get(a))) }
ct_status ct_log(ct_tensor a, ct_tensor *out) { CT_MAKE(at::log(get(a))) }
ct_status ct_sqrt(ct_tensor a, ct_tensor *out) { CT_MAKE(at::sqrt(get(a))) }
ct_status ct_rsqrt(ct_tensor a, ct_tensor *out) { CT_MAKE(at::rsqrt(get(a))) }
ct_status ct_square(ct_tensor a, ct_tensor *out) { CT_MAKE(at::square(get(a))) }
ct_status ct_sin(ct_tensor a, ct_tensor *out) { CT_MAKE(at::sin(get(a))) }
ct_status ct_cos(ct_tensor a, ct_tensor *out) { CT_MAKE(at::cos(get(a))) }
ct_status ct_tanh(ct_tensor a, ct_tensor *out) { CT_MAKE(at::tanh(get(a))) }
ct_status ct_sigmoid(ct_tensor a, ct_tensor *out) { CT_MAKE(at::sigmoid(get(a))) }
ct_status ct_silu(ct_tensor a, ct_tensor *out) { CT_MAKE(at::silu(get(a))) }
ct_status ct_relu(ct_tensor a, ct_tensor *out) { CT_MAKE(at::relu(get(a))) }
ct_status ct_mish(ct_tensor a, ct_tensor *out) { CT_MAKE(at::mish(get(a))) }
ct_status ct_gelu(ct_tensor a, bool tanh_approximation, ct_tensor *out) {
  CT_MAKE(at::gelu(get(a), tanh_approximation ? "tanh" : "none"))
}
ct_status ct_round(ct_tensor a, ct_tensor *out) { CT_MAKE(at::round(get(a))) }
ct_status ct_clamp(ct_tensor a, double low, double high, ct_tensor *out) {
  CT_MAKE(at::clamp(get(a), scalar(get(a), low), scalar(get(a), high)))
}

ct_status ct_isnan(ct_tensor a, ct_tensor *out) { CT_MAKE(at::isnan(get(a))) }
ct_status ct_all_finite(ct_tensor a, bool *out) { CT_RUN(*out = at::isfinite(get(a)).all().item().toBool()) }
ct_status ct_compare(ct_tensor a, ct_tensor b, int32_t relation, ct_tensor *out) {
  CT_MAKE(compare(get(a), get(b), relation))
}
ct_status ct_compare_scalar(ct_tensor a, double b, int32_t relation, ct_tensor *out) {
  CT_MAKE(compare(get(a), scalar(get(a), b), relation))
}
ct_status ct_logical_not(ct_tensor a, ct_tensor *out) { CT_MAKE(at::logical_not(get(a))) }
ct_status ct_where(ct_tensor condition, ct_tensor a, ct_tensor b, ct_tensor *out) {
  CT_MAKE(at::where(get(condition), get(a), get(b)))
}
ct_status ct_masked_fill(ct_tensor a, ct_tensor mask, double value, ct_tensor *out) {
  CT_MAKE(at::masked_fill(get(a), get(mask), scalar(get(a), value)))
}

ct_status ct_add_in_place(ct_tensor a, ct_tensor b, double alpha) { CT_RUN(get(a).add_(get(b), scalar(get(a), alpha))) }
ct_status ct_mul_in_place(ct_tensor a, double factor) { CT_RUN(get(a).mul_(scalar(get(a), factor))) }
ct_status ct_fill_in_place(ct_tensor a, double value) { CT_RUN(get(a).fill_(scalar(get(a), value))) }
ct_status ct_copy_in_place(ct_tensor a, ct_tensor source) { CT_RUN(get(a).copy_(get(source))) }
ct_status ct_lerp_in_place(ct_tensor a, ct_tensor b, double weight) { CT_RUN(get(a).lerp_(get(b), weight)) }

}  // extern "C"
