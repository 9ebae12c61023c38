package import Observability
internal import Synchronization

/// Where a role writes what others may see of it, and the monitoring server reads it. From any thread.
///
/// The role writes once a second or so; what it has not renewed for a while says that its loop hangs.
package final class StatusBoard: Sendable {
    private struct State {
        var page = ""
        var status: [JSONValue.Field] = []
        /// Why it cannot do its work now; nil: it can.
        var obstacle: String? = "starting"
        /// nil: it said nothing yet.
        var renewed: SuspendingClock.Instant?
    }

    private let state = Mutex(State())
    private let limit: Duration
    /// Not the clock on the wall, which may be put right while a role works.
    private let now: @Sendable () -> SuspendingClock.Instant

    /// - Parameter limit: without a word for so long the role counts as hung.
    package init(
        limit: Duration = .seconds(15), now: @escaping @Sendable () -> SuspendingClock.Instant = { SuspendingClock.now }
    ) {
        self.limit = limit
        self.now = now
    }

    /// - Parameters:
    ///   - status: what `/status` tells, for `collafuse top`.
    ///   - obstacle: why it is not ready, in words; nil: it is.
    package func post(_ page: Exposition, status: [JSONValue.Field] = [], obstacle: String?) {
        state.withLock { state in
            state.page = page.text
            state.status = status
            state.obstacle = obstacle
            state.renewed = now()
        }
    }

    var metrics: String { state.withLock { $0.page } }
    var status: String { state.withLock { JSONValue.object($0.status).text } }

    /// Why the role is not ready; nil: it is.
    var obstacle: String? { hang ?? state.withLock { $0.obstacle } }

    /// Since when the role has said nothing; nil: it lives.
    var hang: String? {
        // Before its first word it is starting, for which there is no limit.
        guard let renewed = state.withLock({ $0.renewed }) else { return nil }
        let silence = renewed.duration(to: now())
        return silence > limit ? "nothing was heard of its loop for \(silence.components.seconds) s" : nil
    }
}
