internal import Chain
internal import Diffusion
internal import Exchange
internal import Logging
internal import Safetensors
internal import Sealing
internal import Wire
internal import Workbench

extension RunningBatch {
    /// How a job that came in begins.
    enum Resumption {
        case beginsAnew
        /// With those of its samples that have begun, by their places.
        case goesOn([Int: SampleState], ModelShelf.Version, cost: Double)
        /// Its version finds no room in memory yet.
        case waits
        /// There is no memory for it: another worker may go on.
        case fails(any Error)
    }

    /// Sends the state of a job, sealed for the pool, to the broker, which hands it to the job's next worker. Samples that have not
    /// begun are left out, since all that is to know of them is in the job, and of a job that is too large those that have the least
    /// to lose. A job that has not made a pass yet begins anew.
    mutating func writeDown(_ ticket: StepScheduler.Ticket) {
        guard let job = jobs[ticket] else { return }
        let all = states(of: ticket), states = thoseThatFit(all, of: job),
            done = states.reduce(0) { $0 + $1.passesDone }
        var bytes = 0
        let began = Self.now
        defer {
            var mark = job.mark
            pace.wrote(bytes, &mark, took: Self.now - began, at: Self.now)
            jobs[ticket]?.mark = mark
        }
        if states.count < all.count, !job.hasSaidItsSize {
            jobs[ticket]?.hasSaidItsSize = true
            logger.notice(
                "a job is too large to be written down whole: another worker would begin the rest of its samples anew",
                metadata: ["job": "\(job.key)", "kept": "\(states.count)", "begun": "\(all.count)"])
        }
        guard done > 0 else { return }
        do {
            var payload = WirePayload()
            payload.denoiseCheckpoint.cost = job.charge
            payload.tensors = try attempt(.checkpoint) { try SampleState.archive(states).encoded() }
            bytes = payload.tensors.count
            send(
                try desk.checkpoint(
                    payload, of: job.opened, fence: job.fence, step: UInt32(clamping: done),
                    version: job.version.number))
        } catch {
            logger.notice(
                "a job cannot be written down",
                metadata: ["job": "\(job.key)", "reason": "\(error)"])
        }
    }

    /// As many as a checkpoint has room for, the most passes first; in their order.
    private func thoseThatFit(_ states: [SampleState], of job: Job) -> [SampleState] {
        // Padding adds an eighth at most.
        let room = pace.settings.bytes / 9 * 8 - Self.overhead - 8 * job.order.timesteps.timesteps.count
        let most = max(0, room / (states.map(\.archivedBytes).max() ?? 1))
        guard states.count > most else { return states }
        let kept = states.indices.sorted { (states[$1].passesDone, $0) < (states[$0].passesDone, $1) }.prefix(most)
        return kept.sorted().map { states[$0] }
    }

    /// Of a checkpoint with no samples and no timesteps.
    private static let overhead = 4 << 10

    /// A checkpoint that cannot be used costs its job the steps it holds and nothing else.
    mutating func resumption(
        of opened: OpenedJob, _ order: DenoiseOrder, _ assignment: WorkerCore.Assignment
    ) -> Resumption {
        guard let checkpoint = assignment.checkpoint else { return .beginsAnew }
        do {
            let payload = try desk.open(checkpoint, of: opened)
            guard case .denoiseCheckpoint(let head) = payload.head else {
                throw WorkerError(.refused, "it holds something else")
            }
            let version = checkpoint.header.modelVersion
            guard try shelf.hold(version, keeping: versions.keys), let record = shelf.version(version) else {
                return .waits
            }
            let states = try attempt(.resume) {
                try SampleState.restored(
                    from: SafetensorsArchive(decoding: payload.tensors), imageShape: shape, on: run.schedule
                ).map { $0.on(shelf.device) }
            }
            let plans = order.plans(lowestCut: record.lowestCut)
            var begun: [Int: SampleState] = [:]
            for state in states {
                let place = Int(state.plan.number) - Int(order.firstSample)
                guard plans.indices.contains(place), plans[place] == state.plan, state.model == version,
                    begun.updateValue(state, forKey: place) == nil
                else { throw WorkerError(.refused, "it is of another request") }
            }
            guard begun.count < plans.count || !states.allSatisfy(\.isFinished) else {
                throw WorkerError(.refused, "nothing is left to do")
            }
            return .goesOn(begun, record, cost: Double(head.cost))
        } catch  where error.isForMemory {
            return .fails(error)
        } catch {
            logger.notice(
                "a checkpoint cannot be used; its job begins anew",
                metadata: ["job": "\(assignment.key)", "reason": "\(error)"])
            return .beginsAnew
        }
    }
}
