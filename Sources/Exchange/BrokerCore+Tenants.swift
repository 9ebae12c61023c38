package import Wire

/// A client's part of the broker, for its operator.
package struct BrokerTenant: Hashable, Sendable {
    package let client: ClientID
    /// Jobs that are not over, results in the mailbox among them.
    package let jobs: Int
    /// Bytes of all of these.
    package let bytes: Int
    package let isConnected: Bool
}

extension BrokerCore {
    /// Clients that are connected or have jobs here; most jobs first. Cost: all clients that were ever here.
    package var tenants: [BrokerTenant] {
        clients.filter { $0.session != nil || $0.usage.jobs > 0 }.map { client in
            BrokerTenant(
                client: client.id, jobs: client.usage.jobs, bytes: client.usage.bytes,
                isConnected: client.session != nil)
        }.sorted { ($0.jobs, $0.bytes) > ($1.jobs, $1.bytes) }
    }
}
