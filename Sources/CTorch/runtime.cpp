// Errors, threads, gradient mode, and the balance of tensors.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cstring>
#include <limits>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "support.hpp"

namespace {

thread_local int64_t balance = 0;
thread_local std::string last_error;

/// One open scope: the first failure it has seen.
struct Scope {
  ct_status status = CT_OK;
  std::string message;
};
thread_local std::vector<Scope> scopes;

}  // namespace

namespace ctorch {

ct_status fail(ct_status status, const char *message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

ct_status classify(const c10::Error &error) noexcept {
  if (dynamic_cast<const c10::OutOfMemoryError *>(&error) != nullptr) return CT_OUT_OF_MEMORY;
  auto text = std::string_view(error.what_without_backtrace());
  for (std::string_view sign : {"can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
                                "CUDNN_STATUS_ALLOC_FAILED"})
    if (text.find(sign) != text.npos) return CT_OUT_OF_MEMORY;
  return CT_INVALID;
}

ct_tensor wrap(at::Tensor value) {
  auto handle = new ct_tensor_s{std::move(value)};
  ++balance;
  return handle;
}

at::ScalarType scalar_type(int32_t dtype) {
  switch (dtype) {
    case CT_FLOAT64: return at::kDouble;
    case CT_FLOAT32: return at::kFloat;
    case CT_FLOAT16: return at::kHalf;
    case CT_BFLOAT16: return at::kBFloat16;
    case CT_INT64: return at::kLong;
    case CT_INT32: return at::kInt;
    case CT_INT16: return at::kShort;
    case CT_INT8: return at::kChar;
    case CT_UINT8: return at::kByte;
    case CT_BOOL: return at::kBool;
  }
  TORCH_CHECK(false, "unknown element type ", dtype);
}

int32_t dtype_code(at::ScalarType type) {
  switch (type) {
    case at::kDouble: return CT_FLOAT64;
    case at::kFloat: return CT_FLOAT32;
    case at::kHalf: return CT_FLOAT16;
    case at::kBFloat16: return CT_BFLOAT16;
    case at::kLong: return CT_INT64;
    case at::kInt: return CT_INT32;
    case at::kShort: return CT_INT16;
    case at::kChar: return CT_INT8;
    case at::kByte: return CT_UINT8;
    case at::kBool: return CT_BOOL;
    default: TORCH_CHECK(false, "element type ", type, " has no name here");
  }
}

at::Device device(ct_device device) {
  return device.kind == CT_CUDA ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device.index))
                                : at::Device(at::kCPU);
}

at::MemoryFormat memory_format(int32_t format) {
  switch (format) {
    case CT_CONTIGUOUS: return at::MemoryFormat::Contiguous;
    case CT_CHANNELS_LAST: return at::MemoryFormat::ChannelsLast;
    default: return at::MemoryFormat::Preserve;
  }
}

}  // namespace ctorch

extern "C" {

const char *ct_last_error(void) { return last_error.c_str(); }

int64_t ct_balance(void) { return balance; }

const char *ct_version(void) { return TORCH_VERSION; }

ct_status ct_set_threads(int32_t count) {
  CT_RUN(TORCH_CHECK(count > 0, "at least one thread"); at::set_num_threads(count))
}

void ct_keep_freed_memory(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
  // Arenas of other threads hold 64 MiB at most, and give the rest back.
  mallopt(M_ARENA_MAX, 1);
#endif
}

ct_status ct_threads(int32_t *out) { CT_RUN(*out = at::get_num_threads()) }

ct_status ct_set_flush_denormal(bool on) { CT_RUN(at::globalContext().setFlushDenormal(on)) }

bool ct_gradients_enabled(void) { return c10::GradMode::is_enabled(); }

void ct_set_gradients_enabled(bool on) { c10::GradMode::set_enabled(on); }

ct_status ct_mixed_enter(int32_t dtype) {
  CT_RUN(for (auto kind : {at::kCPU, at::kCUDA}) {
    at::autocast::set_autocast_dtype(kind, ctorch::scalar_type(dtype));
    at::autocast::set_autocast_enabled(kind, true);
  } at::autocast::increment_nesting())
}

ct_status ct_mixed_leave(void) {
  CT_RUN(for (auto kind : {at::kCPU, at::kCUDA}) at::autocast::set_autocast_enabled(kind, false);
         if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache())
}

bool ct_cpu_has_bfloat16(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") || __builtin_cpu_supports("amx-bf16");
#else
  return false;
#endif
}

void ct_free(ct_tensor tensor) {
  if (tensor == nullptr) return;
  delete tensor;
  --balance;
}

void ct_scope_enter(void) {
  try {
    scopes.emplace_back();
  } catch (...) {
    std::terminate();  // not even a few bytes: nothing could be reported either
  }
}

bool ct_scope_active(void) { return !scopes.empty(); }

void ct_scope_record(ct_status status, const char *message) {
  if (scopes.empty() || scopes.back().status != CT_OK) return;
  scopes.back().status = status;
  try {
    scopes.back().message = message;
  } catch (...) {
  }
}

ct_status ct_scope_leave(char *message, int64_t capacity) {
  if (scopes.empty() || capacity < 1) return CT_INTERNAL;
  auto scope = std::move(scopes.back());
  scopes.pop_back();
  auto length = std::min<size_t>(scope.message.size(), static_cast<size_t>(capacity - 1));
  std::memcpy(message, scope.message.data(), length);
  message[length] = '\0';
  return scope.status;
}

}  // extern "C"
