internal import Chain
package import Foundation
internal import Sodium
internal import Wire

extension Deployment {
    /// Everything in the folder, a line each, for people.
    package func summary(at now: UnixTime) -> String {
        var lines = ["root     \(root.text)", "roster   epoch \(roster.epoch), \(roster.clients.count) clients"]
        for client in roster.clients.sorted(by: { $0.name.description < $1.name.description }) {
            let rights = [client.rights.publish ? "publish" : nil, client.rights.denoise ? "denoise" : nil].compactMap(
                \.self)
            let what = client.isRevoked ? "revoked" : rights.joined(separator: " ")
            lines.append(
                "client   \(client.name)  \(client.id.short)  \(what)  priority \(client.priority) weight \(client.weight)"
            )
        }
        for worker in workers.values.sorted(by: { $0.name.description < $1.name.description }) {
            let roles = worker.roles.map(\.rawValue).sorted().joined(separator: " ")
            let state = roster.revokedWorkers.contains(worker.id) ? "revoked" : worker.validity.state(at: now)
            lines.append("worker   \(worker.name)  \(worker.id.short)  \(roles)  \(state)")
        }
        for broker in brokers { lines.append("broker   \(broker.name)  \(broker.validity.state(at: now))") }
        for run in runs.values.sorted(by: { $0.descriptor.created < $1.descriptor.created }) {
            lines.append("run      \(run.id.short)  \(run.descriptor.name)  \(run.descriptor.image)")
        }
        guard let poolKeys else { return (lines + ["pool     no keys yet"]).joined(separator: "\n") }
        for key in poolKeys.keys {
            let state =
                now < key.sealUntil ? "sealed to until \(key.sealUntil.asDate)" : "opened until \(key.openUntil.asDate)"
            lines.append(
                "pool     \(key.role.rawValue)  epoch \(key.epoch)  \(key.id.short)  \(now < key.openUntil ? state : "over")"
            )
        }
        return lines.joined(separator: "\n")
    }

    /// Whether a kit can do its node's work with this folder, and until when.
    ///
    /// - Parameter folder: the deployment folder, for the secrets wrapped to a worker.
    /// - Returns: what was found right, a line each.
    /// - Throws: the first thing that is not, with what to do.
    package func verify(_ kit: NodeKit, folder: URL, at now: UnixTime) throws(TrustError) -> [String] {
        var lines = ["the folder is of the root \(root.short), and every signature in it holds"]
        switch kit.kind {
        case .client:
            guard let client = roster.clients.first(where: { $0.signingKey == kit.signing?.publicKey }) else {
                throw TrustError(
                    .unknown, "client \(kit.name) is not in the roster: the operator certifies its node.request")
            }
            guard !client.isRevoked else { throw TrustError(.revoked, "client \(client.name) is revoked") }
            lines.append("client \(client.name) is in the roster of epoch \(roster.epoch)")
            for role in PoolRole.allCases where client.rights.allow(role) {
                lines.append(
                    "jobs for \(role.rawValue) are sealed to key \(try sealingKey(for: role, at: now).id.short)")
            }
        case .worker:
            guard let certificate = workers.values.first(where: { $0.signingKey == kit.signing?.publicKey }) else {
                throw TrustError(
                    .unknown, "worker \(kit.name) has no certificate: the operator certifies its node.request")
            }
            for role in certificate.roles { _ = try worker(certificate.id, for: role, at: now) }
            lines.append("worker \(certificate.name) is certified until \(certificate.validity.notAfter.asDate)")
            guard let poolKeys else {
                throw TrustError(
                    .unknown, "there are no pool keys yet: the operator makes them with `collafuse keys pool`")
            }
            let secrets = try Deployment.poolSecrets(in: folder, for: kit, bundle: poolKeys, now: now)
            lines.append("it holds \(secrets.keyIDs.count) pool secrets")
        case .broker:
            guard try broker(kit.name, at: now).curveKey == kit.curve.publicKey else {
                throw TrustError(
                    .untrusted, "the certificate of broker \(kit.name) is for another key: was its kit made anew?")
            }
            lines.append("broker \(kit.name) is certified")
        }
        return lines
    }
}

extension Validity {
    fileprivate func state(at now: UnixTime) -> String {
        now < notAfter ? "until \(notAfter.asDate)" : "ended \(notAfter.asDate)"
    }
}
