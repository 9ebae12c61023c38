internal import Foundation
internal import Sodium
internal import Trust
internal import Wire

/// The name of a file of the spool: JOB-GENERATION.PART.
struct SpoolName: Hashable, CustomStringConvertible {
    enum Part: String {
        /// An entry that was made from private images: it is on disk before it is sent, and is never made twice.
        case release
        /// An entry that asks for samples and gives nothing away. It can be made again, so it is not flushed before its result comes.
        case request
        /// What opens an entry's result.
        case key
    }

    let job: JobID
    let generation: UInt32
    let part: Part

    init(_ envelope: Envelope, _ part: Part) {
        job = envelope.job
        generation = envelope.generation
        self.part = part
    }

    /// - Returns: nil for a name that is not of this form.
    init?(_ name: String) {
        let halves = name.split(separator: ".", omittingEmptySubsequences: false)
        let stem = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        guard halves.count == 2, stem.count == 2, let part = Part(rawValue: String(halves[1])),
            let job = [UInt8](hex: String(stem[0])).flatMap({ JobID($0) }), let generation = UInt32(stem[1])
        else { return nil }
        self.job = job
        self.generation = generation
        self.part = part
        guard description == name else { return nil }
    }

    private init(_ other: SpoolName, _ part: Part) {
        job = other.job
        generation = other.generation
        self.part = part
    }

    /// Of the key that belongs to this entry.
    var key: SpoolName { SpoolName(self, .key) }

    var description: String { "\(job)-\(generation).\(part.rawValue)" }
}

/// What an entry holds: BLAKE2b-256 of the rest ‖ pool key ‖ the envelope's length, 2 bytes ‖ the envelope as it is sent ‖ the payload,
/// before it is sealed.
struct SpoolContent {
    let envelope: [UInt8]
    /// X25519, 32 bytes.
    let poolKey: [UInt8]
    let body: [UInt8]

    private static let headLength = 34

    init(envelope: [UInt8], poolKey: [UInt8], body: [UInt8]) {
        self.envelope = envelope
        self.poolKey = poolKey
        self.body = body
    }

    /// - Returns: nil for bytes that are not what was written.
    init?(bytes: [UInt8]) {
        let rest = Array(bytes.dropFirst(DigestKind.length))
        guard rest.count >= Self.headLength, Digest(of: rest).bytes.elementsEqual(bytes.prefix(DigestKind.length))
        else { return nil }
        poolKey = Array(rest.prefix(32))
        let length = Int(rest[32]) | Int(rest[33]) << 8
        envelope = Array(rest.dropFirst(Self.headLength).prefix(length))
        body = Array(rest.dropFirst(Self.headLength + length))
    }

    var bytes: [UInt8] {
        let length = UInt16(envelope.count)
        let rest = poolKey + [UInt8(length & 255), UInt8(length >> 8)] + envelope + body
        return Digest(of: rest).bytes + rest
    }
}
