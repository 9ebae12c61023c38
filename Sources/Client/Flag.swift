internal import Synchronization

/// Carries a task's cancellation to the thread that computes for it.
final class Flag: Sendable {
    private let raised = Atomic(false)

    /// Of the computation that runs on this thread.
    @TaskLocal static var current: Flag?

    func raise() { raised.store(true, ordering: .relaxed) }

    /// - Throws: `CancellationError` once the caller's task is cancelled.
    static func check() throws {
        if let flag = current, flag.raised.load(ordering: .relaxed) { throw CancellationError() }
    }
}
