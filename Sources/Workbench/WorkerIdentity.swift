package import Chain
package import Fabric
package import Foundation
internal import Sealing
package import Sodium
package import Trust
package import Wire
internal import ZeroMQ

/// Who this worker is and whom it trusts: its kit and the deployment folder, opened and checked.
package struct WorkerIdentity: Sendable {
    package let name: String
    package let run: RunDescriptor
    package let runID: RunID
    package let curve: CurveIdentity
    package let brokers: [BrokerAddress]
    /// The same by broker: a worker has a line to each.
    package let lines: [[BrokerAddress]]
    package let secrets: PoolSecrets
    package let desk: JobDesk
    /// Encrypts what this worker keeps on disk; from its own secret, so that it outlives the pool's.
    package let storageKey: SecretBytes

    /// What it does of that which its certificate allows.
    package let roles: Set<PoolRole>

    /// - Parameters:
    ///   - kit: its folder; `deployment`: the deployment folder.
    ///   - brokers: endpoints of the brokers' worker side.
    ///   - run: the first digits of the run's id; nil: the deployment's only run.
    ///   - roles: nil: all that its certificate allows.
    /// - Throws: `TrustError` and `WorkerError`, naming the file and what to do.
    package init(
        kit folder: URL, deployment deploymentFolder: URL, brokers endpoints: [String], run prefix: String? = nil,
        roles wanted: Set<PoolRole>? = nil, now: UnixTime
    ) throws {
        let kit = try NodeKit(opening: folder)
        guard kit.kind == .worker, let signing = kit.signing, let wrapping = kit.wrapping else {
            throw WorkerError(.badSettings, "\(folder.path) is the kit of a \(kit.kind.rawValue), not of a worker")
        }
        let deployment = try Deployment(opening: deploymentFolder, pinned: kit.pinnedRoot(), now: now)
        let id = WorkerID(of: signing.publicKey)
        roles = wanted ?? deployment.workers[id]?.roles ?? Set(PoolRole.allCases)
        for role in roles { _ = try deployment.worker(id, for: role, at: now) }
        guard let bundle = deployment.poolKeys else {
            throw WorkerError(.badSettings, "the deployment has no pool keys: the operator runs `collafuse keys pool`")
        }
        secrets = try Deployment.poolSecrets(in: deploymentFolder, for: kit, bundle: bundle, now: now)
        let certified = try deployment.run(prefix)
        run = certified.descriptor
        runID = certified.id
        name = kit.name.description
        curve = CurveIdentity(kit.curve)
        brokers = try BrokerAddress.list(endpoints, of: deployment, at: now)
        var lines: [[BrokerAddress]] = []
        for address in brokers {
            if let place = lines.firstIndex(where: { $0[0].key == address.key }) {
                lines[place].append(address)
            } else {
                lines.append([address])
            }
        }
        self.lines = lines
        desk = JobDesk(
            opener: JobOpener(roster: deployment.roster, secrets: secrets), sealer: ResultSealer(signing: signing),
            checkpoints: CheckpointSealer(signing: signing, secrets: secrets, deployment: deployment),
            secrets: secrets, run: certified.id)
        storageKey = try BLAKE2b.derive(from: wrapping.secret, Array("collafuse worker storage v1".utf8))
    }
}
