internal import DequeModule
internal import Exchange
internal import Fabric
internal import Wire
internal import ZeroMQ

internal import struct Foundation.Data

/// The workers of a measurement: a thread that sends every job back, at once or after a while. It belongs to that thread.
final class WorkerHalf {
    private struct Worker {
        let line: Line
        let id: WorkerID
        /// What it has been given, and when the first of that will be done.
        var jobs: Deque<(ref: WireJobRef, sealed: [UInt8])> = []
        var done = Int64.max
        var isReady = false
    }

    private let middle: Middle
    private let keys: BenchKeys
    private let service: Int64
    private let slots: Int
    private let stop: Inbox<Void>
    private let poll: CrowdPoll
    private var workers: [Worker] = []
    /// They had more to read than their turn allowed.
    private var unread: Set<Int> = []

    /// - Parameters:
    ///   - service: nanoseconds that a worker takes for a job, one after another; 0: it answers at once.
    ///   - slots: jobs that a worker is given at a time.
    ///   - stop: ends `run`.
    init(
        _ middle: Middle, at address: BrokerAddress, keys: BenchKeys, workers count: Int, service: Int64, slots: Int,
        stop: Inbox<Void>
    ) throws {
        self.middle = middle
        self.keys = keys
        self.service = service
        self.slots = slots
        self.stop = stop
        poll = try CrowdPoll(wakeUp: stop.wakeUp)
        let context = try Context()
        for number in 0..<count {
            let kit = try keys.worker(number)
            let line = try Line(context, address, kit.curve)
            try line.join(poll, as: number)
            workers.append(Worker(line: line, id: kit.id))
            if case .broker = middle { try line.send(.hello(WireHello(role: "worker", software: "bench"))) }
            try serve(number)
        }
    }

    /// - Parameter ready: told once when all workers have said READY.
    func run(ready: () -> Void) throws {
        var isReady = false
        var nextBeat: Int64 = 0
        while stop.takeAll().isEmpty {
            if !isReady, workers.allSatisfy(\.isReady) || middle == .proxy {
                isReady = true
                ready()
            }
            let now = Moment.now().uptime
            if now >= nextBeat {
                nextBeat = now + .second
                for number in workers.indices {
                    if workers[number].isReady { try workers[number].line.send(.heartbeat(WireHeartbeat())) }
                    try serve(number)
                }
            }
            var next = nextBeat
            if service > 0 {
                for number in workers.indices {
                    if workers[number].done <= now { try finish(number, at: now) }
                    next = min(next, workers[number].done)
                }
            }
            let former = unread
            unread = []
            for number in former.union(try poll.wait(until: next, mayWait: former.isEmpty)) { try serve(number) }
        }
    }

    private func serve(_ worker: Int) throws {
        try workers[worker].line.flush()
        for turn in 1... {
            guard turn <= Line.messagesInTurn else {
                unread.insert(worker)
                return
            }
            guard let parts = try workers[worker].line.receive() else { return }
            switch middle {
            case .broker: try hear(Frames(parts: parts), worker)
            case .proxy: try workers[worker].line.send(parts: parts)
            }
        }
    }

    private func hear(_ frames: Frames, _ worker: Int) throws {
        switch frames.control.body {
        case .challenge(let challenge):
            try workers[worker].line.send(
                .hello(WireHello(role: "worker", challenge: challenge.nonce, software: "bench")))
        case .welcome:
            try workers[worker].line.send(.ready(keys.ready(slots: slots)))
            workers[worker].isReady = true
        case .job(let job):
            guard service > 0 else { return try answer(job.job, frames.attachments[1], worker) }
            workers[worker].jobs.append((job.job, frames.attachments[1]))
            if workers[worker].done == .max { workers[worker].done = Moment.now().uptime + service }
        case .ping: try workers[worker].line.send(.pong(WirePong()))
        case .resultStored, .pong, .cancelJob: break
        case .bye(let bye): throw BenchFault("the broker ended a worker's session: \(bye.reason)")
        default: throw BenchFault("the broker says to a worker what was not expected")
        }
    }

    private func finish(_ worker: Int, at now: Int64) throws {
        guard let job = workers[worker].jobs.popFirst() else { return }
        workers[worker].done = workers[worker].jobs.isEmpty ? .max : now + service
        try answer(job.ref, job.sealed, worker)
        try serve(worker)
    }

    private func answer(_ ref: WireJobRef, _ sealed: [UInt8], _ worker: Int) throws {
        var result = WireWorkerResult()
        result.job = ref
        result.cost = 1
        try workers[worker].line.send(
            .workerResult(result), [try keys.header(ref, of: workers[worker].id).bytes, sealed])
    }
}
