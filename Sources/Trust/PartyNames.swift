package import Sodium
package import Wire

/// What a worker can do, and so which pool key a job is sealed to.
package enum PoolRole: String, CaseIterable, Hashable, Sendable {
    case denoise
    case train

    /// - Returns: nil for a kind that no worker serves.
    package init?(serving kind: WireJobKind) {
        switch kind {
        case .publish: self = .train
        case .denoise: self = .denoise
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }
}

extension ClientID {
    /// BLAKE2b-128 of the client's Ed25519 key.
    package init(of key: Ed25519PublicKey) { self = Self.named(by: key.bytes) }
}

extension WorkerID {
    /// BLAKE2b-128 of the worker's Ed25519 key.
    package init(of key: Ed25519PublicKey) { self = Self.named(by: key.bytes) }
}

extension PoolKeyID {
    /// BLAKE2b-128 of the pool's X25519 key.
    package init(of key: [UInt8]) { self = Self.named(by: key) }
}

extension RunID {
    /// BLAKE2b-256 of the run descriptor as it was signed.
    package init(of descriptor: [UInt8]) { self = Self.named(by: descriptor) }
}

extension Digest {
    /// BLAKE2b-256 of some bytes, such as an envelope's.
    package init(of bytes: [UInt8]) { self = Self.named(by: bytes) }
}

extension Identifier {
    fileprivate static func named(by bytes: [UInt8]) -> Self {
        guard let name = Self(BLAKE2b.hash(bytes, length: Kind.length)) else {
            preconditionFailure("BLAKE2b gives as many bytes as it is asked for")
        }
        return name
    }
}

/// Names of nodes become names of files and folders.
package struct NodeName: Hashable, Sendable, CustomStringConvertible {
    package let description: String

    /// - Throws: `.badName` unless 1 … 40 of a–z, 0–9, `-` and `_`, the first a letter or digit.
    package init(_ text: String) throws(TrustError) {
        let letters = Set("abcdefghijklmnopqrstuvwxyz0123456789")
        guard (1...40).contains(text.count), let first = text.first, letters.contains(first),
            text.allSatisfy({ letters.contains($0) || $0 == "-" || $0 == "_" })
        else {
            throw TrustError(
                .badName,
                "“\(text.prefix(60))” is no name for a node: take 1 to 40 of a–z, 0–9, - and _, a letter or digit first"
            )
        }
        description = text
    }
}
