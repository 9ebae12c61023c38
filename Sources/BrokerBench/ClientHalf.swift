internal import Exchange
internal import Fabric
internal import Sodium
internal import Wire
internal import ZeroMQ

internal import struct Foundation.Data

/// The clients of a measurement: a thread that submits jobs, takes results and does nothing else that costs time. It belongs to that thread.
///
/// Payloads are random bytes: whatever stands in the middle could not read them anyway.
final class ClientHalf {
    private let middle: Middle
    private let poll: CrowdPoll
    private var lines: [Line] = []
    private var stamps: [JobStamp] = []
    private var isOpen: [Bool]
    private var opened = 0

    private var payload: [UInt8] = []
    /// By number: when the job was due; 0: it is over.
    private var due: [Int64] = []
    /// By number: when it was sent.
    private var sent: [Int64] = []
    private var underWay = 0
    private var isSubmitting = false
    /// A completed job is followed by another.
    private var isClosed = false
    private var measured: Range<Int64> = 0..<0
    private var completions: [Int64] = []
    private var latencies: [Int64] = []
    private var lags: [Int64] = []
    private var answers: [Int64] = []
    /// When clients have to say something again, unless they do before: each by itself, as those of many machines.
    private var beats = Deadlines<Int>()
    /// They had more to read than their turn allowed.
    private var unread: Set<Int> = []

    private static let patience = 60 * Int64.second

    /// - Parameter count: of the keys' clients, the first so many.
    init(_ middle: Middle, at address: BrokerAddress, keys: BenchKeys, clients count: Int) throws {
        self.middle = middle
        let inbox = try Inbox<Void>()
        poll = try CrowdPoll(wakeUp: inbox.wakeUp)
        isOpen = [Bool](repeating: false, count: count)
        let context = try Context(maximumSockets: Int32(count + 64))
        let run = try SecureRandom().bytes(8)
        for number in 0..<count {
            stamps.append(try JobStamp(keys.client(number), run, keys.envelope))
            let line = try Line(context, address, keys.curve(number))
            try line.join(poll, as: number)
            lines.append(line)
        }
    }

    // MARK: opening

    /// Every client is in session.
    func open() throws {
        let end = Moment.now().uptime + Self.patience
        // A few at a time, as a listening socket's queue wants it.
        var begun = 0
        while opened < lines.count {
            while begun < lines.count, begun - opened < 64 {
                try greet(begun)
                begun += 1
            }
            try serveAll(until: Moment.now().uptime + 100 * .millisecond)
            try ping()
            guard Moment.now().uptime < end else {
                throw BenchFault("only \(opened) of \(lines.count) clients came into session")
            }
        }
    }

    private func greet(_ number: Int) throws {
        switch middle {
        case .broker: try lines[number].send(.hello(WireHello(role: "client", software: "bench")))
        // A proxy says nothing by itself: a job that comes back says that all is connected.
        case .proxy: try lines[number].send(parts: [[], stamps[number].envelope(Int(UInt32.max)), []])
        }
        try serve(number)
    }

    /// Sits in session for a while.
    func idle(seconds: Double) throws {
        let end = Moment.now().uptime + Int64(seconds * 1e9)
        while Moment.now().uptime < end {
            try ping()
            try serveAll(until: min(end, beats.next ?? .max))
        }
    }

    // MARK: a load

    func drive(_ load: Load) throws -> Outcome {
        payload = try SecureRandom().bytes(load.bytes)
        let begin = Moment.now().uptime
        let from = begin + Int64(load.warmUp * 1e9)
        measured = from..<(from + Int64(load.seconds * 1e9))
        isSubmitting = true
        var step = Int64.max
        var next = Int64.max
        switch load.pace {
        case .inFlight(let count):
            isClosed = true
            for number in 0..<count { try submit(number % lines.count, due: begin) }
            for number in lines.indices { try serve(number) }
        case .rate(let rate):
            step = Int64(1e9 / rate)
            next = begin
        }
        while true {
            let now = Moment.now().uptime
            if now >= measured.upperBound { isSubmitting = false }
            if !isSubmitting, underWay == 0 { break }
            guard now < measured.upperBound + Self.patience else {
                throw BenchFault("\(underWay) jobs were not answered within a minute")
            }
            while isSubmitting, next <= now {
                let client = due.count % lines.count
                if measured.contains(next) { lags.append(Moment.now().uptime - next) }
                try submit(client, due: next)
                try serve(client)
                next += step
            }
            try ping()
            let wake = isSubmitting ? min(next, measured.upperBound) : now + 100 * .millisecond
            try serveAll(until: min(wake, beats.next ?? .max))
        }
        guard let first = completions.first, let last = completions.last, last > first else {
            throw BenchFault("no jobs came back while it was measured")
        }
        return Outcome(
            rate: Double(completions.count - 1) / (Double(last - first) / 1e9), latencies: latencies.sorted(),
            lags: lags.sorted(), answers: answers.sorted())
    }

    /// The client is to be served afterwards.
    private func submit(_ client: Int, due time: Int64) throws {
        let envelope = stamps[client].envelope(due.count)
        due.append(time)
        sent.append(Moment.now().uptime)
        underWay += 1
        switch middle {
        case .broker: try lines[client].send(.submit(WireSubmit()), [envelope, payload])
        case .proxy: try lines[client].send(parts: [[], envelope, payload])
        }
    }

    private func serveAll(until deadline: Int64) throws {
        let former = unread
        unread = []
        for number in former.union(try poll.wait(until: deadline, mayWait: former.isEmpty)) { try serve(number) }
    }

    /// Reads what came, so much that the others have their turn: a socket that was sent to tells of what had come just once.
    private func serve(_ client: Int) throws {
        try lines[client].flush()
        for turn in 1... {
            guard turn <= Line.messagesInTurn else {
                unread.insert(client)
                return
            }
            guard let parts = try lines[client].receive() else { return }
            switch middle {
            case .broker: try hear(Frames(parts: parts), client)
            case .proxy:
                guard parts.count == 3, let number = stamps[client].number(in: parts[1]) else {
                    throw BenchFault("the proxy brought something else than was sent")
                }
                if number == Int(UInt32.max) { open(client) } else { try complete(number, parts[2], client) }
            }
        }
    }

    private func hear(_ frames: Frames, _ client: Int) throws {
        switch frames.control.body {
        case .challenge(let challenge):
            try lines[client].send(.hello(WireHello(role: "client", challenge: challenge.nonce, software: "bench")))
        case .welcome(let welcome):
            lines[client].heartbeat = Int64(clamping: welcome.heartbeatMs) * .millisecond
            open(client)
        case .result(let result):
            guard let number = stamps[client].number(id: result.jobID) else {
                throw BenchFault("a result came of a job that nobody sent")
            }
            var ack = WireResultAck()
            ack.jobID = result.jobID
            try lines[client].send(.resultAck(ack))
            try complete(number, frames.attachments[1], client)
        case .ping: try lines[client].send(.pong(WirePong()))
        case .accepted, .ackStored, .pong, .credit: break
        case .rejected(let rejected): throw BenchFault("the broker refuses a job: \(rejected.message)")
        case .ended(let ended): throw BenchFault("the broker ended a job: \(ended.message)")
        case .bye(let bye): throw BenchFault("the broker ended a session: \(bye.reason)")
        default: throw BenchFault("the broker says what was not expected")
        }
    }

    private func open(_ client: Int) {
        guard !isOpen[client] else { return }
        isOpen[client] = true
        opened += 1
        if case .broker = middle { beats.add(client, due: lines[client].nextBeat) }
    }

    private func complete(_ number: Int, _ result: [UInt8], _ client: Int) throws {
        guard due.indices.contains(number), due[number] > 0, result.count == payload.count else {
            throw BenchFault("a result came twice, or of another length")
        }
        let now = Moment.now().uptime
        if measured.contains(now) { completions.append(now) }
        if measured.contains(due[number]) {
            latencies.append(now - due[number])
            answers.append(now - sent[number])
        }
        due[number] = 0
        underWay -= 1
        if isClosed, isSubmitting, now < measured.upperBound { try submit(client, due: now) }
    }

    /// Keeps sessions alive on which nothing else is said.
    private func ping() throws {
        let now = Moment.now().uptime
        while let number = beats.take(until: now) {
            let line = lines[number]
            if line.nextBeat <= now {
                try line.send(.ping(WirePing()))
                try serve(number)
            }
            beats.add(number, due: line.nextBeat)
        }
    }
}
