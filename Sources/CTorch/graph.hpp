// What CTorch asks of the shim that records CUDA graphs: Sources/CTorch/cuda.
#pragma once

#include <cstdint>

namespace ctorch {

/// A device's work, recorded once and run again as a whole. Everything on one thread.
struct Graph {
  virtual ~Graph() = default;
  /// Makes a stream of its own the current one: what is run now warms up what the recording needs.
  virtual void enter() = 0;
  /// From here on work is recorded and not done.
  virtual void begin() = 0;
  /// Ends the recording. Throws when it is of no use.
  virtual void end() = 0;
  /// Makes the stream current again that was before `enter`. May be called twice.
  virtual void leave() noexcept = 0;
  virtual void replay() = 0;
};

using MakeGraph = Graph *(int32_t device);
constexpr const char *graph_shim = "libcollafuse_cuda.so";
constexpr const char *make_graph = "collafuse_make_graph";

}  // namespace ctorch
