// Views, joins, splits and look-ups. Views share storage with their source, as in PyTorch.
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/split_with_sizes.h>
#include <ATen/ops/stack.h>

#include "support.hpp"

using namespace ctorch;

extern "C" {

ct_status ct_reshape(ct_tensor a, const int64_t *shape, int32_t rank, ct_tensor *out) {
  CT_MAKE(get(a).reshape(ints(shape, rank)))
}
ct_status ct_expand(ct_tensor a, const int64_t *shape, int32_t rank, ct_tensor *out) {
  CT_MAKE(get(a).expand(ints(shape, rank)))
}
ct_status ct_permute(ct_tensor a, const int64_t *dims, int32_t rank, ct_tensor *out) {
  CT_MAKE(get(a).permute(ints(dims, rank)))
}
ct_status ct_transpose(ct_tensor a, int64_t dim0, int64_t dim1, ct_tensor *out) {
  CT_MAKE(get(a).transpose(dim0, dim1))
}
ct_status ct_unsqueeze(ct_tensor a, int64_t dim, ct_tensor *out) { CT_MAKE(get(a).unsqueeze(dim)) }
ct_status ct_squeeze(ct_tensor a, int64_t dim, ct_tensor *out) { CT_MAKE(get(a).squeeze(dim)) }
ct_status ct_flatten(ct_tensor a, int64_t start, int64_t end, ct_tensor *out) { CT_MAKE(get(a).flatten(start, end)) }
ct_status ct_narrow(ct_tensor a, int64_t dim, int64_t start, int64_t length, ct_tensor *out) {
  CT_MAKE(get(a).narrow(dim, start, length))
}
ct_status ct_select(ct_tensor a, int64_t dim, int64_t index, ct_tensor *out) { CT_MAKE(get(a).select(dim, index)) }
ct_status ct_slice(ct_tensor a, int64_t dim, int64_t start, int64_t end, int64_t step, ct_tensor *out) {
  CT_MAKE(get(a).slice(dim, start, end, step))
}
ct_status ct_flip(ct_tensor a, const int64_t *dims, int32_t rank, ct_tensor *out) {
  CT_MAKE(at::flip(get(a), ints(dims, rank)))
}
ct_status ct_repeat_interleave(ct_tensor a, int64_t repeats, int64_t dim, ct_tensor *out) {
  CT_MAKE(at::repeat_interleave(get(a), repeats, dim))
}
ct_status ct_pad(ct_tensor a, const int64_t *pad, int32_t count, double value, ct_tensor *out) {
  CT_MAKE(at::constant_pad_nd(get(a), ints(pad, count), scalar(get(a), value)))
}

ct_status ct_cat(const ct_tensor *tensors, int32_t count, int64_t dim, ct_tensor *out) {
  CT_MAKE(at::cat(list(tensors, count), dim))
}
ct_status ct_stack(const ct_tensor *tensors, int32_t count, int64_t dim, ct_tensor *out) {
  CT_MAKE(at::stack(list(tensors, count), dim))
}

ct_status ct_split(ct_tensor a, const int64_t *sizes, int32_t count, int64_t dim, ct_tensor *out) {
  for (int32_t i = 0; i < count; ++i) out[i] = nullptr;
  CT_RUN(auto parts = at::split_with_sizes(get(a), ints(sizes, count), dim);
         for (int32_t i = 0; i < count; ++i) out[i] = wrap(parts[i]))
}

ct_status ct_index_select(ct_tensor a, int64_t dim, ct_tensor index, ct_tensor *out) {
  CT_MAKE(at::index_select(get(a), dim, get(index)))
}
ct_status ct_gather(ct_tensor a, int64_t dim, ct_tensor index, ct_tensor *out) {
  CT_MAKE(at::gather(get(a), dim, get(index)))
}

}  // extern "C"
