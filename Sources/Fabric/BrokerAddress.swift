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
