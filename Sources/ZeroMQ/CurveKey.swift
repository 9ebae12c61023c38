/// A public CURVE key: who a peer is.
package struct CurveKey: Hashable, Sendable, CustomStringConvertible {
    // In place and not in an array: every message that passes is counted under one. A tuple and not a vector, which would ask for an
    // alignment that frames of asynchronous functions do not have.
    private let words: (UInt64, UInt64, UInt64, UInt64)

    package static let length = 32

    /// - Returns: nil when `bytes` are not 32.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.length else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
        self.words = words
    }

    /// X25519, 32 bytes.
    package var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    package static func == (left: Self, right: Self) -> Bool { left.words == right.words }

    package func hash(into hasher: inout Hasher) { withUnsafeBytes(of: words) { hasher.combine(bytes: $0) } }

    /// Lower-case hexadecimal: the `User-Id` under which the `Authenticator` admits a peer.
    package var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    package init?(hex: some StringProtocol) {
        let digits = hex.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count == 2 * Self.length else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        self.init(bytes)
    }

    package var description: String { String(hex.prefix(8)) }
}

/// Lends the 32 bytes of a secret CURVE key for the length of a call; libzmq makes a copy of its own.
package struct CurveSecret: Sendable {
    package typealias Use = (UnsafeRawBufferPointer) -> Void

    let lend: @Sendable (_ use: Use) -> Void

    package init(_ lend: @escaping @Sendable (_ use: Use) -> Void) {
        self.lend = lend
    }
}

/// How a socket proves who it is. Without an `Authenticator` on the same context a server admits every key that exists.
package enum Security: Sendable {
    /// For in-process endpoints only.
    case none
    /// - Parameter domain: names the socket to the authenticator; libzmq asks nobody when it is empty.
    case server(CurveSecret, domain: String)
    case client(CurveKey, CurveSecret, server: CurveKey)
}
