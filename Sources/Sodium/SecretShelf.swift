internal import CSodium
internal import Synchronization

/// Locked memory that many short secrets share: places of 64 bytes in blocks between guard pages. A place of its own for each would cost
/// three pages and eight system calls, twice for every job, and a process has neither locked memory nor mappings for the
/// keys of thousands of jobs.
///
/// A place that is given back is overwritten with zeroes and used again; blocks are kept. Behind each place lie 16 bytes that nobody knows:
/// whoever wrote beyond his place ends the process when it is given back, as a guard page would have.
final class SecretShelf: Sendable {
    static let shared = SecretShelf()

    static let longest = 64
    private static let canaryLength = 16
    private static let stride = longest + canaryLength
    /// Of a block: 819 places.
    private static let blockLength = 64 << 10

    private struct Place: @unchecked Sendable {
        // Unchecked because of the pointer alone: a place belongs to whoever took it.
        let start: UnsafeMutableRawPointer
    }

    private struct State {
        var free: [Place] = []
        var blocks = 0
    }

    private let state = Mutex(State())
    /// The same behind all places.
    private let canary: [UInt8]

    private init() {
        canary = [UInt8](unsafeUninitializedCapacity: Self.canaryLength) { buffer, count in
            if let start = buffer.baseAddress { randombytes_buf(start, Self.canaryLength) }
            count = Self.canaryLength
        }
    }

    /// Blocks that were ever needed.
    var blocks: Int { state.withLock { $0.blocks } }

    /// - Returns: 64 bytes, zeroed; nil: there is no more memory.
    func take() -> UnsafeMutableRawPointer? {
        let place = state.withLock { state in
            if state.free.isEmpty { addBlock(to: &state) }
            return state.free.popLast()
        }
        return place?.start
    }

    private func addBlock(to state: inout State) {
        guard let block = sodium_malloc(Self.blockLength) else { return }
        sodium_memzero(block, Self.blockLength)
        state.blocks += 1
        let places = Self.blockLength / Self.stride
        state.free.reserveCapacity(state.blocks * places)
        for number in 0..<places {
            let place = block + number * Self.stride
            (place + Self.longest).copyMemory(from: canary, byteCount: Self.canaryLength)
            state.free.append(Place(start: place))
        }
    }

    func giveBack(_ start: UnsafeMutableRawPointer) {
        guard sodium_memcmp(start + Self.longest, canary, Self.canaryLength) == 0 else {
            fatalError("something wrote beyond a secret: the process ends before that does harm")
        }
        sodium_memzero(start, Self.longest)
        let place = Place(start: start)
        state.withLock { $0.free.append(place) }
    }
}
