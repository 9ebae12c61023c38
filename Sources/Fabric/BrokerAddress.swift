internal import Sodium
package import ZeroMQ

/// Where a broker listens and which key it proves itself with.
package struct BrokerAddress: Hashable, Sendable {
    /// As ZeroMQ writes it: `tcp://host:port`.
    package let endpoint: String
    package let key: CurveKey

    package init(endpoint: String, key: CurveKey) {
        self.endpoint = endpoint
        self.key = key
    }

    /// The order in which the owner of a key tries brokers (rendezvous hashing): everybody's is another and stays the same, so that
    /// peers are spread over the brokers, and one that starts again finds its jobs where it left them.
    package static func order(_ brokers: [BrokerAddress], for key: CurveKey) -> [BrokerAddress] {
        let ranked = brokers.map { (rank: BLAKE2b.hash(key.bytes, $0.key.bytes), broker: $0) }
        return ranked.sorted { $0.rank.lexicographicallyPrecedes($1.rank) }.map(\.broker)
    }
}

/// The CURVE key pair of a node.
package struct CurveIdentity: Sendable {
    package let key: CurveKey
    package let secret: CurveSecret

    package init(key: CurveKey, secret: CurveSecret) {
        self.key = key
        self.secret = secret
    }
}
