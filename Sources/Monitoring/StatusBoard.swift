package import Foundation
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
        var renewed = Date.distantPast
    }

    private let state = Mutex(State())
    private let limit: TimeInterval

    /// - Parameter limit: seconds without a word after which the role counts as hung.
    package init(limit: TimeInterval = 15) { self.limit = limit }

    /// - Parameters:
    ///   - status: what `/status` tells, for `collafuse top`.
    ///   - obstacle: why it is not ready, in words; nil: it is.
    package func post(_ page: Exposition, status: [JSONValue.Field] = [], obstacle: String?) {
        state.withLock { state in
            state.page = page.text
            state.status = status
            state.obstacle = obstacle
            state.renewed = Date()
        }
    }

    var metrics: String { state.withLock { $0.page } }
    var status: String { state.withLock { JSONValue.object($0.status).text } }

    /// Why the role is not ready; nil: it is.
    var obstacle: String? { hang ?? state.withLock { $0.obstacle } }

    /// Since when the role has said nothing; nil: it lives.
    var hang: String? {
        let renewed = state.withLock { $0.renewed }
        // Before its first word it is starting, for which there is no limit.
        guard renewed != .distantPast else { return nil }
        let silence = Date().timeIntervalSince(renewed)
        return silence > limit ? "nothing was heard of its loop for \(Int(silence)) s" : nil
    }
}
