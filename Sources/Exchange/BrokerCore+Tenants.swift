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
    /// How many clients are connected or have jobs here, and those with the most jobs, these first. Cost: one look at each client that was
    /// ever here.
    package func tenants(first count: Int) -> (all: Int, first: [BrokerTenant]) {
        var all = 0
        var first: [BrokerTenant] = []
        for client in clients where client.session != nil || client.usage.jobs > 0 {
            all += 1
            let tenant = BrokerTenant(
                client: client.id, jobs: client.usage.jobs, bytes: client.usage.bytes,
                isConnected: client.session != nil)
            func isBehind(_ other: BrokerTenant) -> Bool { (tenant.jobs, tenant.bytes) <= (other.jobs, other.bytes) }
            guard first.count < count || !(first.last.map(isBehind) ?? true) else { continue }
            first.insert(tenant, at: first.firstIndex { !isBehind($0) } ?? first.endIndex)
            if first.count > count { first.removeLast() }
        }
        return (all, first)
    }
}
