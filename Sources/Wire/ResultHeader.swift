internal import SwiftProtobuf

internal import struct Foundation.Data

/// The header of a result: the fields, checked, beside the very bytes that travelled.
package struct ResultHeader: Hashable, Sendable {
    package let bytes: [UInt8]
    package let client: ClientID
    package let job: JobID
    package let envelopeHash: Digest
    package let fence: Fence
    package let status: WireResultStatus
    package let worker: WorkerID

    package static let maximumLength = 512

    package var key: JobKey { JobKey(client: client, job: job) }

    package init(
        client: ClientID, job: JobID, envelopeHash: Digest, fence: Fence, status: WireResultStatus, worker: WorkerID
    ) {
        var message = WireResultHeader()
        message.clientID = Data(client.bytes)
        message.jobID = Data(job.bytes)
        message.envelopeHash = Data(envelopeHash.bytes)
        message.fence = fence.message
        message.status = status
        message.workerID = Data(worker.bytes)
        self.bytes = message.encoded
        self.client = client
        self.job = job
        self.envelopeHash = envelopeHash
        self.fence = fence
        self.status = status
        self.worker = worker
    }

    package init(bytes: [UInt8]) throws(WireError) {
        guard bytes.count <= Self.maximumLength else { throw WireError(.outOfRange, "the result header is too long") }
        let message = try WireResultHeader(decoding: bytes, as: "result header")
        guard [.done, .failed, .preview].contains(message.status) else {
            throw WireError(.outOfRange, "the result header names an unknown status")
        }
        self.bytes = bytes
        self.client = try ClientID(field: message.clientID, "client_id")
        self.job = try JobID(field: message.jobID, "job_id")
        self.envelopeHash = try Digest(field: message.envelopeHash, "envelope_hash")
        self.fence = try Fence(message.fence)
        self.status = message.status
        self.worker = try WorkerID(field: message.workerID, "worker_id")
    }
}
