package import Chain
internal import Dispatch
package import Exchange
internal import Sealing
internal import Wire

/// An engine that computes nothing: it opens and checks every job, lets it lie for the service time and answers what can be
/// told from the request alone. It loads the fabric without a model and without libtorch.
///
/// Jobs beyond its slots wait, as behind a full batch.
package struct StubEngine: Engine {
    package let orders = WorkQueue<EngineOrder>()
    private let desk: JobDesk
    private let run: RunDescriptor
    private let service: UInt64
    private let slots: Int

    /// - Parameters:
    ///   - service: nanoseconds that a job takes.
    ///   - slots: jobs that are served at a time.
    package init(desk: JobDesk, run: RunDescriptor, service: UInt64, slots: Int) {
        self.desk = desk
        self.run = run
        self.service = service
        self.slots = slots
    }

    private struct Job {
        let opened: OpenedJob
        let fence: Fence
        let came: UInt64
        var began: UInt64 = 0
    }

    package func run(send: @escaping @Sendable (WorkerCore.Command) -> Void) throws {
        /// In the order in which they came; the first `slots` are being served, and all take equally long.
        var jobs: [Job] = []
        var told: UInt64 = 0
        var isStopping = false
        while !isStopping {
            for order in orders.waitAndTakeAll(atMost: pause(jobs.first)) {
                switch order {
                case .job(let assignment):
                    if let job = open(assignment, send) { jobs.append(job) }
                case .cancel(let key, let fence):
                    jobs.removeAll { $0.opened.envelope.key == key && $0.fence == fence }
                case .keep: break
                case .stop: isStopping = true
                }
            }
            let now = Self.uptime
            for index in jobs.indices.prefix(slots) where jobs[index].began == 0 { jobs[index].began = now }
            while let job = jobs.first, job.began > 0, job.began + service <= now {
                jobs.removeFirst()
                send(answer(job, now))
            }
            // As often as a hung engine would be missed.
            if now >= told + 1_000_000_000 {
                told = now
                for job in jobs.prefix(slots) {
                    send(.progress(job.opened.envelope.key, job.fence, done: now / 1_000_000, total: 0))
                }
            }
        }
        for job in jobs {
            send(desk.handBack(job.opened.envelope.key, job.fence, .draining, "the worker is going down"))
        }
    }

    /// Seconds until the first of the jobs is done.
    private func pause(_ first: Job?) -> Double {
        guard let first else { return 0.5 }
        guard first.began > 0 else { return 0 }
        let due = first.began + service, now = Self.uptime
        return due <= now ? 0 : min(0.5, Double(due - now) / 1e9)
    }

    private func open(_ assignment: WorkerCore.Assignment, _ send: (WorkerCore.Command) -> Void) -> Job? {
        switch desk.open(assignment) {
        case .refused(let command):
            send(command)
            return nil
        case .opened(let opened):
            do throws(RequestError) {
                try StubAnswer.check(opened.payload, run: run)
                return Job(opened: opened, fence: assignment.fence, came: Self.uptime)
            } catch {
                send(desk.answer(error.payload, to: opened, fence: assignment.fence, cost: 0))
                return nil
            }
        }
    }

    private func answer(_ job: Job, _ now: UInt64) -> WorkerCore.Command {
        let times = StubAnswer.Times(waited: (job.began - job.came) / 1_000, served: (now - job.began) / 1_000)
        let ceiling = job.opened.envelope.costCeiling
        let cost = service / 1_000
        guard ceiling == 0 || cost <= ceiling else {
            let refusal = RequestError(
                .overCeiling, "the job costs \(cost) µs, and its envelope admits \(ceiling): raise the ceiling")
            return desk.answer(refusal.payload, to: job.opened, fence: job.fence, cost: cost)
        }
        let payload = StubAnswer.payload(to: job.opened.payload, run: run, times: times)
        return desk.answer(payload, to: job.opened, fence: job.fence, cost: cost)
    }

    /// Nanoseconds.
    private static var uptime: UInt64 { DispatchTime.now().uptimeNanoseconds }
}
