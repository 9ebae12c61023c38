internal import Exchange

/// A file on a disk that can lose power: what was written is safe only after a sync.
struct VirtualDisk {
    enum Failure: Error {
        case full
        /// The sync failed. What became of the bytes is not known, and no later sync tells.
        case lost
    }

    private(set) var synced: [UInt8] = []
    private(set) var pending: [UInt8] = []
    var isFull = false
    var failsNextSync = false

    mutating func append(_ bytes: [UInt8]) throws(Failure) {
        guard !isFull else { throw .full }
        pending += bytes
    }

    mutating func sync() throws(Failure) {
        if failsNextSync {
            failsNextSync = false
            throw .lost
        }
        keepAll()
    }

    /// The process ends; the machine's cache reaches the disk in the end.
    mutating func keepAll() {
        synced += pending
        pending = []
    }

    /// Of what was not synced a part stays, perhaps with a sector that holds something else.
    mutating func losePower(_ random: inout SplitMix64) {
        var rest = Array(pending.prefix(random.below(pending.count + 1)))
        pending = []
        if !rest.isEmpty, random.chance(0.5) {
            let place = rest.count - 1 - random.below(min(rest.count, 64))
            rest[place] ^= UInt8(1 + random.below(255))
        }
        synced += rest
    }

    /// Another file takes this one's name: at once or not at all.
    mutating func replace(with bytes: [UInt8]) {
        synced = bytes
        pending = []
    }
}
