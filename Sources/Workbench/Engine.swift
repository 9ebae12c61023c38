package import Exchange
package import Wire

/// What computes: the denoise loop or the train loop, on a thread of its own.
package protocol Engine: Sendable {
    /// What the link's thread leaves for it.
    var orders: WorkQueue<EngineOrder> { get }

    /// Works until `.stop` comes, and hands back what it has not finished. Called once, on the engine's own thread.
    ///
    /// - Parameter send: tells the broker, by way of the link; may be called at any time.
    func run(send: @escaping @Sendable (WorkerCore.Command) -> Void) throws
}

package enum EngineOrder: Sendable {
    case job(WorkerCore.Assignment)
    /// This attempt is over: nothing more is to be said of it.
    case cancel(JobKey, Fence)
    /// Versions that leases and checkpoints name: they stay in the registry.
    case keep(Set<UInt64>)
    case stop
}
