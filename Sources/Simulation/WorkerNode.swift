internal import Exchange
internal import Wire

/// A worker: the real `WorkerCore`, and an engine that counts steps. One that trains has the run's store of publications, and the
/// real `IngestCore` as its index.
final class WorkerNode: Node {
    private struct Run {
        let order: Order
        let fence: Fence
        let generation: UInt32
        let arrival: Int
        let isAlone: Bool
        var done: Int
        /// Handed to the store; the receipt follows.
        var isStoring = false
    }

    let id: WorkerID
    private let roles: Set<WorkerRole>
    /// Jobs at a time: three, and more where there are thousands of clients; many for the one that trains. Few share a worker that poison
    /// brings down, or all of them would come under suspicion.
    let slots: UInt32
    /// One for each broker.
    private var cores: [WorkerCore]
    private var running: [JobKey: Run] = [:]
    private var arrivals = 0
    private var iterations: UInt64 = 0
    private var ingest = IngestCore(timesteps: 1_000)
    private var isEngineScheduled = false
    var hangsUntil: Int64 = 0

    /// The run's store: it outlives the process.
    private var store: [(key: IngestCore.Key, noise: UInt64)] = []

    init(index: Int, roles: Set<WorkerRole>, world: Simulation, random: SplitMix64) {
        var random = random
        id = identifier(1_000 + index)
        self.roles = roles
        let brokers = Array(0..<world.settings.brokers)
        slots = UInt32(max(3, min(world.settings.clients / 1_000, roles.contains(.denoise) ? 16 : 250)))
        let slots = slots
        cores = brokers.map { _ in Self.core(roles, slots, &random) }
        super.init(
            index: index, principal: .worker(id, roles: roles), brokers: brokers, world: world, random: random)
    }

    private static func core(_ roles: Set<WorkerRole>, _ slots: UInt32, _ random: inout SplitMix64) -> WorkerCore {
        let keys = [Deployment.denoiseKey, Deployment.trainKey]
        return WorkerCore(
            offer: .init(roles: roles, slots: slots, run: Deployment.run, poolKeys: keys),
            random: SplitMix64(seed: random.next()))
    }

    override func nextDeadline(_ port: Int) -> Int64? { cores[port].nextDeadline }
    override func opened(_ port: Int) { carryOut(cores[port].opened(at: world.moment), port) { note($0, port) } }
    override func receive(_ frames: Frames, _ port: Int) {
        carryOut(cores[port].receive(frames, at: world.moment), port) { note($0, port) }
    }
    override func tick(_ port: Int) { carryOut(cores[port].tick(at: world.moment), port) { note($0, port) } }

    /// To the broker whose lease it is about, or to all.
    private func give(_ command: WorkerCore.Command) {
        let place = command.lease.flatMap { Deployment.place(of: $0.fence.broker) }
        let life = life
        for port in ports.indices where (place ?? port) == port && isUp && self.life == life {
            carryOut(cores[port].handle(command, at: world.moment), port) { note($0, port) }
        }
    }

    override func start() {
        for port in cores.indices { cores[port] = Self.core(roles, slots, &random) }
        running = [:]
        iterations = 0
        isEngineScheduled = false
        ingest = IngestCore(timesteps: 1_000)
        for publication in store { insert(publication.key, publication.noise) }
        let life = life
        for port in ports.indices where isUp && self.life == life { opened(port) }
    }

    override func leave() {
        handBack(.draining)
        if isUp { give(.close) }
    }

    func handBack(_ code: WireCode) {
        for (key, run) in inOrder where !run.isStoring {
            running[key] = nil
            give(.nack(key, run.fence, code, "handed back", retryAfter: 100 * .millisecond))
        }
    }

    private var inOrder: [(key: JobKey, value: Run)] { running.sorted { $0.value.arrival < $1.value.arrival } }

    // MARK: the engine

    /// One pass.
    func step() {
        isEngineScheduled = false
        guard !running.isEmpty else { return }
        if hangsUntil > world.now { return scheduleEngine(at: hangsUntil) }
        scheduleEngine(at: world.now + random.milliseconds(100...400))
        iterations += 1
        give(.iterations(iterations))
        let life = life
        for (key, run) in inOrder where isUp && self.life == life && !run.isStoring {
            let done = run.done + 1
            running[key]?.done = done
            if run.order.isPoison, done * 2 >= Int(run.order.steps) {
                return world.crash(self)
            }
            if done >= Int(run.order.steps) {
                finish(key, run)
            } else {
                give(.progress(key, run.fence, done: UInt64(done), total: UInt64(run.order.steps)))
                if random.chance(0.1) {
                    give(
                        .checkpoint(
                            key, run.fence, step: UInt32(done), version: 1,
                            sealed: Self.state(key, run.generation, done)))
                }
            }
        }
    }

    private func scheduleEngine(at time: Int64) {
        guard !isEngineScheduled else { return }
        isEngineScheduled = true
        world.schedule(.engine(node: index, life: life), at: time)
    }

    private func finish(_ key: JobKey, _ run: Run) {
        guard run.order.image != nil else { return answer(key, run) }
        running[key]?.isStoring = true
        world.schedule(.storePublication(node: index, life: life, key, run.fence), in: random.milliseconds(2...60))
    }

    /// The publication goes into the store, and the index, at once; then the receipt is given.
    func storePublication(_ key: JobKey, _ fence: Fence) {
        guard let run = running[key], run.fence == fence, let image = run.order.image else { return }
        let name = IngestCore.Key(client: key.client, publication: identifier(Int(image)))
        switch ingest.judge(name, hash: Self.hash(run.order.noise)) {
        case .new:
            store.append((name, run.order.noise))
            world.checker.ingested(name, noise: run.order.noise)
            insert(name, run.order.noise)
            // The process may end between the two.
            if world.takesCrash(self) { return world.crash(self) }
        case .duplicate: break
        case .replaced: world.checker.object("\(key): other values under an image's name reached the trainer")
        }
        answer(key, run)
    }

    private func insert(_ key: IngestCore.Key, _ noise: UInt64) {
        let publication = IngestCore.Publication(
            key: key, hash: Self.hash(noise), cut: 1 + Int(noise % 998), label: 0, isFresh: false, slot: 0)
        do { try ingest.insert(publication) } catch {
            world.checker.object("the index refused a publication: \(error)")
        }
        if ingest.coverage.publications > store.count { world.checker.object("the index counts a publication twice") }
    }

    private static func hash(_ noise: UInt64) -> Digest { identifier(Int(noise >> 1)) }

    private func answer(_ key: JobKey, _ run: Run) {
        running[key] = nil
        let answer = Answer(key: key, generation: run.generation, fence: run.fence)
        let header = ResultHeader(
            client: key.client, job: key.job, envelopeHash: identifier(0), fence: run.fence, status: .done, worker: id)
        give(
            .result(key, run.fence, cost: UInt64(run.order.steps) * 250_000, header: header.bytes, sealed: answer.bytes)
        )
    }

    /// Stands for the sealed state.
    private static func state(_ key: JobKey, _ generation: UInt32, _ step: Int) -> [UInt8] {
        key.client.bytes + key.job.bytes + UInt64(generation).bytes(4) + UInt64(step).bytes(4)
    }

    // MARK: what it is told

    private func note(_ event: WorkerCore.Event, _ port: Int) {
        switch event {
        case .job(let job):
            // As the worker's switchboard does it.
            if let other = running[job.key], other.fence.broker != job.fence.broker {
                let command = WorkerCore.Command.nack(
                    job.key, job.fence, .busy, "it is done for another broker", retryAfter: 0)
                return carryOut(cores[port].handle(command, at: world.moment), port) { note($0, port) }
            }
            take(job)
        case .cancel(let key, let fence, _):
            if running[key]?.fence == fence { running[key] = nil }
        case .welcomed, .lost, .resultStored, .versionsNeeded, .brokerDraining: break
        }
    }

    private func take(_ job: WorkerCore.Assignment) {
        guard let order = Order(job.sealed), (order.image != nil) == (job.envelope.kind == .publish) else {
            return world.checker.object("\(job.key): a worker got a payload that nobody sent")
        }
        if running[job.key] != nil { world.checker.object("\(job.key): a worker got a job that it runs") }
        if job.alone, running.values.contains(where: { $0.isAlone && $0.fence.broker == job.fence.broker }) {
            world.checker.object("\(job.key): two suspects share a worker")
        }
        var done = 0
        if let checkpoint = job.checkpoint {
            done = Int(checkpoint.header.step)
            if checkpoint.header.fence.attempt >= job.fence.attempt || done >= Int(order.steps)
                || checkpoint.sealed != Self.state(job.key, job.envelope.generation, done)
            {
                world.checker.object("\(job.key): a worker got a checkpoint that is not its job's")
            }
        }
        arrivals += 1
        running[job.key] = Run(
            order: order, fence: job.fence, generation: job.envelope.generation, arrival: arrivals, isAlone: job.alone,
            done: done)
        scheduleEngine(at: world.now + random.milliseconds(50...400))
    }
}
