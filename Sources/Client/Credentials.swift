internal import Fabric
internal import Foundation
internal import Sealing
internal import Synchronization
internal import Trust
internal import Wire

/// Who this client is and whom it trusts: its kit and the deployment folder, opened and checked.
final class Credentials: Sendable {
    let client: ClientID
    let curve: CurveIdentity
    let brokers: [BrokerAddress]
    let run: CertifiedRun
    let sealer: JobSealer
    /// The fingerprint of the home that the kit names; nil: none yet.
    let home: [UInt8]?
    private let deployment: Mutex<Deployment>

    /// - Throws: `badSettings`, naming the file and what to do.
    init(_ settings: ClientSettings, now: UnixTime) throws(ClientError) {
        do {
            let kit = try NodeKit(opening: settings.kit)
            guard kit.kind == .client, let signing = kit.signing else {
                throw ClientError(
                    .badSettings, "\(settings.kit.path) is the kit of a \(kit.kind.rawValue), not of a client")
            }
            let deployment = try Deployment(opening: settings.deployment, pinned: kit.pinnedRoot(), now: now)
            sealer = JobSealer(signing: signing)
            home = try KitHome.read(in: settings.kit)
            client = sealer.client
            curve = CurveIdentity(kit.curve)
            brokers = try BrokerAddress.list(settings.brokers, of: deployment, at: now)
            run = try deployment.run(settings.run)
            guard let entry = deployment.roster[client], !entry.isRevoked else {
                let what = deployment.roster[client] == nil ? "does not name" : "has revoked"
                throw ClientError(
                    .badSettings,
                    "the roster in \(settings.deployment.path) \(what) client \(kit.name) (\(client.short)): "
                        + "send the kit's request to the operator, then take the deployment folder anew")
            }
            self.deployment = Mutex(deployment)
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError(.badSettings, "\(error)")
        }
    }

    /// Takes the pool keys that a broker passed on, unless they are older than those that are held or not signed by the operator.
    func accept(poolKeyBundle bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        // What a broker says is a hint: a bundle that does not verify changes nothing.
        deployment.withLock { deployment in try? deployment.accept(poolKeyBundle: bytes, now: .now) }
    }

    func poolKey(for role: PoolRole) throws(ClientError) -> PoolKey {
        do { return try deployment.withLock { deployment in try deployment.sealingKey(for: role, at: .now) } } catch {
            throw ClientError(.badSettings, "\(error)")
        }
    }

    var opener: ResultOpener { ResultOpener(deployment: deployment.withLock { $0 }) }
}

extension UnixTime {
    /// Milliseconds of Unix time.
    static var now: UnixTime { UnixTime(Date().timeIntervalSince1970 * 1000) }
}
