internal import Sodium
internal import Trust

/// Why a payload cannot be sealed or opened.
package struct SealingError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// Cannot be read: cut short, lengths that lie, no such protobuf.
        case malformed
        /// Tag or associated data do not fit: other bytes, or another key.
        case notAuthentic
        /// Opened, but not signed by whom it should be.
        case badSignature
        /// An answer to another envelope, or sealed for another party.
        case mismatched
        case expired
        /// Roster, certificate or pool key forbid it; the message says what to do.
        case untrusted
        case tooLarge
        case cryptography
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    init(_ error: SodiumError) {
        self.init(error.code == .notAuthentic ? .notAuthentic : .cryptography, error.message)
    }

    init(_ error: TrustError) { self.init(error.code == .expired ? .expired : .untrusted, error.message) }

    package var description: String { message }
}

/// Runs calls into libsodium and gives their failures as this room's own.
func asSealingError<R>(_ body: () throws(SodiumError) -> R) throws(SealingError) -> R {
    do { return try body() } catch { throw SealingError(error) }
}

/// Runs checks of trust and gives their failures as this room's own.
func trusting<R>(_ body: () throws(TrustError) -> R) throws(SealingError) -> R {
    do { return try body() } catch { throw SealingError(error) }
}
