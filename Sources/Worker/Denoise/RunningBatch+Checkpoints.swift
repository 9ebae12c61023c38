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

    /// Whatever a broker takes as a checkpoint.
    private static let largest = 32 << 20

    /// Sends the whole state of a job, sealed for the pool, to the broker, which hands it to the job's next worker. Samples that have not
    /// begun are left out, since all that is to know of them is in the job; a job that has not made a pass yet, or is too large, begins anew.
    mutating func writeDown(_ ticket: StepScheduler.Ticket) {
        guard let job = jobs[ticket] else { return }
        let states = states(of: ticket), done = states.reduce(0) { $0 + $1.passesDone }
        var bytes = 0
        let began = Self.now
        defer {
            var mark = job.mark
            pace.wrote(bytes, &mark, took: Self.now - began, at: Self.now)
            jobs[ticket]?.mark = mark
        }
        guard done > 0, states.count * shape.reduce(4, *) < Self.largest else { return }
        do {
            var payload = WirePayload()
            payload.denoiseCheckpoint.cost = job.charge
            payload.tensors = try attempt(.checkpoint) { try SampleState.archive(states).encoded() }
            // Padding adds an eighth at most.
            guard payload.tensors.count < Self.largest / 9 * 8 else { return }
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
