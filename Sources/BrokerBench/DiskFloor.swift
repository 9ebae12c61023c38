internal import Foundation
internal import Glibc

/// What a disk takes by itself for what a broker asks of it: bytes written over a file that has its length already, and flushed, at an even
/// pace, while nothing else is done.
enum DiskFloor {
    private static let length = 16 << 20

    /// - Parameter rate: commits a second.
    /// - Returns: how long each took, in seconds.
    static func commits(_ count: Int, of bytes: Int, at rate: Double, in folder: URL) throws -> [Double] {
        let file = folder.appending(path: "floor").path, bytes = min(max(1, bytes), length)
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BenchFault("\(file) cannot be made") }
        defer {
            close(descriptor)
            unlink(file)
        }
        let content = [UInt8](repeating: 0x5A, count: bytes)
        func write(at place: Int) throws {
            guard pwrite(descriptor, content, bytes, off_t(place)) == bytes else {
                throw BenchFault("\(file) cannot be written")
            }
        }
        for place in stride(from: 0, through: length - bytes, by: bytes) { try write(at: place) }
        guard fsync(descriptor) == 0 else { throw BenchFault("\(file) cannot be flushed") }
        let clock = ContinuousClock(), start = clock.now, places = length / bytes
        return try (0..<count).map { number in
            let due = start + .nanoseconds(Int64(Double(number) / rate * 1e9)), wait = due - clock.now
            if wait > .zero { Thread.sleep(forTimeInterval: wait / .seconds(1)) }
            let begin = clock.now
            try write(at: number % places * bytes)
            guard fdatasync(descriptor) == 0 else { throw BenchFault("\(file) cannot be flushed") }
            return (clock.now - begin) / .seconds(1)
        }
    }
}
