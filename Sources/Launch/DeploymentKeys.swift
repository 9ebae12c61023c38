internal import Chain
package import Foundation
internal import Sodium
package import Topology
package import Trust
internal import Wire

/// Makes the keys and certificates of a deployment whose nodes all run here.
package enum DeploymentKeys {
    /// The operator's folder with a kit for every node, the run certified and the first pool keys made.
    ///
    /// - Parameter now: Unix time in milliseconds.
    package static func make(for topology: Topology, in folder: URL, now: Int64) throws(LaunchError) -> Operator {
        let descriptor: RunDescriptor
        do {
            descriptor = try RunDescriptor(
                topology, nonce: SecureRandom().bytes(RunDescriptor.nonceLength), created: now)
        } catch {
            throw LaunchError(.run, "the topology describes no run: \(error)")
        }
        do {
            let made = try Operator.create(in: folder, now: now)
            for broker in topology.brokers { try made.addNode(.broker, name: NodeName(broker.name), now: now) }
            for worker in topology.workers {
                let role: PoolRole = worker.role == .train ? .train : .denoise
                try made.addNode(.worker, name: NodeName(worker.name), grant: .init(roles: [role]), now: now)
            }
            for client in topology.clients { try made.addNode(.client, name: NodeName(client.name), now: now) }
            try made.certify(run: RunDocument(descriptor), now: now)
            try made.makePoolKeys(now: now)
            return made
        } catch {
            throw LaunchError(.trust, "the keys could not be made in \(folder.path): \(error)")
        }
    }
}
