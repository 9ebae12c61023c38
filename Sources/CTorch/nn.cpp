// The operations that layers and losses are made of.
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/upsample_nearest2d.h>

#include "support.hpp"

using namespace ctorch;

extern "C" {

ct_status ct_linear(ct_tensor x, ct_tensor weight, ct_tensor optional_bias, ct_tensor *out) {
  CT_MAKE(at::linear(get(x), get(weight), optional(optional_bias)))
}

ct_status ct_conv2d(ct_tensor x, ct_tensor weight, ct_tensor optional_bias, int64_t stride, int64_t padding,
                    int64_t dilation, int64_t groups, ct_tensor *out) {
  CT_MAKE(at::conv2d(get(x), get(weight), optional(optional_bias), {stride, stride}, {padding, padding},
                     {dilation, dilation}, groups))
}

ct_status ct_layer_norm(ct_tensor x, const int64_t *shape, int32_t rank, ct_tensor optional_weight,
                        ct_tensor optional_bias, double epsilon, ct_tensor *out) {
  CT_MAKE(at::layer_norm(get(x), ints(shape, rank), optional(optional_weight), optional(optional_bias), epsilon))
}

ct_status ct_embedding(ct_tensor weight, ct_tensor indices, ct_tensor *out) {
  CT_MAKE(at::embedding(get(weight), get(indices)))
}

ct_status ct_upsample_nearest2d(ct_tensor x, int64_t height, int64_t width, ct_tensor *out) {
  CT_MAKE(at::upsample_nearest2d(get(x), at::IntArrayRef({height, width})))
}

ct_status ct_avg_pool2d(ct_tensor x, int64_t kernel, int64_t stride, int64_t padding, ct_tensor *out) {
  CT_MAKE(at::avg_pool2d(get(x), {kernel, kernel}, {stride, stride}, {padding, padding}))
}

ct_status ct_max_pool2d(ct_tensor x, int64_t kernel, int64_t stride, int64_t padding, ct_tensor *out) {
  CT_MAKE(at::max_pool2d(get(x), {kernel, kernel}, {stride, stride}, {padding, padding}))
}

ct_status ct_mse_loss(ct_tensor a, ct_tensor b, ct_tensor *out) { CT_MAKE(at::mse_loss(get(a), get(b))) }

ct_status ct_cross_entropy(ct_tensor logits, ct_tensor labels, double label_smoothing, ct_tensor *out) {
  CT_MAKE(at::cross_entropy_loss(get(logits), get(labels), {}, at::Reduction::Mean, -100, label_smoothing))
}

}  // extern "C"
