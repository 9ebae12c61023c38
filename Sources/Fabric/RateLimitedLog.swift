internal import Exchange
internal import Logging

/// Warnings that strangers can cause at will: one a second, with the number of those between.
struct RateLimitedLog {
    private let logger: Logger
    private var next: Int64 = 0
    private var suppressed = 0

    init(_ logger: Logger) {
        self.logger = logger
    }

    mutating func warning(_ message: Logger.Message, _ metadata: Logger.Metadata) {
        let now = Moment.now().uptime
        guard now >= next else {
            suppressed += 1
            return
        }
        var metadata = metadata
        if suppressed > 0 { metadata["unreported"] = "\(suppressed)" }
        logger.warning(message, metadata: metadata)
        next = now + 1_000_000_000
        suppressed = 0
    }
}
