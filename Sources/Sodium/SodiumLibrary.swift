internal import CSodium

/// The start of libsodium: it picks the fastest implementations and opens the system's random source.
package enum SodiumLibrary {
    /// `sodium_init`: 0 at first, 1 when it ran before, −1 when the machine has no random source. Thread-safe.
    private static let status = sodium_init()

    /// Called by whatever needs it, so nobody has to; a role calls it first thing to fail early.
    ///
    /// - Throws: `.library` on a machine without a source of randomness.
    package static func initialize() throws(SodiumError) {
        guard status >= 0 else {
            throw SodiumError(.library, "libsodium could not start: is there a /dev/urandom in this sandbox?")
        }
    }
}
