internal import FlyingFox
internal import FlyingSocks
internal import Foundation
package import Logging
internal import ServiceLifecycle

/// Shows a role's figures over HTTP: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever places processes, `/status` for
/// `collafuse top`.
///
/// It knows no keys and takes nothing in. `/status` names clients, so let it listen where the operator is.
package struct MonitoringServer: Service {
    private let address: ListenAddress
    private let board: StatusBoard
    private let logger: Logger
    private let ready: @Sendable (UInt16) -> Void

    /// - Parameter ready: told its port, once it listens: port 0 takes a free one.
    package init(
        _ address: ListenAddress, board: StatusBoard, logger: Logger,
        ready: @escaping @Sendable (UInt16) -> Void = { _ in }
    ) {
        self.address = address
        self.board = board
        self.logger = logger
        self.ready = ready
    }

    /// - Throws: `MonitoringError` when it cannot listen there.
    package func run() async throws {
        let server: HTTPServer
        do {
            server =
                try address.isIPv6
                ? HTTPServer(address: .inet6(ip6: address.host, port: address.port), logger: .disabled)
                : HTTPServer(address: .inet(ip4: address.host, port: address.port), logger: .disabled)
        } catch { throw failure(error) }
        let board = board
        await server.appendRoute("GET /metrics") { _ in
            var page = Exposition()
            page.process()
            return Self.answer(.ok, page.text + board.metrics, type: "text/plain; version=0.0.4; charset=utf-8")
        }
        await server.appendRoute("GET /healthz") { _ in Self.verdict(board.hang) }
        await server.appendRoute("GET /readyz") { _ in Self.verdict(board.obstacle) }
        await server.appendRoute("GET /status") { _ in Self.answer(.ok, board.status, type: "application/json") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await server.run() } catch {
                    // It may come upon a socket that `stop` has closed.
                    if Task.isCancelled || Task.isShuttingDownGracefully || error is CancellationError { return }
                    throw failure(error)
                }
            }
            group.addTask {
                guard (try? await server.waitUntilListening()) != nil else { return }
                let port = await Self.port(of: server) ?? address.port
                logger.info("Figures", metadata: ["at": "http://\(address.host):\(port)/metrics"])
                ready(port)
                try? await gracefulShutdown()
                await server.stop()
            }
            // A server that cannot listen ends its role: whoever asked for figures wants to know.
            try await group.next()
            group.cancelAll()
        }
    }

    private static func port(of server: HTTPServer) async -> UInt16? {
        switch await server.listeningAddress {
        case .ip4(_, let port)?, .ip6(_, let port)?: port
        default: nil
        }
    }

    private func failure(_ error: any Error) -> MonitoringError {
        MonitoringError(
            message: "no figures can be shown at \(address) (--metrics-listen): \(error.localizedDescription)")
    }

    private static func verdict(_ obstacle: String?) -> HTTPResponse {
        answer(
            obstacle == nil ? .ok : .serviceUnavailable, (obstacle ?? "ok") + "\n", type: "text/plain; charset=utf-8")
    }

    private static func answer(_ status: HTTPStatusCode, _ text: String, type: String) -> HTTPResponse {
        HTTPResponse(statusCode: status, headers: [.contentType: type], body: Data(text.utf8))
    }
}

package struct MonitoringError: Error, Hashable, CustomStringConvertible {
    package let message: String
    package var description: String { message }
}
