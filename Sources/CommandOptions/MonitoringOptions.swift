package import ArgumentParser
package import Logging
package import Monitoring
package import ServiceLifecycle

/// Of every role that runs until it is stopped: where its figures are to be had.
package struct MonitoringOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Show figures over HTTP there: /metrics, /healthz, /readyz. A port alone is of this machine only, such as 9464.",
            valueName: "host:port"),
        transform: { word in
            guard let address = ListenAddress(word) else {
                throw ValidationError("“\(word)” is no address to listen at; take 127.0.0.1:9464, [::1]:9464 or a port")
            }
            return address
        })
    package var metricsListen: ListenAddress?

    package init() {}

    /// Where a role writes, and the server that shows it; nil and none: nobody asked.
    package func monitoring(_ logger: Logger) -> (board: StatusBoard?, services: [any Service]) {
        guard let metricsListen else { return (nil, []) }
        let board = StatusBoard()
        return (board, [MonitoringServer(metricsListen, board: board, logger: logger)])
    }
}
