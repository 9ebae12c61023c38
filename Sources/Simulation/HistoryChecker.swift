internal import Exchange
internal import Wire

/// A second, much simpler account of what has happened, and of what may never happen. It is told what is stored, what is said
/// and what reaches the world outside, and looks at no state machine.
struct HistoryChecker {
    /// Where a job is, by what the journal has stored.
    enum Place: Hashable {
        case live, done, dead
        case over(JobReport.State)
    }

    struct Record {
        var place = Place.live
        var generation: UInt32
        var expires: Int64
        var isPoison: Bool
        var newest: Fence?
    }

    let broker: BrokerID
    let crashesAllowed: Int
    private(set) var violations: [String] = []
    private(set) var records: [JobKey: Record] = [:]
    /// JOBs of it that left for a worker which runs nothing else, since it was accepted or replayed.
    private var aloneLeases: [JobKey: Int] = [:]
    private var cancelAsked: Set<JobKey> = []
    private var surfacedOnce: Set<JobKey> = []
    private var masks: [IngestCore.Key: UInt64] = [:]
    private var ingested: Set<IngestCore.Key> = []

    private(set) var accepted = 0
    private(set) var results = 0

    init(broker: BrokerID, crashesAllowed: Int) {
        self.broker = broker
        self.crashesAllowed = crashesAllowed
    }

    private mutating func require(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds { violations.append(what()) }
    }

    mutating func object(_ what: String) { violations.append(what) }

    // MARK: what is stored

    /// - Parameters:
    ///   - epoch: of the broker that decided it.
    ///   - wall: its clock, when the entry was stored.
    mutating func stored(_ entry: JournalEntry, epoch: UInt64, wall: Int64) {
        let key = entry.key
        guard case .accepted(_, let bytes, let sealed) = entry else {
            guard var record = records[key] else { return object("\(key): stored of a job that was never accepted") }
            note(entry, key, &record, epoch: epoch, wall: wall)
            if case .forgotten = entry { records[key] = nil } else { records[key] = record }
            return
        }
        guard let envelope = try? Envelope(bytes: bytes), envelope.key == key, let order = Order(sealed) else {
            return object("\(key): accepted with an envelope or a payload that nobody sent")
        }
        switch records[key]?.place {
        case .dead:
            records[key]?.place = .live
            aloneLeases[key] = nil
        case nil:
            accepted += 1
            records[key] = Record(
                generation: envelope.generation, expires: envelope.expires, isPoison: order.isPoison)
        case .over(.expired):
            require(
                envelope.generation > records[key]?.generation ?? 0, "\(key): accepted again, and no new generation")
            records[key]?.place = .live
            records[key]?.generation = envelope.generation
            aloneLeases[key] = nil
            records[key]?.expires = envelope.expires
        case .live, .done, .over: object("\(key): accepted twice")
        }
    }

    private mutating func note(_ entry: JournalEntry, _ key: JobKey, _ record: inout Record, epoch: UInt64, wall: Int64)
    {
        switch entry {
        case .accepted: break
        case .attempted(_, let attempt, let named):
            require(record.place == .live, "\(key): attempted, and is not waiting")
            require(attempt > record.newest?.attempt ?? 0, "\(key): attempt \(attempt) is not a new number")
            require(named == epoch, "\(key): attempted in epoch \(epoch), and \(named) is named")
            record.newest = Fence(broker: broker, bootEpoch: epoch, attempt: attempt)
        case .suspected(_, let crashes):
            require(record.place == .live, "\(key): suspected, and is not under way")
            let alone = aloneLeases[key] ?? 0
            require(crashes <= alone, "\(key): \(crashes) crashes alone, of \(alone) JOBs")
        case .finished(_, let header, let sealed, _):
            results += 1
            require(record.place == .live, "\(key): finished, and is not under way")
            guard let header = try? ResultHeader(bytes: header), let answer = Answer(sealed) else {
                return object("\(key): finished with what no worker sent")
            }
            require(
                header.fence == record.newest,
                "\(key): a stale fence was accepted: epoch \(header.fence.bootEpoch), attempt \(header.fence.attempt)")
            require(
                answer.bootEpoch == header.fence.bootEpoch && answer.attempt == header.fence.attempt,
                "\(key): a stale fence was accepted: attempt \(answer.attempt) computed it, \(header.fence.attempt) is named"
            )
            require(answer.key == key, "\(key): finished with another job's result")
            require(answer.generation == record.generation, "\(key): finished with an earlier generation's result")
            record.place = .done
        case .acknowledged:
            require(record.place == .done, "\(key): acknowledged, and was not done")
            require(surfacedOnce.contains(key), "\(key): acknowledged, and was never surfaced")
            record.place = .over(.acknowledged)
        case .ended(_, .deadLetter):
            require(record.place == .live, "\(key): given up, and was not under way")
            let alone = aloneLeases[key] ?? 0
            require(alone >= crashesAllowed, "\(key): given up after \(alone) attempts alone")
            record.place = .dead
        case .ended(_, let code):
            if case .over = record.place { object("\(key): ended twice") }
            switch code {
            case .cancelled:
                require(cancelAsked.contains(key), "\(key): cancelled, and nobody asked")
                record.place = .over(.cancelled)
            case .expired:
                require(wall >= record.expires, "\(key): expired \(record.expires - wall) ms too early")
                record.place = .over(.expired)
            default:
                object("\(key): ended with \(code)")
                record.place = .over(.refused)
            }
        case .forgotten:
            if case .over = record.place {} else { object("\(key): forgotten, and is not over") }
        }
    }

    // MARK: what is said

    /// ACCEPTED leaves the broker.
    mutating func promised(_ key: JobKey) {
        require(records[key] != nil, "\(key): ACCEPTED was said, and the job is not stored")
    }

    /// A JOB leaves the broker.
    mutating func leased(_ key: JobKey, alone: Bool) {
        if alone { aloneLeases[key, default: 0] += 1 }
    }

    mutating func cancelIsAsked(_ key: JobKey) { cancelAsked.insert(key) }

    // MARK: the world outside

    mutating func surfaced(_ key: JobKey) {
        require(surfacedOnce.insert(key).inserted, "\(key): surfaced twice")
    }

    /// A masked image leaves its client.
    mutating func released(_ image: IngestCore.Key, noise: UInt64) {
        let former = masks.updateValue(noise, forKey: image) ?? noise
        require(former == noise, "\(image.client.short): a second x_ζ of image \(image.publication.short) left")
    }

    /// A masked image is in the trainer's store.
    mutating func ingested(_ image: IngestCore.Key, noise: UInt64) {
        require(ingested.insert(image).inserted, "\(image.client.short): \(image.publication.short) was stored twice")
        require(masks[image] == noise, "\(image.client.short): \(image.publication.short) was stored and never sent so")
    }

    func isIngested(_ image: IngestCore.Key) -> Bool { ingested.contains(image) }

    // MARK: the broker, looked at

    /// Every accepted job is in exactly one place, and the broker and the journal agree on which.
    ///
    /// - Parameters:
    ///   - reports: of all jobs that are not over.
    ///   - look: the report of one.
    mutating func audit(_ reports: [JobReport], _ look: (JobKey) -> JobReport?) {
        var seen: Set<JobKey> = []
        for report in reports {
            require(seen.insert(report.key).inserted, "\(report.key): in two places at once")
            require(records[report.key] != nil, "\(report.key): the broker has a job that it did not store")
        }
        for (key, record) in records {
            guard let report = look(key) else {
                object("\(key): accepted, \(record.place), and now nowhere")
                continue
            }
            let agree =
                switch (record.place, report.state) {
                case (.live, .queued), (.live, .delayed), (.live, .leased), (.done, .inMailbox), (.dead, .deadLetter):
                    true
                case (.over(let end), let state): end == state
                default: false
                }
            require(agree, "\(key): \(record.place) by what is stored, \(report.state) by the broker")
            require(report.generation == record.generation, "\(key): the broker has another generation")
            var isListed = true
            if case .over = record.place { isListed = false }
            require(seen.contains(key) == isListed, "\(key): \(report.state), and listed \(seen.contains(key))")
        }
    }

    mutating func audit(_ snapshot: BrokerSnapshot, limits: Limits) {
        require(snapshot.jobs <= limits.jobs, "the broker keeps \(snapshot.jobs) jobs; \(limits.jobs) is the limit")
        require(
            snapshot.bytes <= limits.bytes + limits.resultBytes,
            "the broker keeps \(snapshot.bytes) bytes; \(limits.bytes + limits.resultBytes) is the limit")
    }

    // MARK: the end

    /// Once nothing goes wrong any more: nothing is under way, and what was given up is what was planted.
    mutating func settled() {
        for (key, record) in records {
            switch record.place {
            case .live, .done: object("\(key): \(record.place) to the end")
            case .dead: require(record.isPoison, "\(key): given up, and is no poison")
            case .over(.acknowledged): require(!record.isPoison, "\(key): poison, and has a result")
            case .over: break
            }
        }
    }

    var isSettled: Bool {
        records.values.allSatisfy { record in
            switch record.place {
            case .live, .done: false
            case .dead: record.isPoison
            case .over: true
            }
        }
    }

    var deadLetters: [JobKey] {
        records.filter { $0.value.place == .dead }.keys.sorted { $0.description < $1.description }
    }
}
