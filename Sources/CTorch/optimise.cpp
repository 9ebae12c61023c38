// Whole-model steps: AdamW, clipping, moving averages.
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "support.hpp"

using namespace ctorch;

namespace {

using Tensors = std::vector<at::Tensor>;

Tensors gradients(const ct_tensor *parameters, int32_t count) {
  Tensors result;
  result.reserve(count);
  for (int32_t i = 0; i < count; ++i)
    if (const auto &g = get(parameters[i]).grad(); g.defined()) result.push_back(g);
  return result;
}

void adamw(const ct_tensor *parameters, const ct_tensor *first, const ct_tensor *second, const ct_tensor *steps,
           int32_t count, ct_adamw o) {
  c10::NoGradGuard guard;
  Tensors values, slopes, means, squares, counts;
  for (int32_t i = 0; i < count; ++i) {
    const auto &gradient = get(parameters[i]).grad();
    if (!gradient.defined()) continue;
    values.push_back(get(parameters[i]));
    slopes.push_back(gradient);
    means.push_back(get(first[i]));
    squares.push_back(get(second[i]));
    counts.push_back(get(steps[i]));
  }
  if (values.empty()) return;
  at::_foreach_add_(counts, 1);
  at::_fused_adamw_(values, slopes, means, squares, {}, counts, o.learning_rate, o.beta1, o.beta2, o.weight_decay,
                    o.epsilon, false, false);
}

double clip(const ct_tensor *parameters, int32_t count, double limit) {
  c10::NoGradGuard guard;
  auto slopes = gradients(parameters, count);
  if (slopes.empty()) return 0;
  auto norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(slopes))).item().toDouble();
  // PyTorch's formula, its 1e-6 included. Where the norm is not finite the gradients stay: the caller looks at it.
  auto factor = limit / (norm + 1e-6);
  if (std::isfinite(norm) && factor < 1) at::_foreach_mul_(slopes, at::Scalar(factor));
  return norm;
}

}  // namespace

extern "C" {

ct_status ct_adamw_step(const ct_tensor *parameters, const ct_tensor *first, const ct_tensor *second,
                        const ct_tensor *steps, int32_t count, ct_adamw options) {
  CT_RUN(adamw(parameters, first, second, steps, count, options))
}

ct_status ct_clip_gradients(const ct_tensor *parameters, int32_t count, double limit, double *norm) {
  CT_RUN(*norm = clip(parameters, count, limit))
}

ct_status ct_ema_update(const ct_tensor *averages, const ct_tensor *parameters, int32_t count, double decay) {
  CT_RUN(c10::NoGradGuard guard;
         at::_foreach_lerp_(list(averages, count), list(parameters, count), at::Scalar(1 - decay)))
}

}  // extern "C"
