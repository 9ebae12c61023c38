import CTorch

/// A device's work, recorded once and run again as a whole: what a host takes for starting hundreds of small kernels, it takes once.
///
/// The work is recorded with the memory it uses: it reads the same tensors each time, whose elements are written anew before, and writes
/// its result to the same tensor. It must not wait for the device, nor upload anything. CUDA has graphs where set-up found CUDA's headers.
///
/// Belongs to the thread that made it.
package final class DeviceGraph {
    private let handle: ct_graph?

    /// - Throws: `invalid` where there are no graphs, `outOfMemory`.
    package init(on device: Device) throws(TorchError) {
        var out: ct_graph?
        let status = ct_graph_new(device.c, &out)
        guard status == 0 else { throw TorchError(TorchError.Code(status: status), String(cString: ct_last_error())) }
        handle = out
    }

    deinit { ct_graph_free(handle) }

    /// Runs `body` twice: to warm up, and to record it.
    ///
    /// - Returns: where the recording writes its result.
    /// - Throws: `TorchError` when it cannot be recorded; the graph is of no use then.
    package func record(_ body: () -> Tensor) throws -> Tensor {
        defer { ct_graph_leave(handle) }
        try TorchError.catching {
            Tensor.run("DeviceGraph.enter") { ct_graph_enter(handle) }
            _ = body()
        }
        return try TorchError.catching {
            Tensor.run("DeviceGraph.begin") { ct_graph_begin(handle) }
            defer { Tensor.run("DeviceGraph.end") { ct_graph_end(handle) } }
            return body()
        }
    }

    package func replay() { Tensor.run("DeviceGraph.replay") { ct_graph_replay(handle) } }
}
