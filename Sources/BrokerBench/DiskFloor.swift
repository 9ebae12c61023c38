internal import Foundation
internal import Glibc

/// What a disk alone makes jobs wait, whatever else a broker does: their bytes written over a file that has its length already, all that have come
/// due with one flush. A job waits for the flush under way and for its own.
enum DiskFloor {
    private static let length = 16 << 20

    /// - Parameters:
    ///   - rate: jobs a second, in even steps.
    ///   - bytes: of one.
    /// - Returns: from when each was due to the end of its flush; nanoseconds, rising.
    static func waits(of bytes: Int, at rate: Double, seconds: Double, in folder: URL) throws -> [Int64] {
        let file = folder.appending(path: "floor").path, bytes = min(max(1, bytes), length)
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BenchFault("\(file) cannot be made") }
        defer {
            close(descriptor)
            unlink(file)
        }
        let content = [UInt8](repeating: 0x5A, count: bytes)
        func write(_ number: Int) throws {
            guard pwrite(descriptor, content, bytes, off_t(number % (length / bytes) * bytes)) == bytes else {
                throw BenchFault("\(file) cannot be written")
            }
        }
        func flush() throws {
            guard fdatasync(descriptor) == 0 else { throw BenchFault("\(file) cannot be flushed") }
        }
        for number in 0..<length / bytes { try write(number) }
        try flush()
        let clock = ContinuousClock(), start = clock.now, jobs = Int(rate * seconds)
        func due(_ number: Int) -> Duration { .seconds(Double(number) / rate) }
        var waits: [Int64] = []
        while waits.count < jobs {
            let first = waits.count, early = due(first) - (clock.now - start)
            if early > .zero { Thread.sleep(forTimeInterval: early / .seconds(1)) }
            let now = clock.now - start, batch = (first..<jobs).prefix { due($0) <= now }
            for number in batch { try write(number) }
            try flush()
            let end = clock.now - start
            waits += batch.map { Int64((end - due($0)) / .nanoseconds(1)) }
        }
        return waits.sorted()
    }
}
