internal import Exchange
internal import Wire

/// The journal's promise on a virtual disk, in its simplest form: batches one after another in a file, each with a checksum.
///
/// It stands for the seam that brokers have (`JobJournal`): a batch is numbered when it is handed over, stored whole or not at
/// all, and stored only after a sync.
struct SimulatedJournal {
    struct Batch {
        let number: UInt64
        /// The broker's at the time.
        let epoch: UInt64
        /// The broker's clock when it decided it.
        let wall: Int64
        let entries: [JournalEntry]
    }

    var disk = VirtualDisk()
    private(set) var bootEpoch: UInt64 = 0
    /// Number of the newest batch that was handed over.
    private(set) var appended: UInt64 = 0
    /// Handed over and not yet written.
    private var waiting: [Batch] = []
    /// Written and not yet synced.
    private var written: [Batch] = []

    private static let headLength = 32
    /// The file is written anew, without what need not be remembered, once it is so long.
    private static let longest = 256 << 10

    var isIdle: Bool { waiting.isEmpty && written.isEmpty }
    var isWriting: Bool { !written.isEmpty }

    mutating func append(_ entries: [JournalEntry], wall: Int64) -> UInt64 {
        appended += 1
        waiting.append(Batch(number: appended, epoch: bootEpoch, wall: wall, entries: entries))
        return appended
    }

    /// Writes what waits; nothing is stored yet.
    mutating func write() throws(VirtualDisk.Failure) {
        try disk.append(waiting.flatMap(Self.record))
        written = waiting
        waiting = []
    }

    /// - Returns: what is stored from now on.
    mutating func sync() throws(VirtualDisk.Failure) -> [Batch] {
        try disk.sync()
        defer { written = [] }
        return written
    }

    /// The process is gone, and the machine perhaps with it.
    mutating func crash(losesPower: Bool, _ random: inout SplitMix64) {
        waiting = []
        written = []
        if losesPower { disk.losePower(&random) } else { disk.keepAll() }
    }

    /// Reads what is stored up to the first record that is not whole, and cuts the file off there.
    ///
    /// - Parameter keepsTornTail: a planted bug: it is not cut off.
    mutating func recover(keepsTornTail: Bool) -> [Batch] {
        bootEpoch += 1
        let bytes = disk.synced
        var batches: [Batch] = []
        var end = 0
        while let (batch, next) = Self.read(bytes, at: end) {
            batches.append(batch)
            end = next
        }
        appended = batches.last?.number ?? 0
        if end > Self.longest {
            let entries = Compaction(batches.flatMap(\.entries)).entries
            disk.replace(with: Self.record(Batch(number: appended, epoch: bootEpoch, wall: 0, entries: entries)))
        } else if end < bytes.count, !keepsTornTail {
            disk.replace(with: Array(bytes[..<end]))
        }
        return batches
    }

    // MARK: records

    /// Length of the body, number, epoch, time, checksum of all that, body.
    private static func record(_ batch: Batch) -> [UInt8] {
        let body = batch.entries.flatMap(\.bytes)
        let head =
            UInt64(body.count).bytes(4) + batch.number.bytes(8) + batch.epoch.bytes(8)
            + UInt64(bitPattern: batch.wall).bytes(8)
        return head + checksum(head, body).bytes(4) + body
    }

    private static func read(_ bytes: [UInt8], at start: Int) -> (Batch, next: Int)? {
        guard start + headLength <= bytes.count else { return nil }
        let length = Int(bytes.number(at: start, length: 4))
        let next = start + headLength + length
        guard next <= bytes.count else { return nil }
        let body = Array(bytes[(start + headLength)..<next])
        guard checksum(Array(bytes[start..<(start + 28)]), body).bytes(4) == Array(bytes[(start + 28)..<(start + 32)])
        else { return nil }
        var entries: [JournalEntry] = []
        var reader = EntryReader(bytes: body)
        while let entry = reader.next() { entries.append(entry) }
        let number = bytes.number(at: start + 4, length: 8), epoch = bytes.number(at: start + 12, length: 8)
        let wall = Int64(bitPattern: bytes.number(at: start + 20, length: 8))
        return (Batch(number: number, epoch: epoch, wall: wall, entries: entries), next)
    }

    /// FNV-1a
    private static func checksum(_ head: [UInt8], _ body: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in head { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for byte in body { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash ^ (hash >> 32)
    }
}
