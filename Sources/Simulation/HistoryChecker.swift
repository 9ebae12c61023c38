internal import Exchange
internal import Wire

/// A second, much simpler account of what has happened, and of what may never happen. It is told what is stored, what is said
/// and what reaches the world outside, and looks at no state machine. Of a job that was handed to several brokers each has a copy, which
/// keeps the same laws; the world outside sees one job.
struct HistoryChecker {
    /// Where a job is, by what the journal has stored.
    enum Place: Hashable {
        case live, done, dead
        case over(JobReport.State)
    }

    /// A job at one broker.
    private struct Copy: Hashable {
        let broker: BrokerID
        let key: JobKey
    }

    struct Record {
        var place = Place.live
        var generation: UInt32
        var expires: Int64
        var isPoison: Bool
        var newest: Fence?
        /// Bytes of its envelope.
        let envelope: Int
        /// Bytes of what else is kept while it is not over: the sealed payload, then the result with its header.
        var contents: Int
    }

    let crashesAllowed: Int
    private(set) var violations: [String] = []
    private(set) var records: [BrokerID: [JobKey: Record]] = [:]
    /// JOBs of it that left for a worker which runs nothing else, since it was accepted or replayed.
    private var aloneLeases: [Copy: Int] = [:]
    /// Milliseconds by which jobs of this batch expired too early: right only if a later generation takes their place in it.
    private var early: [Copy: Int64] = [:]
    private var cancelAsked: Set<JobKey> = []
    private var surfacedOnce: Set<JobKey> = []
    private var masks: [IngestCore.Key: UInt64] = [:]
    private var ingested: Set<IngestCore.Key> = []

    private(set) var accepted = 0
    private(set) var results = 0
    /// Turns of all brokers that a `FairnessChecker` held against its bound.
    var turnsCompared = 0

    init(crashesAllowed: Int) {
        self.crashesAllowed = crashesAllowed
    }

    private mutating func require(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds { violations.append(what()) }
    }

    mutating func object(_ what: String) { violations.append(what) }

    // MARK: what is stored

    /// - Parameters:
    ///   - broker: that decided it, in this boot epoch.
    ///   - wall: its clock, when the entry was stored.
    mutating func stored(_ entry: JournalEntry, at broker: BrokerID, epoch: UInt64, wall: Int64) {
        let key = entry.key
        guard case .accepted(_, let bytes, let sealed) = entry else {
            guard var record = records[broker]?[key] else {
                return object("\(key): stored of a job that was never accepted")
            }
            note(entry, key, &record, at: broker, epoch: epoch, wall: wall)
            if case .forgotten = entry { records[broker]?[key] = nil } else { records[broker]?[key] = record }
            return
        }
        guard let envelope = try? Envelope(bytes: bytes), envelope.key == key, let order = Order(sealed) else {
            return object("\(key): accepted with an envelope or a payload that nobody sent")
        }
        let former = records[broker]?[key]
        switch former?.place {
        case .dead:
            records[broker]?[key]?.place = .live
            aloneLeases[Copy(broker: broker, key: key)] = nil
        case nil:
            accepted += 1
            records[broker, default: [:]][key] = Record(
                generation: envelope.generation, expires: envelope.expires, isPoison: order.isPoison,
                envelope: bytes.count, contents: sealed.count)
        case .over(.expired):
            require(envelope.generation > former?.generation ?? 0, "\(key): accepted again, and no new generation")
            aloneLeases[Copy(broker: broker, key: key)] = nil
            early[Copy(broker: broker, key: key)] = nil
            records[broker]?[key] = Record(
                generation: envelope.generation, expires: envelope.expires, isPoison: order.isPoison,
                newest: former?.newest, envelope: bytes.count, contents: sealed.count)
        case .live, .done, .over: object("\(key): accepted twice")
        }
    }

    private mutating func note(
        _ entry: JournalEntry, _ key: JobKey, _ record: inout Record, at broker: BrokerID, epoch: UInt64, wall: Int64
    ) {
        let alone = aloneLeases[Copy(broker: broker, key: key)] ?? 0
        switch entry {
        case .accepted: break
        case .attempted(_, let attempt, let named):
            require(record.place == .live, "\(key): attempted, and is not waiting")
            require(attempt > record.newest?.attempt ?? 0, "\(key): attempt \(attempt) is not a new number")
            require(named == epoch, "\(key): attempted in epoch \(epoch), and \(named) is named")
            record.newest = Fence(broker: broker, bootEpoch: epoch, attempt: attempt)
        case .suspected(_, let crashes):
            require(record.place == .live, "\(key): suspected, and is not under way")
            require(crashes <= alone, "\(key): \(crashes) crashes alone, of \(alone) JOBs")
        case .finished(_, let header, let sealed, _):
            results += 1
            require(record.place == .live, "\(key): finished, and is not under way")
            record.contents = header.count + sealed.count
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
            // Whether it is done by what is stored says nothing: a result leaves before, and a copy at another broker brings one too.
            require(surfacedOnce.contains(key), "\(key): acknowledged, and was never surfaced")
            record.place = .over(.acknowledged)
        case .ended(_, .deadLetter):
            require(record.place == .live, "\(key): given up, and was not under way")
            require(alone >= crashesAllowed, "\(key): given up after \(alone) attempts alone")
            record.place = .dead
        case .ended(_, let code):
            if case .over = record.place { object("\(key): ended twice") }
            switch code {
            case .cancelled:
                require(cancelAsked.contains(key), "\(key): cancelled, and nobody asked")
                record.place = .over(.cancelled)
            case .expired:
                if wall < record.expires { early[Copy(broker: broker, key: key)] = record.expires - wall }
                record.place = .over(.expired)
            default:
                object("\(key): ended with \(code)")
                record.place = .over(.refused)
            }
        case .forgotten:
            if case .over = record.place {} else { object("\(key): forgotten, and is not over") }
        }
    }

    /// All of a batch was told.
    mutating func batchIsStored() {
        for (copy, wait) in early { object("\(copy.key): expired \(wait) ms too early") }
        early = [:]
    }

    // MARK: what is said

    /// ACCEPTED leaves the broker.
    mutating func promised(_ key: JobKey, by broker: BrokerID) {
        require(records[broker]?[key] != nil, "\(key): ACCEPTED was said, and the job is not stored")
    }

    /// RESULT_STORED leaves the broker: the worker forgets the result.
    mutating func confirmed(_ key: JobKey, _ fence: Fence, by broker: BrokerID) {
        guard let record = records[broker]?[key] else {
            return object("\(key): RESULT_STORED was said, and the job is not stored")
        }
        require(
            record.place != .live || record.newest != fence,
            "\(key): RESULT_STORED was said, and the result is not stored")
    }

    /// ACK_STORED leaves the broker: the client forgets the job.
    mutating func settled(_ key: JobKey, by broker: BrokerID) {
        guard let record = records[broker]?[key] else { return }
        if case .over = record.place { return }
        object("\(key): ACK_STORED was said, and the end is not stored")
    }

    /// A JOB leaves the broker.
    mutating func leased(_ key: JobKey, by broker: BrokerID, alone: Bool) {
        if alone { aloneLeases[Copy(broker: broker, key: key), default: 0] += 1 }
    }

    /// A broker is gone for good, and all that it had with it: its jobs' clients have to see to them.
    mutating func lost(_ broker: BrokerID) { records[broker] = nil }

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

    // MARK: the broker, looked at

    /// Every accepted job is in exactly one place, and the broker and the journal agree on which.
    ///
    /// - Parameters:
    ///   - reports: of all jobs that are not over.
    ///   - look: where one is, that may be over.
    mutating func audit(
        _ reports: [JobReport], at broker: BrokerID, _ look: (JobKey) -> (state: JobReport.State, generation: UInt32)?
    ) {
        let records = records[broker] ?? [:]
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

    /// What the broker holds is within the limits, by what is found as well as by its own counts.
    mutating func audit(_ holdings: BrokerHoldings, limits: Limits) {
        func bound(_ held: Int, _ limit: Int, _ what: String) {
            require(held <= limit, "the broker holds \(held) \(what); \(limit) is the limit")
        }
        bound(holdings.jobs, limits.jobs, "jobs")
        bound(holdings.countedResults, limits.resultBytes, "bytes of results")
        bound(holdings.countedBytes - holdings.countedResults, limits.bytes, "bytes of jobs")
        bound(holdings.checkpoints, limits.checkpointBytes, "bytes of checkpoints")
        let weight = holdings.payloads + holdings.checkpoints + holdings.jobs * BrokerHoldings.jobOverhead
        bound(holdings.jobs + holdings.tombstones, limits.remembered, "jobs that it remembers")
        bound(weight + holdings.tombstones * BrokerHoldings.tombstoneWeight, limits.memory, "bytes in all")
    }

    /// What the broker holds, and what it counts, is what the stored entries add up to. Checkpoints alone are in no journal: how many bytes of
    /// them there are is found and not reckoned.
    mutating func audit(_ holdings: BrokerHoldings, at broker: BrokerID) {
        var expected = BrokerHoldings()
        var results = 0
        for record in (records[broker] ?? [:]).values {
            if case .over = record.place {
                expected.tombstones += 1
                continue
            }
            expected.jobs += 1
            expected.payloads += record.envelope + record.contents
            if record.place == .done {
                results += record.envelope + record.contents + BrokerHoldings.jobOverhead
            }
        }
        expected.checkpoints = holdings.checkpoints
        expected.countedJobs = expected.jobs
        expected.countedBytes =
            expected.payloads + expected.checkpoints + expected.jobs * BrokerHoldings.jobOverhead
        expected.countedResults = results
        expected.countedTombstones = expected.tombstones
        for (what, count) in Self.counts {
            let held = holdings[keyPath: count], due = expected[keyPath: count]
            require(held == due, "\(broker.short) has \(held) \(what); by what is stored it is \(due)")
        }
    }

    private static var counts: [(String, KeyPath<BrokerHoldings, Int>)] {
        [
            ("jobs", \.jobs), ("bytes of payloads", \.payloads), ("memories of jobs", \.tombstones),
            ("jobs by its count", \.countedJobs),
            ("bytes by its count", \.countedBytes), ("bytes of results by its count", \.countedResults),
            ("memories of jobs by its count", \.countedTombstones),
        ]
    }

    // MARK: the end

    /// Once nothing goes wrong any more: nothing is under way, and what was given up is what was planted.
    ///
    /// - Parameter isLeftOver: whether a job that lies at several brokers is over for its client, so that a copy harms nobody.
    mutating func settled(_ isLeftOver: (JobKey) -> Bool) {
        for (key, record) in records.values.flatMap({ $0 }) {
            switch record.place {
            case .live, .done: if !isLeftOver(key) { object("\(key): \(record.place) to the end") }
            case .dead: require(record.isPoison, "\(key): given up, and is no poison")
            case .over(.acknowledged): require(!record.isPoison, "\(key): poison, and has a result")
            case .over: break
            }
        }
    }

    func isSettled(_ isLeftOver: (JobKey) -> Bool) -> Bool {
        records.values.allSatisfy { records in
            records.allSatisfy { key, record in
                switch record.place {
                case .live, .done: isLeftOver(key)
                case .dead: record.isPoison
                case .over: true
                }
            }
        }
    }

    /// Each once, however many brokers gave it up.
    var deadLetters: Int { Set(records.values.flatMap { $0.filter { $0.value.place == .dead }.keys }).count }

    /// Given up at a broker though they are no poison.
    func innocent(at broker: BrokerID) -> [JobKey] {
        (records[broker] ?? [:]).filter { $0.value.place == .dead && !$0.value.isPoison }.keys
            .sorted { $0.description < $1.description }
    }
}
