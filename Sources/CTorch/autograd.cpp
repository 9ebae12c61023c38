// Gradients. The tape is libtorch's; a tensor that is freed frees the part of the tape that only it held.
#include "support.hpp"

using namespace ctorch;

extern "C" {

ct_status ct_backward(ct_tensor a, ct_tensor optional_gradient) {
  CT_RUN(get(a).backward(optional_gradient == nullptr ? at::Tensor() : get(optional_gradient)))
}

ct_status ct_gradient(ct_tensor a, ct_tensor *out) {
  *out = nullptr;
  CT_RUN(const auto &g = get(a).grad(); if (g.defined()) *out = wrap(g))
}

ct_status ct_requires_gradient(ct_tensor a, bool *out) { CT_RUN(*out = get(a).requires_grad()) }

ct_status ct_set_requires_gradient(ct_tensor a, bool on) { CT_RUN(get(a).requires_grad_(on)) }

ct_status ct_detach(ct_tensor a, ct_tensor *out) { CT_MAKE(get(a).detach()) }

ct_status ct_replace_data(ct_tensor a, ct_tensor source) { CT_RUN(get(a).set_data(get(source).detach())) }

ct_status ct_drop_gradients(const ct_tensor *tensors, int32_t count) {
  CT_RUN(for (int32_t i = 0; i < count; ++i) get(tensors[i]).mutable_grad().reset())
}

}  // extern "C"
