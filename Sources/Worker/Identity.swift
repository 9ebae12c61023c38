package import Chain
package import Fabric
internal import Foundation
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
    package let secrets: PoolSecrets
    package let desk: JobDesk
    /// Encrypts what this worker keeps on disk; from its own secret, so that it outlives the pool's.
    package let storageKey: SecretBytes

    /// - Throws: `TrustError` and `WorkerError`, naming the file and what to do.
    package init(_ settings: WorkerSettings, now: UnixTime) throws {
        let kit = try NodeKit(opening: settings.kit)
        guard kit.kind == .worker, let signing = kit.signing, let wrapping = kit.wrapping else {
            throw WorkerError(
                .badSettings, "\(settings.kit.path) is the kit of a \(kit.kind.rawValue), not of a worker")
        }
        let deployment = try Deployment(opening: settings.deployment, pinned: kit.pinnedRoot(), now: now)
        let role: PoolRole = settings.role == .train ? .train : .denoise
        _ = try deployment.worker(WorkerID(of: signing.publicKey), for: role, at: now)
        guard let bundle = deployment.poolKeys else {
            throw WorkerError(.badSettings, "the deployment has no pool keys: the operator runs `collafuse keys pool`")
        }
        secrets = try Deployment.poolSecrets(in: settings.deployment, for: kit, bundle: bundle, now: now)
        let certified = try deployment.run(settings.run)
        run = certified.descriptor
        runID = certified.id
        name = kit.name.description
        curve = CurveIdentity(kit.curve)
        brokers = try BrokerAddress.list(settings.brokers, of: deployment, at: now)
        desk = JobDesk(
            opener: JobOpener(roster: deployment.roster, secrets: secrets), sealer: ResultSealer(signing: signing),
            checkpoints: CheckpointSealer(signing: signing, secrets: secrets, deployment: deployment),
            secrets: secrets, run: certified.id)
        storageKey = try BLAKE2b.derive(from: wrapping.secret, Array("collafuse worker storage v1".utf8))
    }
}
