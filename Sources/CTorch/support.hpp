// What every family of calls shares: handles, the catch at the C boundary, and small conversions.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>
#include <vector>

#include "ctorch.h"

struct ct_tensor_s {
  at::Tensor value;
};

namespace ctorch {

/// An operand that is the result of a failed call.
struct Undefined final : std::exception {
  const char *what() const noexcept override { return "an operand is the result of a call that failed before"; }
};

/// Keeps the message for this thread and gives the status back.
ct_status fail(ct_status status, const char *message) noexcept;

/// libtorch reports an exhausted host allocator, and some of CUDA's, as ordinary errors; only their text tells.
ct_status classify(const c10::Error &error) noexcept;

ct_tensor wrap(at::Tensor value);

inline const at::Tensor &get(ct_tensor tensor) {
  if (tensor == nullptr) throw Undefined();
  return tensor->value;
}

inline std::optional<at::Tensor> optional(ct_tensor tensor) {
  return tensor == nullptr ? std::nullopt : std::optional<at::Tensor>(tensor->value);
}

inline std::vector<at::Tensor> list(const ct_tensor *tensors, int32_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (int32_t i = 0; i < count; ++i) result.push_back(get(tensors[i]));
  return result;
}

inline at::IntArrayRef ints(const int64_t *values, int32_t count) {
  return at::IntArrayRef(values, static_cast<size_t>(count));
}

/// An integer tensor stays one under a whole number: PyTorch promotes by the scalar's type, and C has only double here.
inline at::Scalar scalar(const at::Tensor &beside, double value) {
  auto whole = static_cast<double>(static_cast<int64_t>(value)) == value;
  return !at::isFloatingType(beside.scalar_type()) && whole ? at::Scalar(static_cast<int64_t>(value))
                                                            : at::Scalar(value);
}

at::ScalarType scalar_type(int32_t dtype);
int32_t dtype_code(at::ScalarType type);
at::Device device(ct_device device);
at::MemoryFormat memory_format(int32_t format);

}  // namespace ctorch

#define CT_CATCH                                                          \
  catch (const ctorch::Undefined &e) {                                    \
    return ctorch::fail(CT_UNDEFINED, e.what());                          \
  }                                                                       \
  catch (const c10::Error &e) {                                           \
    return ctorch::fail(ctorch::classify(e), e.what_without_backtrace()); \
  }                                                                       \
  catch (const std::bad_alloc &) {                                        \
    return ctorch::fail(CT_OUT_OF_MEMORY, "out of memory");               \
  }                                                                       \
  catch (const std::exception &e) {                                       \
    return ctorch::fail(CT_INTERNAL, e.what());                           \
  }                                                                       \
  catch (...) {                                                           \
    return ctorch::fail(CT_INTERNAL, "an exception of unknown type");     \
  }

/// Runs statements and answers with a status.
#define CT_RUN(...) \
  try {             \
    __VA_ARGS__;    \
    return CT_OK;   \
  }                 \
  CT_CATCH

/// Evaluates an expression of type at::Tensor into `*out`.
#define CT_MAKE(...) \
  *out = nullptr;    \
  CT_RUN(*out = ctorch::wrap(__VA_ARGS__))
