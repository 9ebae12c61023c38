package import Chain
internal import Foundation
package import Safetensors
internal import Torch

// Samples under way, as a file or a message:
//
//     metadata    "samples": JSON, the plans that occur, and for each sample which it follows, its number, label, model and passes done
//     x           [N, C, H, W], in the type they were computed in
//     memory      [N, C, H, W], zeros for samples that remember nothing; missing where none does
//     estimate    [N, C, H, W], of self-conditioned networks, in the same way

extension SampleState {
    private struct Sheet: Codable {
        /// Without numbers and labels: the samples of a job have all else in common, their timesteps above all.
        var plans: [SamplePlan] = []
        var samples: [Record] = []
    }

    private struct Record: Codable {
        /// Place in the list of plans.
        let plan: Int
        let number: UInt32
        let label: Int
        let model: UInt64
        let passesDone: Int
        let remembers: Bool
        let hasEstimate: Bool
    }

    private static let key = "samples"

    /// What the sample adds to an archive at most, if no other one remembers more.
    package var archivedBytes: Int {
        let tensors = 1 + (memory == nil ? 0 : 1) + (estimate == nil ? 0 : 1)
        return tensors * x.count * x.dtype.size + Self.recordBytes
    }

    /// Of a sample's line in the sheet.
    private static let recordBytes = 192

    /// - Precondition: one sample or more, all of the same shape and type.
    package static func archive(_ samples: [SampleState]) throws(SafetensorsError) -> SafetensorsArchive {
        precondition(!samples.isEmpty, "an archive of no samples")
        var sheet = Sheet()
        for sample in samples {
            var plan = sample.plan
            plan.number = 0
            plan.label = 0
            let place = sheet.plans.lastIndex(of: plan) ?? sheet.plans.count
            if place == sheet.plans.count { sheet.plans.append(plan) }
            sheet.samples.append(
                Record(
                    plan: place, number: sample.plan.number, label: sample.plan.label, model: sample.model,
                    passesDone: sample.passesDone, remembers: sample.memory != nil,
                    hasEstimate: sample.estimate != nil))
        }
        // Finite numbers and words only: this cannot fail.
        let json = (try? JSONEncoder().encode(sheet)) ?? Data()
        var archive = SafetensorsArchive(metadata: [key: String(decoding: json, as: UTF8.self)])
        try archive.append(Tensor.concatenated(samples.map(\.x), 0).entry(named: "x"))
        func append(_ name: String, _ part: KeyPath<SampleState, Tensor?>) throws(SafetensorsError) {
            guard samples.contains(where: { $0[keyPath: part] != nil }) else { return }
            let joined = Tensor.concatenated(samples.map { $0[keyPath: part] ?? $0.x.zerosLike() }, 0)
            try archive.append(joined.entry(named: name))
        }
        try append("memory", \.memory)
        try append("estimate", \.estimate)
        return archive
    }

    /// - Parameters:
    ///   - imageShape: [C, H, W]
    ///   - schedule: of the run, which says what timesteps there are.
    /// - Throws: `badState` for anything that no sampler can have left behind: it comes from elsewhere.
    package static func restored(
        from archive: SafetensorsArchive, imageShape: [Int], on schedule: Schedule
    ) throws(DiffusionError) -> [SampleState] {
        guard let json = archive.metadata[key],
            let sheet = try? JSONDecoder().decode(Sheet.self, from: Data(json.utf8)), !sheet.samples.isEmpty,
            sheet.samples.allSatisfy({ sheet.plans.indices.contains($0.plan) })
        else {
            throw DiffusionError(.badState, "the state of running samples cannot be read: begin them anew")
        }
        for plan in sheet.plans {
            do {
                _ = try TimestepList(plan.timesteps.timesteps, on: schedule)
                try plan.sampler.check(on: schedule)
                try plan.threshold.check()
            } catch { throw DiffusionError(.badState, "a running sample's plan cannot be: \(error.message)") }
        }
        let records = sheet.samples
        let x = try tensor("x", of: archive, [records.count] + imageShape)
        let remember = records.contains(where: \.remembers)
        let memory = remember ? try tensor("memory", of: archive, [records.count] + imageShape) : nil
        let estimates = records.contains(where: \.hasEstimate)
        let estimate = estimates ? try tensor("estimate", of: archive, [records.count] + imageShape) : nil
        guard [memory, estimate].allSatisfy({ $0 == nil || $0?.dtype == x.dtype }) else {
            throw DiffusionError(.badState, "a running sample and what its sampler remembers differ in type")
        }
        var samples: [SampleState] = []
        for (row, record) in records.enumerated() {
            var plan = sheet.plans[record.plan]
            plan.number = record.number
            plan.label = record.label
            let state = SampleState(
                plan, model: record.model, passesDone: record.passesDone, x: x[row..<row + 1],
                memory: record.remembers ? memory?[row..<row + 1] : nil,
                estimate: record.hasEstimate ? estimate?[row..<row + 1] : nil)
            guard (0...plan.passes).contains(record.passesDone),
                record.remembers == state.mustRemember, record.passesDone > 0 || !record.hasEstimate,
                plan.guidance.isFinite
            else {
                throw DiffusionError(.badState, "a running sample's plan and position do not fit together")
            }
            samples.append(state)
        }
        return samples
    }

    /// Whether the pass that was done last left something to remember.
    private var mustRemember: Bool { passesDone > 0 && plan.pass(passesDone - 1).keeps }

    private static func tensor(
        _ name: String, of archive: SafetensorsArchive, _ shape: [Int]
    ) throws(DiffusionError) -> Tensor {
        let tensor: Tensor
        do {
            let entry = try archive.entry(name)
            try entry.requireShape(shape)
            tensor = try Tensor(entry)
        } catch let error as TorchError {
            throw DiffusionError(.badState, "a running sample's \(name) cannot be read", because: error)
        } catch { throw DiffusionError(.badState, "a running sample's \(name) cannot be read: \(error)") }
        guard tensor.dtype.isFloatingPoint, tensor.isFinite else {
            throw DiffusionError(.badState, "a running sample's \(name) holds what are no numbers: begin it anew")
        }
        return tensor
    }
}
