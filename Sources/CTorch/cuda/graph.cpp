// CUDA graphs. Not part of the package: CUDA's headers are needed, and libtorch_cuda.so is linked, so that `make setup` builds it as
// libcollafuse_cuda.so where there are both, and CTorch loads it where a graph is asked for.
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <memory>
#include <optional>

#include "../graph.hpp"

namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

using Pool = c10::MempoolId_t;

/// All recordings that live at a time share a pool: what one needs only while it runs, the others use too. They never run at the same
/// time, and what they end with is copied before another runs. After the last of them libtorch takes the pool for dead.
std::shared_ptr<const Pool> shared_pool() {
  thread_local std::weak_ptr<const Pool> last;
  auto pool = last.lock();
  if (pool == nullptr) {
    pool = std::make_shared<const Pool>(at::cuda::graph_pool_handle());
    last = pool;
  }
  return pool;
}

/// One for all recordings on a device: the matrix libraries keep a workspace for each stream that they have seen.
c10::cuda::CUDAStream recording_stream(c10::DeviceIndex device) {
  thread_local std::map<c10::DeviceIndex, c10::cuda::CUDAStream> streams;
  const auto known = streams.find(device);
  if (known != streams.end()) return known->second;
  return streams.emplace(device, c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)).first->second;
}

/// - Returns: whether it went well.
template <typename Body>
bool attempt(const Body &body) noexcept {
  try {
    body();
    return true;
  } catch (...) {
    return false;
  }
}

class CUDAGraph final : public ctorch::Graph {
 public:
  explicit CUDAGraph(c10::DeviceIndex device) : device_(device) {
    const c10::cuda::CUDAGuard guard(device_);
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
  }

  ~CUDAGraph() override {
    leave();
    if (is_recording_) abandon();
    if (graph_ == nullptr) return;
    // Its memory may be given to others at once, so it must have been read.
    const bool is_idle = attempt([this] {
      const c10::cuda::CUDAGuard guard(device_);
      c10::cuda::device_synchronize();
    });
    if (is_idle) graph_.reset();
    else static_cast<void>(graph_.release());
  }

  void enter() override {
    const c10::cuda::CUDAGuard guard(device_);
    c10::cuda::device_synchronize();
    stream_.emplace(recording_stream(device_));
  }

  void begin() override {
    TORCH_CHECK(stream_.has_value() && graph_ != nullptr && pool_ == nullptr,
                "a recording begins on a stream of its own, and once");
    c10::cuda::device_synchronize();
    // What the warm-up needed lies with a stream that nobody else uses.
    allocator::emptyCache();
    pool_ = shared_pool();
    users_before_ = users();
    is_recording_ = true;
    graph_->capture_begin(*pool_, cudaStreamCaptureModeThreadLocal);
  }

  void end() override {
    TORCH_CHECK(is_recording_, "no recording has begun");
    try {
      graph_->capture_end();
      is_recording_ = false;
    } catch (...) {
      abandon();
      throw;
    }
  }

  void leave() noexcept override { stream_.reset(); }

  void replay() override {
    TORCH_CHECK(graph_ != nullptr && pool_ != nullptr && !is_recording_, "nothing is recorded");
    graph_->replay();
  }

 private:
  /// Graphs that libtorch counts for the pool; 0 where it does not know it yet.
  int users() const noexcept {
    int count = 0;
    attempt([&] { count = allocator::get()->getPoolUseCount(device_, *pool_); });
    return count;
  }

  /// Of a recording that failed libtorch leaves open what it had open: its allocators would go on asking the graph, keep the pool's
  /// memory, and free nothing when there is little. Which of these it has ended by itself depends on its version.
  void abandon() noexcept {
    is_recording_ = false;
    attempt([this] { allocator::endAllocateToPool(device_, *pool_); });
    const auto host = at::getHostAllocator(at::kCUDA);
    if (attempt([&] { host->end_allocate_to_pool(*pool_); })) attempt([&] { host->release_pool(*pool_); });
    attempt([this] { graph_->reset(); });
    if (users() > users_before_) attempt([this] { allocator::releasePool(device_, *pool_); });
    // It may still be known as one that is recorded, and is small.
    static_cast<void>(graph_.release());
  }

  c10::DeviceIndex device_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
  /// What it is recorded in; nullptr: it is not.
  std::shared_ptr<const Pool> pool_;
  int users_before_ = 0;
  std::optional<c10::cuda::CUDAStreamGuard> stream_;
  bool is_recording_ = false;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) ctorch::Graph *collafuse_make_graph(int32_t device) {
  return new CUDAGraph(static_cast<c10::DeviceIndex>(device));
}
