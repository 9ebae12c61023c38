internal import Exchange
internal import Wire

/// A client: the real `ClientCore`, and a home on disk in which each step is stored before the next is taken.
final class ClientNode: Node {
    struct Spooled {
        /// In which it was put there.
        let number: Int
        var envelope: Envelope
        let sealed: [UInt8]
        let order: Order
        var isCancelled = false
        /// Given up by the broker: it is the operator's now.
        var isDead = false
        /// It is about to be sealed again: to be told twice that it expired changes nothing.
        var isExpired = false
    }

    let id: ClientID
    private var configuration = LinkConfiguration()
    private var core: ClientCore

    // The home: it outlives the process.
    private(set) var spool: [JobID: Spooled] = [:]
    private var surfaced: Set<JobID> = []
    /// Which x_ζ was drawn for an image; stored before anything leaves.
    private var ledger: [UInt32: UInt64] = [:]
    /// Images that are published, or whose publication was called off.
    private var settledImages: Set<UInt32> = []
    private var jobs = 0

    init(index: Int, world: Simulation, random: SplitMix64) {
        var random = random
        id = Deployment.client(index)
        configuration.alternatives = world.settings.brokers - 1
        core = ClientCore(client: id, configuration: configuration, random: SplitMix64(seed: random.next()))
        super.init(
            index: index, principal: .client(id, Deployment.rights(ofClient: index)),
            brokers: [index % world.settings.brokers], world: world, random: random)
    }

    /// All that it began is over.
    var isSettled: Bool { spool.values.allSatisfy(\.isDead) && ledger.count == settledImages.count }

    /// Nothing is waited for any more: what copies there are of it are nobody's.
    func isOver(_ job: JobID) -> Bool { spool[job]?.isDead ?? true }

    override func nextDeadline(_ port: Int) -> Int64? { core.nextDeadline }
    override func opened(_ port: Int) { carryOut(core.opened(at: world.moment), port) { note($0) } }
    override func receive(_ frames: Frames, _ port: Int) {
        carryOut(core.receive(frames, at: world.moment), port) { note($0) }
    }
    override func tick(_ port: Int) { carryOut(core.tick(at: world.moment), port) { note($0) } }
    override func leave() { give(.close) }

    private func give(_ command: ClientCore.Command) {
        carryOut(core.handle(command, at: world.moment), 0) { note($0) }
    }

    /// The operator says that a job which was given up is tried again.
    func takeUp(_ job: JobID) {
        guard let spooled = spool[job], spooled.isDead else { return }
        spool[job]?.isDead = false
        if isUp { give(.submit(spooled.envelope, sealed: spooled.sealed)) }
    }

    /// What was begun is taken up where the home says it stands.
    override func start() {
        core = ClientCore(client: id, configuration: configuration, random: SplitMix64(seed: random.next()))
        opened(0)
        for job in spool.keys { spool[job]?.isExpired = false }
        for (job, spooled) in spool.sorted(by: { $0.value.number < $1.value.number }) where !spooled.isDead {
            if surfaced.contains(job), world.bug != .duplicatesSurfaced {
                give(.acknowledge(job))
            } else if spooled.isCancelled {
                give(.cancel(job))
            } else if world.bug == .maskedAnew, let image = spooled.order.image {
                spool[job] = nil
                ledger[image] = random.next()
            } else {
                give(.submit(spooled.envelope, sealed: spooled.sealed))
            }
        }
        let published = Set(spool.values.compactMap(\.order.image))
        for image in ledger.keys.sorted() where !published.contains(image) && !settledImages.contains(image) {
            publish(image)
        }
    }

    // MARK: what its user wants

    /// A publication begins with the draw; the job follows when that is stored.
    func begin() {
        if random.chance(0.3) {
            let image = UInt32(ledger.count)
            ledger[image] = random.next()
            world.schedule(.publish(node: index, life: life, image: image), in: random.milliseconds(1...60))
        } else {
            let isPoison = world.settings.faults.contains(.poison) && random.chance(0.03)
            submit(Order(image: nil, noise: 0, steps: UInt8(2 + random.below(20)), isPoison: isPoison))
        }
    }

    func flood(_ jobs: Int) {
        for _ in 0..<jobs where isUp {
            submit(Order(image: nil, noise: 0, steps: UInt8(2 + random.below(20)), isPoison: false))
        }
    }

    func publish(_ image: UInt32) {
        guard let noise = ledger[image], !spool.values.contains(where: { $0.order.image == image }) else { return }
        submit(Order(image: image, noise: noise, steps: 1, isPoison: false))
    }

    private func submit(_ order: Order) {
        jobs += 1
        let job = JobID.random(using: &random)
        // Most live long enough for the quiet time to finish them.
        let life: Int64 = random.chance(0.2) && !order.isPoison ? 2_000 + Int64(random.below(60_000)) : 3_600_000
        let spooled = Spooled(
            number: jobs, envelope: envelope(job, of: order, generation: 0, life: life),
            sealed: order.bytes(padding: random.below(400)), order: order)
        spool[job] = spooled
        give(.submit(spooled.envelope, sealed: spooled.sealed))
        if random.chance(0.05) {
            world.schedule(.cancel(node: index, life: self.life, job), in: random.milliseconds(0...4_000))
        }
    }

    private func envelope(_ job: JobID, of order: Order, generation: UInt32, life: Int64) -> Envelope {
        let wall = world.moment.wall
        return Envelope(
            client: id, job: job, generation: generation, kind: order.image == nil ? .denoise : .publish,
            run: Deployment.run, costCeiling: UInt64(order.steps) * 300_000, created: wall, expires: wall + life,
            poolKey: order.image == nil ? Deployment.denoiseKey : Deployment.trainKey,
            clientEphemeralKey: job.bytes + generationKey(generation))
    }

    private func generationKey(_ generation: UInt32) -> [UInt8] { UInt64(generation).bytes(16) }

    func cancel(_ job: JobID) {
        guard spool[job] != nil, !surfaced.contains(job) else { return }
        spool[job]?.isCancelled = true
        world.checker.cancelIsAsked(JobKey(client: id, job: job))
        give(.cancel(job))
    }

    func acknowledge(_ job: JobID) { give(.acknowledge(job)) }

    /// The same bytes as the next generation, under a lifetime that is valid now.
    func reseal(_ job: JobID) {
        spool[job]?.isExpired = false
        guard let spooled = spool[job], !spooled.isCancelled, !surfaced.contains(job) else { return }
        let envelope = envelope(
            job, of: spooled.order, generation: spooled.envelope.generation + 1, life: 3_600_000)
        spool[job]?.envelope = envelope
        give(.submit(envelope, sealed: spooled.sealed))
    }

    // MARK: what it is told

    private func note(_ event: ClientCore.Event) {
        switch event {
        case .result(let job, let header, let sealed): surface(job, header: header, sealed: sealed)
        case .ackStored(let job):
            if spool[job] != nil, !surfaced.contains(job) {
                world.checker.object("\(id.short)/\(job.short): settled without a result")
            }
            settle(job)
        case .ended(let job, let code, _): end(job, code)
        case .rejected(let job, let code, let message, retryAfter: nil):
            if code == .expired { return end(job, code) }
            world.checker.object("\(id.short)/\(job.short): refused for good: \(code) \(message)")
        case .conflict(let job, let message): world.checker.object("\(id.short)/\(job.short): conflict: \(message)")
        case .welcomed, .lost, .accepted, .rejected, .preview, .status, .keys: break
        }
    }

    private func surface(_ job: JobID, header: [UInt8], sealed: [UInt8]) {
        guard let spooled = spool[job] else {
            // It was settled before, in a process that ended before it could say so.
            if world.bug == .duplicatesSurfaced { world.checker.surfaced(JobKey(client: id, job: job)) }
            return world.schedule(.acknowledge(node: index, life: life, job), in: random.milliseconds(0...200))
        }
        if let answer = Answer(sealed), answer.generation < spooled.envelope.generation, world.settings.brokers > 1 {
            // Sealed anew at another broker: the result of the earlier generation cannot be opened any more.
            give(.refuse(job))
            return give(spooled.isCancelled ? .cancel(job) : .submit(spooled.envelope, sealed: spooled.sealed))
        }
        guard Answer(sealed)?.key == JobKey(client: id, job: job),
            Answer(sealed)?.generation == spooled.envelope.generation,
            (try? ResultHeader(bytes: header))?.job == job
        else {
            return world.checker.object("\(id.short)/\(job.short): the client got what is no result of its job")
        }
        if surfaced.insert(job).inserted || world.bug == .duplicatesSurfaced {
            world.checker.surfaced(JobKey(client: id, job: job))
            world.surfaced += 1
        }
        world.schedule(.acknowledge(node: index, life: life, job), in: random.milliseconds(0...800))
    }

    private func end(_ job: JobID, _ code: WireCode) {
        guard let spooled = spool[job] else { return }
        // It has the result, and the broker did not hear so in time.
        if surfaced.contains(job) { return settle(job) }
        switch code {
        case .cancelled, .unknownJob:
            if !spooled.isCancelled { world.checker.object("\(id.short)/\(job.short): ended by itself: \(code)") }
            settle(job)
        case .expired:
            if spooled.isExpired, !spooled.isCancelled { return }
            if spooled.isCancelled || (spooled.order.image == nil && random.chance(0.5)) { return settle(job) }
            spool[job]?.isExpired = true
            world.schedule(.reseal(node: index, life: life, job), in: random.milliseconds(100...1_000))
        case .deadLetter: spool[job]?.isDead = true
        default: world.checker.object("\(id.short)/\(job.short): ended by itself: \(code)")
        }
    }

    private func settle(_ job: JobID) {
        if let image = spool.removeValue(forKey: job)?.order.image { settledImages.insert(image) }
        surfaced.remove(job)
    }
}
