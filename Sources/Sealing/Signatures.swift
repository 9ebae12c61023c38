internal import Sodium
internal import Trust
internal import Wire

/// What client and workers sign. Every part has a fixed length; H is BLAKE2b-256.
enum Signatures {
    /// tag ‖ H(envelope) ‖ H(body)
    static func job(_ envelope: Envelope, body: [UInt8]) -> [UInt8] {
        Array("collafuse-1 job signature\0".utf8) + BLAKE2b.hash(envelope.bytes) + BLAKE2b.hash(body)
    }

    /// tag ‖ H(envelope) ‖ fence (16 + 8 + 4, little-endian) ‖ status (4) ‖ H(body)
    static func result(_ header: ResultHeader, body: [UInt8]) -> [UInt8] {
        Array("collafuse-1 result signature\0".utf8) + header.envelopeHash.bytes + header.fence.broker.bytes
            + littleEndian(header.fence.bootEpoch, count: 8) + littleEndian(UInt64(header.fence.attempt), count: 4)
            + littleEndian(UInt64(header.status.rawValue), count: 4) + BLAKE2b.hash(body)
    }

    /// The associated data of a result: H(envelope) ‖ header.
    static func resultAssociatedData(_ header: ResultHeader) -> [UInt8] { header.envelopeHash.bytes + header.bytes }

    /// tag ‖ H(envelope) ‖ associated data ‖ H(body)
    static func checkpoint(_ envelope: Envelope, _ header: CheckpointHeader, body: [UInt8]) -> [UInt8] {
        Array("collafuse-1 checkpoint signature\0".utf8) + BLAKE2b.hash(envelope.bytes)
            + checkpointAssociatedData(header) + BLAKE2b.hash(body)
    }

    /// fence (16 + 8 + 4) ‖ step (4) ‖ model version (8) ‖ worker (16)
    static func checkpointAssociatedData(_ header: CheckpointHeader) -> [UInt8] {
        header.fence.broker.bytes + littleEndian(header.fence.bootEpoch, count: 8)
            + littleEndian(UInt64(header.fence.attempt), count: 4) + littleEndian(UInt64(header.step), count: 4)
            + littleEndian(header.modelVersion, count: 8) + header.worker.bytes
    }

    private static func littleEndian(_ value: UInt64, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}
