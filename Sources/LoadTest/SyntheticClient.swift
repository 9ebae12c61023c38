internal import Exchange
internal import Fabric
internal import Sealing

/// A client of the load test: a real client's state machine and connection, with nobody behind it.
struct SyntheticClient {
    /// Among all synthetic clients of the deployment.
    let number: Int
    /// Its place in the plan.
    let tenant: Int
    /// Looks away after whatever it reads.
    let isSlow: Bool
    let identity: CurveIdentity
    /// Its place in the list, counted on over its end: the first is another for each client.
    var broker: Int
    var core: ClientCore
    /// nil: not opened yet.
    var connection: LinkConnection?
    var openedAt: Int64 = 0
    var isWelcomed = false
    /// Uptime of the earliest alarm that will look at its machine.
    var alarm = Int64.max
    var isLookingAway = false
    /// Results that were right, for fairness.
    var done = 0
    let sealer: JobSealer
}
