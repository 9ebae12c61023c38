package import Sodium
package import Wire

/// Why a statement, a key or a key file is not accepted, and what to do about it.
package struct TrustError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case malformed
        /// Not signed by whom it should be.
        case untrusted
        case notYetValid
        case expired
        /// Older than what was seen before: a rollback.
        case olderEpoch
        case unknown
        case revoked
        case notPermitted
        case fileMissing
        case fileExists
        case fileUnreadable
        /// A secret file that other users of the machine can read.
        case fileExposed
        case badName
        /// libsodium refused.
        case cryptography
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package init(_ error: SodiumError) { self.init(.cryptography, error.message) }
    package init(_ error: WireError) { self.init(.malformed, error.message) }

    package var description: String { message }
}

/// Runs calls into libsodium and gives their failures as this room's own.
func asTrustError<R>(_ body: () throws(SodiumError) -> R) throws(TrustError) -> R {
    do { return try body() } catch { throw TrustError(error) }
}
