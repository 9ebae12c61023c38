package import Chain
internal import Foundation
package import Safetensors
internal import Torch

// Samples under way, as a file or a message:
//
//     metadata    "samples": JSON, for each sample its plan, model and passes done
//     x           [N, C, H, W], in the type they were computed in
//     memory      [N, C, H, W], zeros for samples that remember nothing; missing where none does
//     estimate    [N, C, H, W], of self-conditioned networks, in the same way

extension SampleState {
    private struct Record: Codable {
        let plan: SamplePlan
        let model: UInt64
        let passesDone: Int
        let remembers: Bool
        let hasEstimate: Bool
    }

    private static let key = "samples"

    /// - Precondition: one sample or more, all of the same shape and type.
    package static func archive(_ samples: [SampleState]) throws(SafetensorsError) -> SafetensorsArchive {
        precondition(!samples.isEmpty, "an archive of no samples")
        let records = samples.map {
            Record(
                plan: $0.plan, model: $0.model, passesDone: $0.passesDone, remembers: $0.memory != nil,
                hasEstimate: $0.estimate != nil)
        }
        // Finite numbers and words only: this cannot fail.
        let json = (try? JSONEncoder().encode(records)) ?? Data()
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
            let records = try? JSONDecoder().decode([Record].self, from: Data(json.utf8)), !records.isEmpty
        else {
            throw DiffusionError(.badState, "the state of running samples cannot be read: begin them anew")
        }
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
            do {
                _ = try TimestepList(record.plan.timesteps.timesteps, on: schedule)
                try record.plan.sampler.check(on: schedule)
                try record.plan.threshold.check()
            } catch { throw DiffusionError(.badState, "a running sample's plan cannot be: \(error.message)") }
            let state = SampleState(
                record.plan, model: record.model, passesDone: record.passesDone, x: x[row..<row + 1],
                memory: record.remembers ? memory?[row..<row + 1] : nil,
                estimate: record.hasEstimate ? estimate?[row..<row + 1] : nil)
            guard (0...record.plan.passes).contains(record.passesDone),
                record.remembers == state.mustRemember, record.passesDone > 0 || !record.hasEstimate,
                record.plan.guidance.isFinite
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
        } catch { throw DiffusionError(.badState, "a running sample's \(name) cannot be read: \(error)") }
        guard tensor.dtype.isFloatingPoint, tensor.isFinite else {
            throw DiffusionError(.badState, "a running sample's \(name) holds what are no numbers: begin it anew")
        }
        return tensor
    }
}
