internal import Diffusion
internal import Exchange
internal import Foundation
internal import Logging
internal import Safetensors
internal import Sealing
internal import Torch
internal import Wire
internal import Workbench

extension RunningBatch {
    mutating func finish(_ ticket: StepScheduler.Ticket) {
        guard let job = jobs[ticket] else { return }
        do {
            let payload = try attempt(.result) {
                try result(job, Tensor.concatenated(states(of: ticket).map(\.x), 0))
            }
            send(desk.answer(payload, to: job.opened, fence: job.fence, cost: job.charge))
        } catch {
            giveUp(job.opened, job.assignment, cost: job.charge, error)
        }
        forget(ticket)
    }

    private func result(_ job: Job, _ x: Tensor) throws -> WirePayload {
        guard x.isFinite else {
            return RequestError(
                .badRequest, "the samples are no numbers: use more steps, less guidance, or clip x̂_0"
            ).payload
        }
        var payload = WirePayload()
        payload.denoiseResult.modelVersion = job.version.number
        payload.denoiseResult.imagesSeen = job.version.imagesSeen
        payload.tensors = try Self.blob("x", x)
        return payload
    }

    /// Sends x̂_0 of the samples of this pass whose clients wish to see it now. Those at their cut are seen in the result. A preview that
    /// cannot be made is left out.
    ///
    /// - Parameter images: x̂_0 [N, C, H, W], a row for each slot.
    mutating func showPreviews(_ slots: [StepScheduler.Slot], _ images: Tensor) {
        var wanted: [StepScheduler.Ticket: [Int]] = [:]
        for (row, slot) in slots.enumerated() where !slot.isLast {
            guard let every = jobs[slot.sample.ticket]?.order.previewEvery, every > 0,
                (slot.pass + 1).isMultiple(of: every)
            else { continue }
            wanted[slot.sample.ticket, default: []].append(row)
        }
        guard !wanted.isEmpty else { return }
        let now = Self.now
        /// Of a client's jobs first the one that was shown longest ago.
        func turn(_ ticket: StepScheduler.Ticket) -> (Double, Int) { (jobs[ticket]?.shown ?? 0, ticket.number) }
        for (ticket, rows) in wanted.sorted(by: { turn($0.key) < turn($1.key) }) {
            guard let job = jobs[ticket], previews.maySend(to: job.key.client, at: now) else { continue }
            var payload = WirePayload()
            payload.denoisePreview.sample = rows.map { UInt32(slots[$0].sample.index) }
            payload.denoisePreview.timestep = rows.map { UInt32(samples[slots[$0].sample]?.timestep ?? 0) }
            let step = UInt32(slots[rows[0]].pass + 1)
            payload.denoisePreview.step = step
            do {
                payload.tensors = try attempt(.preview) {
                    try Self.blob("x0", Tensor.concatenated(rows.map { images[$0..<$0 + 1] }, 0))
                }
            } catch {
                logger.notice("a preview cannot be made", metadata: ["job": "\(job.key)", "reason": "\(error)"])
                continue
            }
            previews.sent(payload.tensors.count, to: job.key.client, at: now)
            jobs[ticket]?.shown = now
            if let preview = desk.preview(payload, of: job.opened, fence: job.fence, step: step) { send(preview) }
        }
    }

    /// Those that have begun, in their order.
    func states(of ticket: StepScheduler.Ticket) -> [SampleState] {
        (0..<(jobs[ticket]?.plans.count ?? 0)).compactMap { samples[.init(ticket: ticket, index: $0)] }
    }

    private static func blob(_ name: String, _ tensor: Tensor) throws -> Data {
        var archive = SafetensorsArchive()
        try archive.append(tensor.to(.float32).entry(named: name))
        return archive.encoded()
    }
}
