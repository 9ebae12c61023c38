internal import Chain
internal import Diffusion
package import Foundation
internal import Launch
package import Torch

/// `collafuse bench denoise`: this project against PyTorch and diffusers, turn by turn, so that a machine that slows down slows both.
///
///     let report = try await DenoiseBench(settings).run { print($0) }
package struct DenoiseBench {
    package struct Settings: Sendable {
        package var models = [BenchModel.small, .cifar]
        /// Parts of figures' names; empty: all.
        package var only: [String] = []
        /// Of each measurement.
        package var seconds = 5.0
        /// A figure's ratio is the median over so many turns.
        package var rounds = 3
        package var threads = 2
        package var workers = 1
        package var dtype = Device.cpu.fastest
        package var python = "python3"
        package var script = URL(filePath: "ops/bench/denoise.py")
        /// The two commands, which lie beside each other.
        package var binaries: URL

        package init(binaries: URL) { self.binaries = binaries }
    }

    private enum Side: Hashable {
        case eager, batched, pool, engine, forward, compiled, training, singleTraining, torchTraining

        /// What is measured in a turn of them, in this order. Pool and engine are nearly the same: they are compared most closely.
        static func turn(_ sides: Set<Self>) -> [Self] {
            let closely = sides.contains(.engine) ? [pool, engine, engine, pool, pool, engine] : [pool]
            return ([eager, batched] + closely + [forward, compiled, training, singleTraining, torchTraining])
                .filter(sides.contains)
        }
    }

    /// What is compared with what, and how much better it must be and is meant to be.
    private struct Comparison {
        let name: String
        let ours: Side
        let theirs: Side
        let unit: String
        let must: Double?
        let aim: Double
    }

    private let settings: Settings
    /// Samples in one forward pass, where that alone is measured, and images in a training step.
    private static let batch = 32
    /// What diffusers takes together in its best case.
    private static let theirBatch = 16

    package init(_ settings: Settings) { self.settings = settings }

    /// - Parameter say: told what was measured, line by line.
    /// - Throws: `BenchError` for a Python that lacks torch or diffusers, among others.
    package func run(say: @escaping @Sendable (String) -> Void) async throws -> BenchReport {
        let folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let python = try PythonSide(python: settings.python, script: settings.script)
        defer { python.close() }
        var figures: [BenchReport.Figure] = []
        for model in settings.models {
            let comparisons = comparisons(of: model)
            guard !comparisons.isEmpty else { continue }
            figures += try await measure(
                model, comparisons, python, in: folder.appending(path: model.rawValue), say: say)
        }
        return BenchReport(
            machine: .current, settings: .init(settings, torch: python.torch), figures: figures)
    }

    /// Names of all that would be measured.
    package var figures: [String] { settings.models.flatMap { comparisons(of: $0).map(\.name) } }

    private func comparisons(of model: BenchModel) -> [Comparison] {
        let isLarge = model == .cifar, name = model.rawValue
        var all = [
            Comparison(
                name: "\(name) vs eager", ours: .pool, theirs: .eager, unit: "samples·steps/s",
                must: isLarge ? 2.5 : 4, aim: isLarge ? 3 : 6),
            Comparison(
                name: "\(name) vs bf16 batch 16", ours: .pool, theirs: .batched, unit: "samples·steps/s", must: nil,
                aim: 1.3),
            Comparison(
                name: "\(name) vs compile", ours: .forward, theirs: .compiled, unit: "samples/s", must: 0.95,
                aim: isLarge ? 1.05 : 1.15),
        ]
        if !isLarge {
            all += [
                Comparison(
                    name: "pool vs engine", ours: .pool, theirs: .engine, unit: "samples·steps/s", must: 0.95, aim: 0.98
                ),
                Comparison(
                    name: "training vs eager", ours: .training, theirs: .torchTraining, unit: "images/s", must: 1,
                    aim: 1.4),
                // What trainers and heads do unless they are told `--precision mixed`.
                Comparison(
                    name: "training float32 vs eager", ours: .singleTraining, theirs: .torchTraining, unit: "images/s",
                    must: nil, aim: 1),
            ]
        }
        guard !settings.only.isEmpty else { return all }
        return all.filter { one in settings.only.contains { one.name.contains($0) } }
    }

    private func measure(
        _ model: BenchModel, _ comparisons: [Comparison], _ python: PythonSide, in folder: URL,
        say: @escaping @Sendable (String) -> Void
    ) async throws -> [BenchReport.Figure] {
        let sides = Set(comparisons.flatMap { [$0.ours, $0.theirs] })
        let directory = folder.appending(path: "model")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try ModelDirectory(
            network: model.network(), schedule: BenchModel.schedule(), prediction: .epsilon, record: nil
        ).write(to: directory)
        try python.load(directory, threads: settings.threads)
        var pool: Pool?
        if sides.contains(.pool) {
            pool = try await Pool(model, settings, in: folder.appending(path: "pool"))
        }
        // Of each turn.
        var rates: [Side: [Double]] = [:]
        for round in 1...settings.rounds {
            var measured: [Side: [Double]] = [:]
            for side in Side.turn(sides) {
                let rate = try await rate(side, model, pool, python)
                measured[side, default: []].append(rate)
                say("\(model.rawValue) \(round)/\(settings.rounds)  \(side): \(String(format: "%.1f", rate))")
            }
            for (side, all) in measured { rates[side, default: []].append(median(all)) }
        }
        try await pool?.close()
        return comparisons.map { comparison in
            let ours = rates[comparison.ours] ?? [], theirs = rates[comparison.theirs] ?? []
            return BenchReport.Figure(
                name: comparison.name, ours: median(ours), theirs: median(theirs), unit: comparison.unit,
                ratio: median(zip(ours, theirs).map { $0 / $1 }), must: comparison.must, aim: comparison.aim)
        }
    }

    private func rate(_ side: Side, _ model: BenchModel, _ pool: Pool?, _ python: PythonSide) async throws -> Double {
        let settings = settings, seconds = settings.seconds
        switch side {
        case .pool: return try await pool?.rate(seconds: seconds) ?? 0
        case .engine: return try await onThread { try OwnEngine(model, settings).sampling(seconds: seconds) }
        case .forward:
            return try await onThread { try OwnEngine(model, settings).forward(batch: Self.batch, seconds: seconds) }
        case .training:
            let precision: TrainerOptions.Precision = settings.dtype == .float32 ? .single : .mixed
            return try await onThread { try trainingRate(model, settings, precision, batch: Self.batch) }
        case .singleTraining:
            return try await onThread { try trainingRate(model, settings, .single, batch: Self.batch) }
        case .eager: return try python.rate("requests", ["way": "eager", "seconds": seconds])
        case .batched:
            return try python.rate("requests", ["way": "batched", "batch": Self.theirBatch, "seconds": seconds])
        case .compiled:
            return try python.rate(
                "forward", ["batch": Self.batch, "dtype": settings.dtype.description, "seconds": seconds])
        case .torchTraining: return try python.rate("train", ["batch": Self.batch, "seconds": seconds])
        }
    }
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted(), middle = sorted.count / 2
    guard !sorted.isEmpty else { return .nan }
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
