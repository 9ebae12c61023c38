internal import Exchange
internal import Fabric
internal import Foundation
internal import Logging
internal import Sodium
internal import Synchronization
internal import Wire
internal import ZeroMQ

/// The client's line to the broker, as `async` calls: a link on a thread of its own, and whoever waits for an answer.
///
/// A job's waiter gets its sealed result, opens it and surfaces it; only then is the result acknowledged.
final class Session: Sendable {
    /// Frames 1 and 2 of a result.
    struct Answer: Sendable {
        let header: [UInt8]
        let sealed: [UInt8]
    }

    private struct State {
        /// Who waits for a job's result, under a number of the call's own.
        var answers: [JobID: (call: UInt64, waiter: CheckedContinuation<Answer, any Error>)] = [:]
        /// Who asked for a status in this session, in order; nil: whoever asked has gone.
        var statusQueries: [(id: UInt64, waiter: CheckedContinuation<WireStatus?, any Error>?)] = []
        var acknowledgements: [JobID: [CheckedContinuation<Void, Never>]] = [:]
        var cancellations: [JobID: CheckedContinuation<Bool, Never>] = [:]
        var previewers: [JobID: @Sendable (JobID, Answer) -> Void] = [:]
        var observers: [UInt64: @Sendable () -> Void] = [:]
        var count: UInt64 = 0
        var isWelcomed = false
        var note = ""
        /// Why there will be no answers any more.
        var end: (any Error)?

        mutating func nextID() -> UInt64 {
            count += 1
            return count
        }

        /// The answer to its question will be nobody's.
        mutating func takeStatusWaiter(_ id: UInt64) -> CheckedContinuation<WireStatus?, any Error>? {
            guard let place = statusQueries.firstIndex(where: { $0.id == id }) else { return nil }
            defer { statusQueries[place].waiter = nil }
            return statusQueries[place].waiter
        }

        mutating func takeStatusWaiters() -> [CheckedContinuation<WireStatus?, any Error>] {
            defer { statusQueries = [] }
            return statusQueries.compactMap(\.waiter)
        }
    }

    private let link: DealerLink<ClientCore>
    private let state: SharedState
    private let running: Task<Void, Never>

    /// What the link's thread and the callers share; a class of its own so that the link's closure can hold it.
    private final class SharedState: Sendable {
        let value = Mutex(State())

        /// Tells those who watch, if it is news.
        func note(_ text: String) {
            let observers = value.withLock { state in
                guard state.note != text else { return [@Sendable () -> Void]() }
                state.note = text
                return Array(state.observers.values)
            }
            for observer in observers { observer() }
        }
    }

    init(
        client: ClientID, identity: CurveIdentity, brokers: [BrokerAddress], logger: Logger,
        keysArrived: @escaping @Sendable ([UInt8]) -> Void,
        strayArrived: @escaping @Sendable (JobID, Answer) -> Void
    ) throws {
        let state = SharedState()
        var configuration = LinkConfiguration()
        configuration.alternatives = brokers.count - 1
        let link = try DealerLink(
            context: Context(), brokers: brokers, identity: identity,
            machine: ClientCore(client: client, configuration: configuration, random: try SecureRandom()), name: "link",
            logger: logger,
            report: { Self.take($0, state) },
            deliver: { event in Self.take(event, state, logger, keysArrived, strayArrived) })
        self.state = state
        self.link = link
        running = Task {
            do {
                try await link.run()
                Self.end(state, CancellationError())
            } catch {
                Self.end(state, ClientError(.badSettings, "\(error)"))
            }
        }
    }

    /// Why there is no answer at the moment; empty when the broker is there.
    var note: String { state.value.withLock { $0.note } }

    /// Calls `observer` whenever `note` has changed, for as long as the body runs.
    func observing<Result: Sendable>(
        _ observer: @escaping @Sendable () -> Void, _ body: () async throws -> Result
    ) async rethrows -> Result {
        let id = state.value.withLock { state in
            let id = state.nextID()
            state.observers[id] = observer
            return id
        }
        defer { state.value.withLock { _ = $0.observers.removeValue(forKey: id) } }
        return try await body()
    }

    /// Hands a job to the broker and waits for its result, over as many sessions as that takes. The same bytes again are the
    /// same job.
    ///
    /// - Throws: `JobEnd` when the broker will bring no result, what `refuse` was told, `badRequest` while another call waits for the
    ///   same job, `CancellationError`.
    func perform(_ envelope: Envelope, sealed: [UInt8]) async throws -> Answer {
        let call = state.value.withLock { $0.nextID() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let end: (any Error)? = state.value.withLock { state in
                    // The cancellation handler may have run already: then nobody would resume what is stored now.
                    if let end = state.end ?? (Task.isCancelled ? CancellationError() : nil) { return end }
                    guard state.answers[envelope.job] == nil else {
                        return ClientError(
                            .badRequest,
                            "job \(envelope.job.short) is under way in another call of this client: let that one end first"
                        )
                    }
                    // Submitted only when somebody waits, so a result without a waiter is of another process; and together, so
                    // that `refuse` sees both or neither.
                    state.answers[envelope.job] = (call, continuation)
                    link.send(.submit(envelope, sealed: sealed))
                    return nil
                }
                if let end { continuation.resume(throwing: end) }
            }
        } onCancel: {
            let waiter = state.value.withLock { state in
                // It may be another call that waits.
                state.answers[envelope.job]?.call == call
                    ? state.answers.removeValue(forKey: envelope.job)?.waiter : nil
            }
            waiter?.resume(throwing: CancellationError())
        }
    }

    /// A result that was handed over does not count: the job can be handed to the broker again. Whoever began to wait for the job
    /// in the meantime is told why.
    func refuse(_ job: JobID, because reason: any Error) {
        state.value.withLock { state in
            link.send(.refuse(job))
            return state.answers.removeValue(forKey: job)?.waiter
        }?.resume(throwing: reason)
    }

    /// Tells the broker that a result is surfaced; returns when it has forgotten the job, or after some seconds: it is told again
    /// whenever the result comes again.
    func acknowledge(_ job: JobID) async {
        let timeout = Task { [state] in
            try await Task.sleep(for: .seconds(5))
            Self.acknowledged(job, state)
        }
        await withCheckedContinuation { continuation in
            let isOver = state.value.withLock { state in
                guard state.end == nil else { return true }
                state.acknowledgements[job, default: []].append(continuation)
                return false
            }
            if isOver { continuation.resume() } else { link.send(.acknowledge(job)) }
        }
        timeout.cancel()
    }

    private static func acknowledged(_ job: JobID, _ shared: SharedState) {
        for waiter in shared.value.withLock({ $0.acknowledgements.removeValue(forKey: job) }) ?? [] { waiter.resume() }
    }

    /// Tells the broker that a job is not wanted any more; returns when it has said that the job is over. Whoever waits for it is told.
    ///
    /// - Throws: `refused` when it does not say so within some seconds.
    func cancel(_ job: JobID) async throws {
        let timeout = Task { [state] in
            try await Task.sleep(for: .seconds(5))
            Self.cancelled(job, state, false)
        }
        let isOver = await withCheckedContinuation { continuation in
            let former = state.value.withLock { state in
                let former = state.cancellations.removeValue(forKey: job)
                if state.end == nil { state.cancellations[job] = continuation }
                return state.end == nil ? former : continuation
            }
            former?.resume(returning: false)
            link.send(.cancel(job))
        }
        timeout.cancel()
        guard isOver else { throw ClientError(.refused, "the broker does not say that the job is cancelled: \(note)") }
    }

    private static func cancelled(_ job: JobID, _ shared: SharedState, _ isOver: Bool) {
        shared.value.withLock { $0.cancellations.removeValue(forKey: job) }?.resume(returning: isOver)
    }

    /// Hands over the previews of these jobs, on the link's thread, for as long as the body runs.
    func watching<Result: Sendable>(
        _ jobs: Set<JobID>, _ handler: @escaping @Sendable (JobID, Answer) -> Void, _ body: () async throws -> Result
    ) async rethrows -> Result {
        state.value.withLock { state in for job in jobs { state.previewers[job] = handler } }
        defer { state.value.withLock { state in for job in jobs { state.previewers[job] = nil } } }
        return try await body()
    }

    /// What the broker says of this client's jobs and of the pool. A hint. Waits until there is a session.
    ///
    /// - Throws: `refused` when the session is lost before the answer comes; `CancellationError`.
    func status() async throws -> WireStatus {
        while true {
            try await waitForSession()
            if let status = try await askForStatus() { return status }
        }
    }

    private func waitForSession() async throws {
        while true {
            let (isWelcomed, end) = state.value.withLock { ($0.isWelcomed, $0.end) }
            if let end { throw end }
            if isWelcomed { return }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// - Returns: nil when the session was over before it could be asked.
    private func askForStatus() async throws -> WireStatus? {
        let id = state.value.withLock { $0.nextID() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (end: CheckedContinuation<WireStatus?, any Error>) in
                let isAsked = state.value.withLock { state in
                    // Entered in a session that goes on, it is answered, or ended with the session.
                    guard state.isWelcomed, state.end == nil, !Task.isCancelled else { return false }
                    state.statusQueries.append((id, end))
                    link.send(.queryStatus([]))
                    return true
                }
                guard !isAsked else { return }
                end.resume(with: Task.isCancelled ? .failure(CancellationError()) : .success(nil))
            }
        } onCancel: {
            state.value.withLock { $0.takeStatusWaiter(id) }?.resume(throwing: CancellationError())
        }
    }

    func close() {
        link.send(.close)
        Self.end(state, CancellationError())
    }

    private static func end(_ shared: SharedState, _ error: any Error) {
        let cancellations = shared.value.withLock { state in
            defer { state.cancellations = [:] }
            return state.cancellations.values
        }
        for waiter in cancellations { waiter.resume(returning: false) }
        let (answers, status, acknowledgements) = shared.value.withLock { state in
            state.end = state.end ?? error
            defer {
                state.answers = [:]
                state.acknowledgements = [:]
            }
            return (
                state.answers.values.map(\.waiter), state.takeStatusWaiters(),
                state.acknowledgements.values.flatMap { $0 }
            )
        }
        for answer in answers { answer.resume(throwing: error) }
        for waiter in status { waiter.resume(throwing: error) }
        for waiter in acknowledgements { waiter.resume() }
    }

    // MARK: on the link's thread

    private static func take(
        _ event: ClientCore.Event, _ shared: SharedState, _ logger: Logger, _ keysArrived: @Sendable ([UInt8]) -> Void,
        _ strayArrived: @Sendable (JobID, Answer) -> Void
    ) {
        switch event {
        case .welcomed(let welcome):
            // Whoever asked on a connection that was replaced without a word asks again.
            let waiters = shared.value.withLock { state in
                state.isWelcomed = true
                return state.takeStatusWaiters()
            }
            for waiter in waiters { waiter.resume(returning: nil) }
            shared.note("")
            keysArrived(welcome.keyBundle)
        case .keys(let bundle): keysArrived(bundle)
        case .lost(let loss):
            logger.notice("no broker", metadata: ["reason": "\(loss.reason)"])
            // Who asked for a status is told.
            let waiters = shared.value.withLock { state in
                state.isWelcomed = false
                return state.takeStatusWaiters()
            }
            shared.note("no session with the broker, trying again: \(loss.reason)")
            for waiter in waiters {
                waiter.resume(throwing: ClientError(.refused, "there is no session with the broker: \(loss.reason)"))
            }
        case .rejected(let job, let code, let message, let retryAfter):
            logger.info("the broker refused a job", metadata: ["job": "\(job.short)", "reason": "\(message)"])
            guard retryAfter == nil else {
                shared.note("the broker says: \(message)")
                break
            }
            settle(job, .failure(JobEnd(code: code, message: message)), shared)
        case .conflict(let job, let message):
            settle(job, .failure(JobEnd(code: .badMessage, message: message)), shared)
        case .ended(let job, let code, let message):
            cancelled(job, shared, true)
            settle(job, .failure(JobEnd(code: code, message: message)), shared)
        case .result(let job, let header, let sealed):
            let answer = Answer(header: header, sealed: sealed)
            if !settle(job, .success(answer), shared) { strayArrived(job, answer) }
        case .ackStored(let job):
            cancelled(job, shared, true)
            acknowledged(job, shared)
            settle(job, .failure(.acknowledged), shared)
        case .status(let status):
            shared.value.withLock { $0.statusQueries.isEmpty ? nil : $0.statusQueries.removeFirst().waiter }?
                .resume(returning: status)
        case .preview(let job, _, let header, let sealed):
            shared.value.withLock { $0.previewers[job] }?(job, Answer(header: header, sealed: sealed))
        case .accepted: break
        }
    }

    /// What the socket saw. A broker that was never there opens no session, so the machine has nothing to tell of it.
    private static func take(_ report: LinkReport, _ shared: SharedState) {
        switch report {
        case .unreachable(let broker): shared.note("no broker listens at \(broker), trying again")
        case .lost(let broker): shared.note("the connection to \(broker) is lost, trying again")
        case .refused(let broker):
            shared.note("the broker at \(broker) does not know this client's key: ask its operator; trying again")
        case .wrongServer(let broker):
            shared.note(
                "what listens at \(broker) does not prove to be the deployment's broker: it is another port or another broker, or the "
                    + "deployment folder is old; trying again")
        case .connecting, .connected: break
        }
    }

    /// - Returns: whether anyone waited for it.
    @discardableResult
    private static func settle(_ job: JobID, _ answer: Result<Answer, JobEnd>, _ shared: SharedState) -> Bool {
        let waiter = shared.value.withLock { $0.answers.removeValue(forKey: job)?.waiter }
        waiter?.resume(with: answer.mapError { $0 as any Error })
        return waiter != nil
    }
}
