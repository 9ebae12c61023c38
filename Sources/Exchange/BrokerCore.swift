package import Wire

/// The broker's whole conduct: who may speak, which jobs are kept, who works on them, which results wait.
///
/// The shell gives it every message with its connection and moment and carries out the actions in order; it asks
/// `nextDeadline` how long it may sleep. Of every JOB that leaves it tells (`left`): that is when its lease begins. The actions of a call belong to one round: see `BrokerAction` for the barrier
/// between `append` and `send`. Every call costs O(log n) for each job it touches.
///
/// - `BrokerCore+Sessions`: opening, liveness, closing
/// - `BrokerCore+Clients`: SUBMIT, CANCEL, FETCH, RESULT_ACK, STATUS
/// - `BrokerCore+Results`: the mailbox
/// - `BrokerCore+Workers`: READY, RESULT, NACK, PREVIEW
/// - `BrokerCore+Checkpoints`: CHECKPOINT, and which model versions are in use
/// - `BrokerCore+Lanes`: where jobs wait, and who gets which
/// - `BrokerCore+Leases`: leasing, progress, loss
/// - `BrokerCore+Expiry`: timers and the ends of jobs
/// - `BrokerCore+Recovery`: the state from the journal
/// - `BrokerCore+Operator`: keys, drain, counters
/// - `BrokerCore+Jobs`: what an operator asks of single jobs; dead letters
/// - `BrokerCore+Holdings`: what is held, counted afresh
package struct BrokerCore: Sendable {
    var configuration: BrokerConfiguration
    let broker: BrokerID
    let bootEpoch: UInt64
    /// Nonces, session ids, jitter.
    var random: any RandomNumberGenerator & Sendable

    var sessions = SessionTable()
    var clients: [ClientRecord] = []
    var clientPlaces: [ClientID: Int] = [:]
    var workers: [WorkerRecord] = []
    var workerPlaces: [WorkerID: Int] = [:]
    var lanes: [Lane] = []
    var lanePlaces: [LaneKey: Int] = [:]
    var queues: [WorkerRole: FairQueue]
    /// Places of clients of whose jobs none is leased for now: there might be no room for the results. In the order of their coming.
    var held: [Int] = []
    var jobs = JobTable()
    var usage = Usage()
    var checkpoints = CheckpointUsage()
    var counters = BrokerCounters()
    var draining = false
    /// False while the journal cannot store.
    var takesJobs = true
    /// Jobs from the journal whose timers start with the first event.
    var recovered: [JobHandle] = []

    var timers = Deadlines<Timer>()
    var wallTimers = Deadlines<WallTimer>()
    var now = Moment(uptime: 0, wall: 0)
    var actions: [BrokerAction] = []

    /// - Parameters:
    ///   - bootEpoch: one more than at the last start, stored before this call.
    ///   - recovered: what the journal holds, in its order.
    ///   - rights: of clients whose jobs are recovered, until they come by themselves; nil: nobody knows them any more.
    ///   - random: of cryptographic quality; nonces come from it.
    package init(
        configuration: BrokerConfiguration, broker: BrokerID, bootEpoch: UInt64, recovered: [JournalEntry] = [],
        rights: (ClientID) -> ClientRights? = { _ in nil }, random: some RandomNumberGenerator & Sendable
    ) {
        self.configuration = configuration
        self.broker = broker
        self.bootEpoch = bootEpoch
        self.random = random
        queues = Dictionary(
            uniqueKeysWithValues: WorkerRole.allCases.map { ($0, FairQueue(ageing: configuration.ageing)) })
        for entry in recovered { recover(entry) }
        for place in clients.indices { clients[place].rights = rights(clients[place].id) ?? ClientRights() }
        settleRecovered()
    }

    /// - Parameter principal: who stands behind the connection's key; nil: nobody who is (still) known.
    package mutating func receive(
        _ frames: Frames, from connection: ConnectionID, as principal: Principal?, at moment: Moment
    ) -> [BrokerAction] {
        begin(moment)
        admit(frames, from: connection, as: principal)
        return finish()
    }

    /// Bytes that are no message of the protocol.
    package mutating func receivedGarbage(
        _ error: WireError, from connection: ConnectionID, as principal: Principal?, at moment: Moment
    ) -> [BrokerAction] {
        begin(moment)
        counters.garbage += 1
        dismiss(connection, error.message)
        return finish()
    }

    /// The connection is gone: a send found nobody behind it.
    package mutating func unreachable(_ connection: ConnectionID, at moment: Moment) -> [BrokerAction] {
        begin(moment)
        part(from: connection)
        return finish()
    }

    package mutating func tick(at moment: Moment) -> [BrokerAction] {
        begin(moment)
        return finish()
    }

    /// The uptime at which `tick` has something to do; nil: never.
    package var nextDeadline: Int64? {
        if !recovered.isEmpty { return now.uptime }
        let wall = wallTimers.next.map { due in
            let wait = min(max(due - now.wall, 0), 3_600_000)
            return now.uptime + wait * .millisecond
        }
        guard let timer = timers.next else { return wall }
        return min(timer, wall ?? timer)
    }

    mutating func begin(_ moment: Moment) {
        now = moment
        startTimers()
        runTimers()
    }

    mutating func finish() -> [BrokerAction] {
        defer { actions = [] }
        return actions
    }

    mutating func send(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = [], to connection: ConnectionID?) {
        guard let connection, let number = sessions.number(connection) else { return }
        var frames = Frames(body, attachments)
        frames.control.sequence = number
        actions.append(.send(frames, to: connection))
    }

}

enum Timer: Sendable {
    case session(ConnectionID)
    case lease(JobHandle, attempt: UInt32, due: Int64)
    case delayed(JobHandle)
    case paused(worker: Int)
    /// Suspects may have their turn again.
    case quiet(lane: Int)
}

enum WallTimer: Sendable {
    /// It expires, or its result is not kept any longer, or it is over and need not be remembered any more.
    case job(client: Int, JobID)
}
