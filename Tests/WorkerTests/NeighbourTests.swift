import Chain
import Diffusion
import Foundation
import Logging
import Testing
import Torch
import Wire
import Workbench

@testable import Worker

/// The same seed gives the same image whatever else is in the batch, within what `docs/design.md` states.
///
/// Kernels add numbers up in another order where a batch is wider, and what they differ by grows from step to step: so it is
/// measured at the end of whole trajectories, of a network that was trained on digits (`Tests/Goldens/samplers.py`).
struct NeighbourTests {
    private let scene: Scene

    /// Largest difference of a value, and root of the mean square of all, where images lie in [−1, 1].
    private static let tolerances: [DType: (largest: Float, mean: Float)] = [
        .float32: (1e-3, 1e-4), .bfloat16: (0.1, 0.01),
    ]

    init() throws {
        let model = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Goldens/samplers/trained")
        let config = try String(contentsOf: model.appending(path: "config.json"), encoding: .utf8)
        scene = try Scene(
            run: RunDescriptor(
                name: "digits", schedule: Schedule(.cosine(), timesteps: 1000),
                image: .init(channels: 1, height: 8, width: 8), labels: (0..<10).map(String.init),
                backboneConfig: config, allowedCuts: [], nonce: Array(0..<16), created: 1))
        _ = try scene.registry().take(model, for: scene.run)
    }

    /// Two samples to the last cut there is, half of the requests guided.
    private func request(_ number: Int) throws -> WirePayload {
        let samplers: [WireSamplerKind] = [.ddpm, .ddim, .dpmSolver, .euler, .heun]
        return try .denoise(
            [UInt32(number % 11), UInt32((number + 3) % 10)], from: 1000, to: 1, steps: 20 + number % 3,
            seed: UInt64(number), sampler: samplers[number % 5], guidance: number.isMultiple(of: 2) ? 1 : 2)
    }

    /// - Returns: the samples of each request, all run together in passes of at most `slots`.
    private func run(_ numbers: [Int], slots: Int, _ dtype: DType) throws -> [[Float]] {
        let loop = DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: slots, dtype: dtype,
            checkpoints: .never, logger: Logger(label: "test"))
        let jobs = try numbers.map { try scene.send(request($0)) }
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: jobs.count)
        return try jobs.map { try scene.samples(of: $0, in: commands) }
    }

    @Test("the same seed gives the same image whatever else is in the batch", arguments: [DType.float32, .bfloat16])
    func neighbours(dtype: DType) throws {
        let numbers = Array(0..<10), tolerance = try #require(Self.tolerances[dtype])
        let alone = try numbers.flatMap { try run([$0], slots: 2, dtype)[0] }
        #expect(alone.count == 20 * 64 && alone.contains { $0 < -0.5 } && alone.contains { $0 > 0.5 })
        for (slots, others) in [(5, numbers), (32, numbers), (32, numbers.reversed() + Array(20..<27))] {
            let results = try run(others, slots: slots, dtype)
            let together = numbers.flatMap { number in
                others.firstIndex(of: number).map { results[$0] } ?? []
            }
            try #require(together.count == alone.count)
            let differences = zip(alone, together).map { abs($0 - $1) }
            let mean = (differences.reduce(0) { $0 + $1 * $1 } / Float(differences.count)).squareRoot()
            let largest = differences.max() ?? 9
            #expect(largest <= tolerance.largest, "\(slots) slots: \(largest)")
            #expect(mean <= tolerance.mean, "\(slots) slots: \(mean)")
        }
        if dtype == .bfloat16 {
            #expect(try run([0], slots: 2, .float32)[0] != Array(alone.prefix(128)), "it is computed in float32")
        }
        // Another seed is another image by far more than that.
        let other = try run([10], slots: 2, dtype)[0]
        #expect(zip(alone, other).map { abs($0 - $1) }.max() ?? 0 > 2 * tolerance.largest)
    }
}
