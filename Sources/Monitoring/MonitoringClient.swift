internal import FlyingFox
internal import FlyingSocks
package import Foundation

/// Asks a role for its figures.
package enum MonitoringClient {
    /// - Returns: what it answers to `GET path`.
    /// - Throws: `MonitoringError` when nobody answers within two seconds, or with something else.
    package static func get(_ path: String, from address: ListenAddress) async throws -> Data {
        do {
            return try await withThrowingTaskGroup(of: Data?.self) { group in
                group.addTask {
                    var client = HTTPClient()
                    let request = HTTPRequest(
                        method: .GET, version: .http11, path: path, query: [],
                        headers: [.host: address.description, .connection: "close"], body: Data())
                    let response =
                        try await address.isIPv6
                        ? client.sendHTTPRequest(request, to: .inet6(ip6: address.host, port: address.port))
                        : client.sendHTTPRequest(request, to: .inet(ip4: address.host, port: address.port))
                    return try await response.bodyData
                }
                group.addTask {
                    try await Task.sleep(for: .seconds(2))
                    return nil
                }
                defer { group.cancelAll() }
                guard let first = try await group.next(), let data = first else {
                    throw MonitoringError(message: "it does not answer within 2 s")
                }
                return data
            }
        } catch {
            throw MonitoringError(
                message:
                    "there are no figures at http://\(address)\(path): \(error). Start the broker with --metrics-listen \(address)"
            )
        }
    }
}
