internal import Diffusion
internal import Exchange
internal import Foundation
internal import Safetensors
internal import Sealing
internal import Torch
internal import Wire
internal import Workbench

extension RunningBatch {
    mutating func finish(_ ticket: StepScheduler.Ticket) {
        guard let job = jobs[ticket] else { return }
        let x = Tensor.concatenated(states(of: ticket).map(\.x), 0)
        send(desk.answer(result(job, x), to: job.opened, fence: job.fence, cost: job.charge))
        forget(ticket)
    }

    private func result(_ job: Job, _ x: Tensor) -> WirePayload {
        guard x.isFinite else {
            return RequestError(
                .badRequest, "the samples are no numbers: use more steps, less guidance, or clip x̂_0"
            ).payload
        }
        var payload = WirePayload()
        payload.denoiseResult.modelVersion = job.version.number
        payload.denoiseResult.imagesSeen = job.version.imagesSeen
        payload.tensors = Self.blob("x", x)
        return payload
    }

    /// Of one job's previews; the broker passes on no more of a client's.
    private static let previewBytesPerSecond = 4_194_304.0
    /// Seconds by which previews may be ahead of what they have paid for.
    private static let previewCredit = 0.25

    /// Sends x̂_0 of the samples of this pass whose clients wish to see it now. Those at their cut are seen in the result.
    ///
    /// - Parameter images: x̂_0 [N, C, H, W], a row for each slot.
    mutating func showPreviews(_ slots: [StepScheduler.Slot], _ images: Tensor) {
        let now = Self.now
        var wanted: [StepScheduler.Ticket: [Int]] = [:]
        for (row, slot) in slots.enumerated() where !slot.isLast {
            guard let job = jobs[slot.sample.ticket], job.order.previewEvery > 0,
                (slot.pass + 1).isMultiple(of: job.order.previewEvery), job.previewsPaid <= now + Self.previewCredit
            else { continue }
            wanted[slot.sample.ticket, default: []].append(row)
        }
        for (ticket, rows) in wanted {
            guard let job = jobs[ticket] else { continue }
            let shown = rows.map { images[$0..<$0 + 1] }
            var payload = WirePayload()
            payload.denoisePreview.sample = rows.map { UInt32(slots[$0].sample.index) }
            payload.denoisePreview.timestep = rows.map { UInt32(samples[slots[$0].sample]?.timestep ?? 0) }
            payload.denoisePreview.step = UInt32(slots[rows[0]].pass + 1)
            payload.tensors = Self.blob("x0", Tensor.concatenated(shown, 0))
            jobs[ticket]?.previewsPaid =
                max(job.previewsPaid, now) + Double(payload.tensors.count) / Self.previewBytesPerSecond
            let step = payload.denoisePreview.step
            if let preview = desk.preview(payload, of: job.opened, fence: job.fence, step: step) { send(preview) }
        }
    }

    func states(of ticket: StepScheduler.Ticket) -> [SampleState] {
        (0..<(jobs[ticket]?.samples ?? 0)).compactMap { samples[.init(ticket: ticket, index: $0)] }
    }

    /// - Parameter tensor: of floats, which any archive takes.
    private static func blob(_ name: String, _ tensor: Tensor) -> Data {
        do {
            var archive = SafetensorsArchive()
            try archive.append(tensor.to(.float32).entry(named: name))
            return archive.encoded()
        } catch {
            preconditionFailure("a sample is a float tensor: \(error)")
        }
    }
}
