/// What went wrong in a call to libsodium, and what to do about it.
package struct SodiumError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The library could not start, or gave a status that its manual does not list.
        case library
        case outOfMemory
        case wrongLength
        /// A point of low order: no honest party has such a key.
        case weakKey
        /// Tag or signature do not fit: other bytes, another key, or another party.
        case notAuthentic
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    static func length(of what: String, _ count: Int, expected: Int) -> SodiumError {
        SodiumError(.wrongLength, "\(what) must have \(expected) bytes, not \(count)")
    }
}
