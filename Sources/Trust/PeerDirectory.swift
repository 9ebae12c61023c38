internal import Wire

/// Who stands behind an authenticated CURVE key: all that a broker asks of this room.
package struct PeerDirectory: Sendable {
    package enum Peer: Hashable, Sendable {
        case client(RosterClient)
        case worker(WorkerCertificate)
    }

    private let peers: [[UInt8]: Peer]
    private let revokedWorkers: Set<WorkerID>

    package init(_ deployment: Deployment) {
        var peers: [[UInt8]: Peer] = [:]
        for client in deployment.roster.clients { peers[client.curveKey] = .client(client) }
        for worker in deployment.workers.values { peers[worker.curveKey] = .worker(worker) }
        self.peers = peers
        revokedWorkers = deployment.roster.revokedWorkers
    }

    /// Every key that may connect, for a ZAP handler.
    package var curveKeys: some Sequence<[UInt8]> & Sendable { peers.keys }

    /// - Parameter curveKey: 32 bytes, as ZAP gives them.
    /// - Throws: `.unknown`, `.revoked`, `.notYetValid`, `.expired`.
    package func peer(curveKey: [UInt8], at now: UnixTime) throws(TrustError) -> Peer {
        guard let peer = peers[curveKey] else {
            throw TrustError(
                .unknown, "the CURVE key \(curveKey.hex.prefix(8)) is no client's and no worker's of this deployment")
        }
        switch peer {
        case .client(let client):
            guard !client.isRevoked else { throw TrustError(.revoked, "client \(client.name) is revoked") }
        case .worker(let worker):
            guard !revokedWorkers.contains(worker.id) else {
                throw TrustError(.revoked, "worker \(worker.name) is revoked")
            }
            try worker.validity.check(
                "the certificate of worker \(worker.name)", at: now, remedy: "the operator has to certify it again")
        }
        return peer
    }

    /// The moments about this one at which every key stands for whom it stands for now.
    package func period(of now: UnixTime) -> Range<UnixTime> {
        var first = UnixTime.min, end = UnixTime.max
        for case .worker(let worker) in peers.values {
            for change in worker.validity.changes {
                if change <= now { first = max(first, change) } else { end = min(end, change) }
            }
        }
        return first..<end
    }
}
