internal import struct Foundation.Data

/// What the broker may read of a checkpoint: beside the envelope's hash the associated data of its sealed bytes, so it cannot be
/// changed or put before another.
package struct CheckpointHeader: Hashable, Sendable {
    /// Of the attempt that wrote it.
    package let fence: Fence
    /// Steps that were done, over all samples of the job.
    package let step: UInt32
    package let modelVersion: UInt64
    /// Who wrote and signed it.
    package let worker: WorkerID

    package init(fence: Fence, step: UInt32, modelVersion: UInt64, worker: WorkerID) {
        self.fence = fence
        self.step = step
        self.modelVersion = modelVersion
        self.worker = worker
    }

    package init(_ message: WireCheckpointHeader) throws(WireError) {
        self.init(
            fence: try Fence(message.fence), step: message.step, modelVersion: message.modelVersion,
            worker: try WorkerID(field: message.workerID, "worker_id"))
    }

    package var message: WireCheckpointHeader {
        var message = WireCheckpointHeader()
        message.fence = fence.message
        message.step = step
        message.modelVersion = modelVersion
        message.workerID = Data(worker.bytes)
        return message
    }
}
