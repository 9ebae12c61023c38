package import Exchange
package import Fabric
package import Foundation

/// What an operator sets for a broker.
package struct BrokerSettings: Sendable {
    package var hub: HubSettings
    /// Limits, lease and heartbeat times. Runs and pool keys come from the deployment folder.
    package var core = BrokerConfiguration()
    /// The deployment folder; it is read again when it changes.
    package var deployment: URL
    /// Seconds between two looks at the deployment folder.
    package var reloadInterval: Int64 = 2
    /// Seconds between two status lines in the log, if anything happened.
    package var statusInterval: Int64 = 10
    /// Seconds that a drain waits for jobs under way.
    package var drainLimit: Int64 = 120
    /// Seconds between two lines of figures.
    package var metricsInterval: Int64 = 2

    /// - Parameters:
    ///   - clients: where clients connect, `tcp://127.0.0.1:*` for a free port.
    ///   - workers: where workers connect.
    package init(clients: String, workers: String, deployment: URL) {
        hub = HubSettings(clients: clients, workers: workers)
        self.deployment = deployment
    }
}

package struct BrokerError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case wrongKit, notCertified
        /// The journal is not to be used by this broker: another's, newer, or damaged.
        case journal
        /// The journal cannot store.
        case storage
        /// It cannot listen where it is told to.
        case endpoint
    }

    package let code: Code
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    /// Whether the same command will fail again: `collafuse up` then does not try it.
    package var isHopeless: Bool { code != .storage }
}
