package import Sodium
package import Trust
internal import Wire
internal import ZeroMQ

extension CurveIdentity {
    /// The CURVE keys of a node's kit.
    package init(_ keys: X25519KeyPair) {
        // Both are checked to have 32 bytes where they are made.
        guard let key = CurveKey(keys.publicKey) else { preconditionFailure("an X25519 key has 32 bytes") }
        self.init(key: key, secret: CurveSecret { use in keys.secret.withUnsafeBytes { use($0) } })
    }
}

extension BrokerAddress {
    /// Endpoints with the keys that the deployment expects there.
    ///
    /// - Parameter endpoints: `tcp://host:port`, or `name@tcp://host:port` where the deployment has several brokers.
    /// - Throws: `TrustError` when no such broker is certified.
    package static func list(
        _ endpoints: [String], of deployment: Deployment, at now: UnixTime
    ) throws(TrustError) -> [BrokerAddress] {
        var addresses: [BrokerAddress] = []
        for text in endpoints {
            guard let place = BrokerEndpoint(text) else {
                throw TrustError(.malformed, BrokerEndpoint.refusal(text))
            }
            let name = place.name ?? deployment.brokers.first.map(\.name.description) ?? ""
            guard !deployment.brokers.isEmpty else {
                throw TrustError(
                    .unknown, "the deployment has no broker: `collafuse keys add broker NAME` makes its keys")
            }
            if place.name == nil, deployment.brokers.count != 1 {
                throw TrustError(
                    .unknown, "the deployment has \(deployment.brokers.count) brokers: name one, as NAME@\(text)")
            }
            let broker = try deployment.broker(NodeName(name), at: now)
            guard let key = CurveKey(broker.curveKey) else {
                throw TrustError(.malformed, "the certificate of broker \(name) holds no CURVE key")
            }
            addresses.append(BrokerAddress(endpoint: place.endpoint, key: key))
        }
        return addresses
    }
}
