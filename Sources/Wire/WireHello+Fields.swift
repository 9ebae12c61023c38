package import struct Foundation.Data

extension WireHello {
    /// - Parameters:
    ///   - role: "client" or "worker".
    ///   - challenge: the broker's nonce; empty at first.
    package init(role: String, challenge: Data = Data(), software: String = "") {
        self.init()
        self.role = role
        self.challenge = challenge
        self.software = software
    }
}
