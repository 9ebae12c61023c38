internal import Disk
internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Where a payload or a result lies: the rows of the journal's file name it.
struct Piece: Hashable, Sendable {
    let segment: Int64
    /// Of its head, in bytes from the segment's start.
    let place: Int
    /// Of what follows the head.
    let length: Int
}

/// Payloads and results in files that are appended to, and written anew from their start once nothing in them is needed.
///
///     segment 7   head bytes | head bytes | head bytes | … whatever was there before
///
/// A commit appends its pieces and flushes them, and then commits the rows that name them. So no row ever names what is not on the
/// disk, and what no row names is nothing: a torn tail is no damage, and there is nothing to repair. A segment is written again only
/// after the rows are gone, durably, that named what is in it.
///
/// Not thread-safe: the store's thread has it.
final class Segments {
    /// Pieces go to another segment when one is so long.
    private let size: Int
    /// Of a piece: a mark, its length, and the number of its job.
    static let headLength = 16
    private static let mark: UInt32 = 0x4346_7367
    /// Segments that nothing is in are kept for use again, up to so many: to write over a file costs less than to lengthen one.
    private static let mostFree = 4

    private struct Open {
        let number: Int64
        let descriptor: Int32
        var end = 0
    }

    private let folder: URL
    private var current: Open?
    /// As it was before what is appended now.
    private var former: Open?
    /// Segments that were begun or ended since, with what is to be flushed; closed when that is settled.
    private var left: [Open] = []
    private var begun: [Int64] = []
    private var free: [Int64] = []
    /// A segment's name may not be durable yet, or the folder's own. At first nobody knows.
    private var isNewName = true
    private var isNewFolder = false
    private var last: Int64 = 0
    /// What is needed of each segment. Without the current one's, that is what `isWasteful` goes by.
    private(set) var live: [Int64: (pieces: Int, bytes: Int)] = [:]

    /// - Parameter folder: made when the first piece is appended.
    init(_ folder: URL, size: Int) {
        self.folder = folder
        self.size = size
    }

    deinit {
        for open in left + [current].compactMap({ $0 }) { close(open.descriptor) }
    }

    /// - Parameter pieces: all that rows name. Other segments are free.
    func begin(with pieces: some Sequence<Piece>) {
        for piece in pieces { add(piece) }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        let found = names.compactMap { Int64($0) }
        last = max(found.max() ?? 0, live.keys.max() ?? 0)
        free = found.filter { live[$0] == nil }.sorted()
        trim(to: Self.mostFree)
    }

    // MARK: a commit

    /// Writes a piece behind the others. It is there for good after `flush`, and counts after `settle`.
    ///
    /// - Throws: `.full`, `.unwritable`; then `abandon`.
    func append(_ bytes: [UInt8], of job: Int64) throws(JournalError) -> Piece {
        let length = Self.headLength + bytes.count
        if let open = current, open.end > 0, open.end + length > size {
            left.append(open)
            current = nil
        }
        if current == nil { current = try begin() }
        guard let open = current else { throw JournalError(.broken, "there is no segment to write to") }
        try write(Self.head(bytes.count, job), bytes, open)
        current?.end += length
        return Piece(segment: open.number, place: open.end, length: bytes.count)
    }

    /// On return all that was appended survives a loss of power.
    ///
    /// - Throws: `.broken`: nobody knows then what is on the disk.
    func flush() throws(JournalError) {
        let open = left + [current].compactMap { $0 }
        for open in open where fdatasync(open.descriptor) != 0 {
            throw JournalError(.broken, "\(path(open.number)) cannot be flushed: \(String(cString: strerror(errno)))")
        }
        // To begin one anew that is there already changes no name.
        guard isNewName, !open.isEmpty else { return }
        do throws(DiskError) {
            try DurableFile.flushFolder(folder)
            if isNewFolder { try DurableFile.flushFolder(folder.deletingLastPathComponent()) }
        } catch {
            throw JournalError(.broken, error.message)
        }
        isNewName = false
        isNewFolder = false
    }

    /// The rows are committed: so many pieces more are needed, and these no more.
    func settle(added: [Piece], removed: [Piece]) {
        for piece in added { add(piece) }
        for open in left { close(open.descriptor) }
        for number in left.map(\.number) where live[number] == nil { free.append(number) }
        left = []
        begun = []
        for piece in removed {
            guard let use = live[piece.segment] else { continue }
            if use.pieces > 1 {
                live[piece.segment] = (use.pieces - 1, use.bytes - piece.length)
            } else {
                live[piece.segment] = nil
                if piece.segment != current?.number { free.append(piece.segment) }
            }
        }
        // Nothing in it is needed: it begins anew.
        if let open = current, live[open.number] == nil { current?.end = 0 }
        former = current
        trim(to: Self.mostFree)
    }

    /// Nothing was committed of what was appended since.
    func abandon() {
        for open in left + [current].compactMap({ $0 }) where open.number != former?.number { close(open.descriptor) }
        free += begun
        left = []
        begun = []
        current = former
    }

    // MARK: what is there

    /// - Throws: `.corrupt` when there is something else, or nothing.
    func read(_ piece: Piece, of job: Int64, _ url: URL) throws(JournalError) -> [UInt8] {
        let path = path(piece.segment)
        func damaged(_ why: String) -> JournalError {
            JournalError(.corrupt, JournalError.corruption(of: url, "\(path) \(why)"))
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw damaged("cannot be opened: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let whole = [UInt8](unsafeUninitializedCapacity: Self.headLength + piece.length) { buffer, count in
            while count < buffer.count {
                let part = pread(
                    descriptor, buffer.baseAddress! + count, buffer.count - count, off_t(piece.place + count))
                if part < 0, errno == EINTR { continue }
                guard part > 0 else { return }
                count += part
            }
        }
        guard whole.count == Self.headLength + piece.length else {
            throw damaged("ends before a payload that it holds")
        }
        guard whole.starts(with: Self.head(piece.length, job)) else {
            throw damaged("holds something else than it should")
        }
        return Array(whole[Self.headLength...])
    }

    /// Most of what the segments take is not needed: the one of which the least is, so that it may be moved and the segment used again.
    var wasteful: Int64? {
        let closed = live.filter { $0.key != current?.number }
        guard closed.count >= 4, closed.values.reduce(0, { $0 + $1.bytes }) < closed.count * size / 2 else {
            return nil
        }
        return closed.min { ($0.value.bytes, $0.key) < ($1.value.bytes, $1.key) }?.key
    }

    /// Removes free segments: their room is wanted.
    func trim(to count: Int) {
        while free.count > count {
            // That one is still there is no harm.
            unlink(path(free.removeFirst()))
        }
    }

    private func add(_ piece: Piece) {
        let use = live[piece.segment] ?? (0, 0)
        live[piece.segment] = (use.pieces + 1, use.bytes + piece.length)
    }

    private func path(_ number: Int64) -> String { folder.appending(path: "\(number)").path }

    private func begin() throws(JournalError) -> Open {
        let number = free.popLast() ?? last + 1
        if number == last + 1 {
            isNewName = true
            if mkdir(folder.path, 0o700) == 0 { isNewFolder = true }
        }
        let descriptor = open(path(number), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw refusal(of: number, errno) }
        last = max(last, number)
        begun.append(number)
        return Open(number: number, descriptor: descriptor)
    }

    private func write(_ head: [UInt8], _ bytes: [UInt8], _ open: Open) throws(JournalError) {
        let total = head.count + bytes.count
        var done = 0
        let failure: Int32 = head.withUnsafeBytes { head in
            bytes.withUnsafeBytes { bytes in
                while done < total {
                    let rest = done < head.count ? head[done...] : head[head.count...]
                    let later = bytes[max(0, done - head.count)...]
                    var parts = [
                        iovec(
                            iov_base: .init(mutating: UnsafeRawBufferPointer(rebasing: rest).baseAddress),
                            iov_len: rest.count),
                        iovec(
                            iov_base: .init(mutating: UnsafeRawBufferPointer(rebasing: later).baseAddress),
                            iov_len: later.count),
                    ]
                    let count = pwritev(open.descriptor, &parts, 2, off_t(open.end + done))
                    if count < 0, errno == EINTR { continue }
                    guard count >= 0 else { return errno }
                    done += count
                }
                return 0
            }
        }
        if failure != 0 { throw refusal(of: open.number, failure) }
    }

    private func refusal(of number: Int64, _ code: Int32) -> JournalError {
        let why = String(cString: strerror(code))
        return code == ENOSPC || code == EDQUOT
            ? JournalError(.full, "the disk of \(path(number)) is full: \(why)")
            : JournalError(.unwritable, "\(path(number)) cannot be written now: \(why)")
    }

    private static func head(_ length: Int, _ job: Int64) -> [UInt8] {
        var head: [UInt8] = []
        head.reserveCapacity(headLength)
        withUnsafeBytes(of: mark.littleEndian) { head += $0 }
        withUnsafeBytes(of: UInt32(length).littleEndian) { head += $0 }
        withUnsafeBytes(of: job.littleEndian) { head += $0 }
        return head
    }
}
