// Making tensors, looking at them, moving them between types, devices and layouts.
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <c10/core/DeviceGuard.h>

#include <cstring>

#include "support.hpp"

using namespace ctorch;

namespace {

at::TensorOptions options(int32_t dtype, ct_device where) {
  return at::TensorOptions().dtype(scalar_type(dtype)).device(device(where));
}

/// A copy of foreign bytes. The count is checked against the shape first: libtorch would read past the end.
at::Tensor from_bytes(const void *bytes, int64_t count, int32_t dtype, at::IntArrayRef shape, ct_device where) {
  auto result = at::empty(shape, options(dtype, {CT_CPU, 0}));
  TORCH_CHECK(static_cast<int64_t>(result.nbytes()) == count, count, " bytes do not fill the shape ", shape);
  if (count > 0) std::memcpy(result.mutable_data_ptr(), bytes, static_cast<size_t>(count));
  return result.to(device(where));
}

void copy_out(const at::Tensor &tensor, void *bytes, int64_t count) {
  auto plain = tensor.detach().to(at::kCPU).contiguous();
  TORCH_CHECK(static_cast<int64_t>(plain.nbytes()) == count, "room for ", count, " bytes, the tensor has ",
              plain.nbytes());
  if (count > 0) std::memcpy(bytes, plain.const_data_ptr(), static_cast<size_t>(count));
}

/// A device reads pinned memory by itself, while this thread goes on; libtorch keeps that memory until it is read. The current stream's
/// further work sees the copy, since it comes after it.
at::Tensor move(const at::Tensor &tensor, at::Device target) {
  if (!target.is_cuda() || !tensor.is_cpu()) return tensor.to(target);
  // Memory is pinned in the context of a device: of this one, or a worker of the second would be seen on the first too.
  const c10::DeviceGuard guard(target);
  return tensor.pin_memory().to(target, /*non_blocking=*/true);
}

}  // namespace

extern "C" {

ct_status ct_from_bytes(const void *bytes, int64_t count, int32_t dtype, const int64_t *shape, int32_t rank,
                        ct_device where, ct_tensor *out) {
  CT_MAKE(from_bytes(bytes, count, dtype, ints(shape, rank), where))
}

ct_status ct_full(double value, int32_t dtype, const int64_t *shape, int32_t rank, ct_device where, ct_tensor *out) {
  CT_MAKE(at::full(ints(shape, rank), value, options(dtype, where)))
}

ct_status ct_empty(int32_t dtype, const int64_t *shape, int32_t rank, ct_device where, ct_tensor *out) {
  CT_MAKE(at::empty(ints(shape, rank), options(dtype, where)))
}

ct_status ct_arange(double start, double end, double step, int32_t dtype, ct_device where, ct_tensor *out) {
  CT_MAKE(at::arange(start, end, step, options(dtype, where)))
}

ct_status ct_eye(int64_t n, int32_t dtype, ct_device where, ct_tensor *out) {
  CT_MAKE(at::eye(n, options(dtype, where)))
}

ct_status ct_copy_out(ct_tensor a, void *bytes, int64_t count) { CT_RUN(copy_out(get(a), bytes, count)) }

ct_status ct_rank(ct_tensor a, int32_t *out) { CT_RUN(*out = static_cast<int32_t>(get(a).dim())) }

ct_status ct_shape(ct_tensor a, int64_t *out) { CT_RUN(auto s = get(a).sizes(); std::copy(s.begin(), s.end(), out)) }

ct_status ct_strides(ct_tensor a, int64_t *out) {
  CT_RUN(auto s = get(a).strides(); std::copy(s.begin(), s.end(), out))
}

ct_status ct_dtype(ct_tensor a, int32_t *out) { CT_RUN(*out = dtype_code(get(a).scalar_type())) }

ct_status ct_device_of(ct_tensor a, ct_device *out) {
  CT_RUN(auto d = get(a).device(); *out = {d.is_cuda() ? CT_CUDA : CT_CPU, d.has_index() ? d.index() : 0})
}

ct_status ct_revision(ct_tensor a, int64_t *out) {
  CT_RUN(out[0] = reinterpret_cast<int64_t>(get(a).const_data_ptr()); out[1] = get(a)._version())
}

ct_status ct_is_contiguous(ct_tensor a, int32_t format, bool *out) {
  CT_RUN(*out = get(a).is_contiguous(memory_format(format)))
}

ct_status ct_item(ct_tensor a, double *out) { CT_RUN(*out = get(a).item().toDouble()) }

ct_status ct_item_int(ct_tensor a, int64_t *out) { CT_RUN(*out = get(a).item().toLong()) }

ct_status ct_to_dtype(ct_tensor a, int32_t dtype, ct_tensor *out) { CT_MAKE(get(a).to(scalar_type(dtype))) }

ct_status ct_to_device(ct_tensor a, ct_device where, ct_tensor *out) { CT_MAKE(move(get(a), device(where))) }

ct_status ct_to_format(ct_tensor a, int32_t format, ct_tensor *out) {
  CT_MAKE(get(a).contiguous(memory_format(format)))
}

ct_status ct_clone(ct_tensor a, ct_tensor *out) { CT_MAKE(get(a).clone()) }

}  // extern "C"
