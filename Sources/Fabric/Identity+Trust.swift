package import Sodium
package import Trust
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
            let parts = text.split(separator: "@", maxSplits: 1).map(String.init)
            let name = parts.count == 2 ? parts[0] : deployment.brokers.first.map(\.name.description) ?? ""
            guard !deployment.brokers.isEmpty else {
                throw TrustError(
                    .unknown, "the deployment has no broker: `collafuse keys add broker NAME` makes its keys")
            }
            if parts.count == 1, deployment.brokers.count != 1 {
                throw TrustError(
                    .unknown, "the deployment has \(deployment.brokers.count) brokers: name one, as NAME@\(text)")
            }
            let broker = try deployment.broker(NodeName(name), at: now)
            guard let key = CurveKey(broker.curveKey) else {
                throw TrustError(.malformed, "the certificate of broker \(name) holds no CURVE key")
            }
            let endpoint = parts[parts.count - 1]
            guard isEndpoint(endpoint) else {
                throw TrustError(.malformed, "'\(endpoint)' is nowhere that a broker listens: write tcp://HOST:PORT")
            }
            addresses.append(BrokerAddress(endpoint: endpoint, key: key))
        }
        return addresses
    }

    /// Whether it looks like one; if anybody is there will be seen.
    private static func isEndpoint(_ text: String) -> Bool {
        guard text.hasPrefix("tcp://") else { return text.hasPrefix("ipc://") }
        let parts = text.dropFirst("tcp://".count).split(separator: ":", omittingEmptySubsequences: false)
        return parts.count >= 2 && parts[0] != "" && parts.last.flatMap { UInt16($0) } ?? 0 > 0
    }
}
