// CUDA devices: libtorch's half for them, which is loaded where it is asked for, waiting, memory, and graphs.
//
// A process that stays on the CPU never loads it: it is half a gigabyte, and CUDA's own libraries, which it needs, are several.
#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <memory>
#include <string>

#include "graph.hpp"
#include "support.hpp"

struct ct_graph_s {
  std::unique_ptr<ctorch::Graph> graph;
};

namespace {

/// The driver, which comes with the machine and not with libtorch.
template <typename Function>
Function *driver_call(const char *name) {
  static void *const driver = dlopen("libcuda.so.1", RTLD_LAZY);
  TORCH_CHECK(driver != nullptr, "this machine has no NVIDIA driver (there is no libcuda.so.1)");
  auto call = dlsym(driver, name);
  TORCH_CHECK(call != nullptr, "the NVIDIA driver has no ", name);
  return reinterpret_cast<Function *>(call);
}

/// - Throws: what is missing: libtorch's half, or a driver that works.
void load_cuda() {
  // Before libtorch is asked anything about CUDA: it would remember that there is none.
  static const std::string why_not = [] {
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) return std::string(dlerror());
    // float32 is asked for where its accuracy is: not with 10 bits of mantissa in convolutions.
    at::globalContext().setAllowTF32CuDNN(false);
    return std::string();
  }();
  const bool is_absent = why_not.starts_with("libtorch_cuda.so:") && why_not.find("No such file") != why_not.npos;
  TORCH_CHECK(!is_absent, "this libtorch is built for the CPU only");
  TORCH_CHECK(why_not.empty(), "libtorch's half for CUDA cannot be loaded: ", why_not);
  const auto status = driver_call<int(unsigned)>("cuInit")(0);
  if (status == 0) return;
  const char *name = nullptr;
  driver_call<int(int, const char **)>("cuGetErrorName")(status, &name);
  TORCH_CHECK(false, "the NVIDIA driver finds no device it can use (", name != nullptr ? name : std::to_string(status), ")");
}

int32_t cuda_devices() {
  load_cuda();
  const auto count = at::detail::getCUDAHooks().deviceCount();
  TORCH_CHECK(count > 0, "libtorch cannot use what the NVIDIA driver shows: the driver may be older than this CUDA needs");
  // libtorch's allocators want it before anything is pinned or given back.
  at::globalContext().lazyInitDevice(at::kCUDA);
  return count;
}

void cuda_device_name(int32_t index, char *out, int64_t capacity) {
  int device = 0;
  const bool is_known = driver_call<int(unsigned)>("cuInit")(0) == 0 &&
                        driver_call<int(int *, int)>("cuDeviceGet")(&device, index) == 0 &&
                        driver_call<int(char *, int, int)>("cuDeviceGetName")(out, static_cast<int>(capacity), device) == 0;
  TORCH_CHECK(is_known, "CUDA's driver knows no device ", index);
}

ct_graph new_graph(ct_device where) {
  TORCH_CHECK(where.kind == CT_CUDA, "only CUDA devices have graphs");
  static void *const shim = dlopen(ctorch::graph_shim, RTLD_NOW | RTLD_LOCAL);
  static void *const make = shim == nullptr ? nullptr : dlsym(shim, ctorch::make_graph);
  TORCH_CHECK(make != nullptr, "set-up built no ", ctorch::graph_shim, ": it needs CUDA's headers");
  std::unique_ptr<ctorch::Graph> graph(reinterpret_cast<ctorch::MakeGraph *>(make)(where.index));
  return new ct_graph_s{std::move(graph)};
}

ctorch::Graph &recorded(ct_graph graph) {
  if (graph == nullptr) throw ctorch::Undefined();
  return *graph->graph;
}

}  // namespace

extern "C" {

ct_status ct_cuda_devices(int32_t *out) { CT_RUN(*out = cuda_devices()) }

ct_status ct_cuda_device_name(int32_t index, char *out, int64_t capacity) {
  CT_RUN(cuda_device_name(index, out, capacity))
}

ct_status ct_finish(ct_device where) {
  CT_RUN(if (where.kind == CT_CUDA) at::accelerator::synchronizeDevice(static_cast<c10::DeviceIndex>(where.index)))
}

ct_status ct_release_memory(ct_device where) {
  CT_RUN(if (where.kind == CT_CUDA) {
    at::getDeviceAllocator(at::kCUDA)->emptyCache();
    at::getHostAllocator(at::kCUDA)->empty_cache();
  })
}

ct_status ct_graph_new(ct_device where, ct_graph *out) {
  *out = nullptr;
  CT_RUN(*out = new_graph(where))
}

ct_status ct_graph_enter(ct_graph graph) { CT_RUN(recorded(graph).enter()) }

ct_status ct_graph_begin(ct_graph graph) { CT_RUN(recorded(graph).begin()) }

ct_status ct_graph_end(ct_graph graph) { CT_RUN(recorded(graph).end()) }

void ct_graph_leave(ct_graph graph) {
  if (graph != nullptr) graph->graph->leave();
}

ct_status ct_graph_replay(ct_graph graph) { CT_RUN(recorded(graph).replay()) }

void ct_graph_free(ct_graph graph) { delete graph; }

}  // extern "C"
