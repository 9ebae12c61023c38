internal import Wire

/// What stands for a sealed payload: bytes that no state machine reads. The shells at both ends and the checker do.
struct Order: Hashable, Sendable {
    /// The client's image that is published; nil: a denoise job.
    var image: UInt32?
    /// Stands for x_ζ: a client may draw it once for an image.
    var noise: UInt64
    var steps: UInt8
    /// Brings down the worker that runs it.
    var isPoison: Bool

    init(image: UInt32?, noise: UInt64, steps: UInt8, isPoison: Bool) {
        self.image = image
        self.noise = noise
        self.steps = steps
        self.isPoison = isPoison
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 15 else { return nil }
        isPoison = bytes[0] & 1 == 1
        steps = bytes[1]
        image = bytes[0] & 2 == 2 ? UInt32(truncatingIfNeeded: bytes.number(at: 2, length: 4)) : nil
        noise = bytes.number(at: 6, length: 8)
    }

    /// - Parameter padding: bytes behind it, for jobs of all sizes.
    func bytes(padding: Int) -> [UInt8] {
        [(isPoison ? 1 : 0) | (image == nil ? 0 : 2), steps] + UInt64(image ?? 0).bytes(4) + noise.bytes(8)
            + [UInt8](repeating: 0xA5, count: padding + 1)
    }
}

/// What stands for a sealed result: what it answers and which attempt really computed it.
struct Answer: Hashable, Sendable {
    let key: JobKey
    let generation: UInt32
    let bootEpoch: UInt64
    let attempt: UInt32

    init(key: JobKey, generation: UInt32, fence: Fence) {
        self.key = key
        self.generation = generation
        bootEpoch = fence.bootEpoch
        attempt = fence.attempt
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count == 48, let client = ClientID(bytes[0..<16]), let job = JobID(bytes[16..<32]) else {
            return nil
        }
        key = JobKey(client: client, job: job)
        bootEpoch = bytes.number(at: 32, length: 8)
        attempt = UInt32(truncatingIfNeeded: bytes.number(at: 40, length: 4))
        generation = UInt32(truncatingIfNeeded: bytes.number(at: 44, length: 4))
    }

    var bytes: [UInt8] {
        key.client.bytes + key.job.bytes + bootEpoch.bytes(8) + UInt64(attempt).bytes(4) + UInt64(generation).bytes(4)
    }
}

extension UInt64 {
    /// The lowest `count` bytes, little end first.
    func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: self >> (8 * UInt64($0))) }
    }
}

extension [UInt8] {
    /// Little end first. The caller has checked the length.
    func number(at start: Int, length: Int) -> UInt64 {
        var number: UInt64 = 0
        for place in 0..<length { number |= UInt64(self[start + place]) << (8 * UInt64(place)) }
        return number
    }
}

/// Identifiers made of one small number, for reading histories.
func identifier<Kind: IdentifierKind>(_ number: Int, as kind: Identifier<Kind>.Type = Identifier<Kind>.self)
    -> Identifier<Kind>
{
    var bytes = [UInt8](repeating: 0, count: Kind.length)
    for place in 0..<8 { bytes[place] = UInt8(truncatingIfNeeded: number >> (8 * place)) }
    guard let identifier = Identifier<Kind>(bytes) else { preconditionFailure("an identifier has its kind's length") }
    return identifier
}
