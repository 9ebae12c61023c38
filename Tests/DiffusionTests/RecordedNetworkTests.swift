import Chain
import Foundation
import Testing
import Torch

@testable import Diffusion

/// A network whose calls go through recordings, with closures in the place of a device's.
@Suite struct RecordedNetworkTests {
    /// Runs the network again over the tensors that it was recorded with.
    private final class StandIn: WorkRecorder {
        let again: ([Tensor]) -> Tensor
        private(set) var replays = 0

        init(_ again: @escaping ([Tensor]) -> Tensor) { self.again = again }

        func record(
            _ inputs: [Tensor], _ body: ([Tensor]) -> Tensor
        ) throws -> (output: Tensor, replay: () -> Void) {
            let output = body(inputs).clone()
            return (
                output,
                { [unowned self] in
                    replays += 1
                    output.copy(from: again(inputs))
                }
            )
        }

        func seconds(of body: () -> Void) -> Double {
            let before = replays
            body()
            return replays > before ? 1 : 2
        }
    }

    private static func network() throws -> UNet {
        let json = """
            {"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1,
            "block_out_channels": [16, 32], "norm_num_groups": 8, "num_class_embeds": 4,
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}
            """
        var source = ParameterSource(seed: 5)
        let network = UNet(try UNetConfiguration(json: json), &source)
        network.prepareForInference(dtype: .float32)
        return network
    }

    @Test("samples that join and leave a batch end as they do without recordings")
    func samples() throws {
        let network = try Self.network(), schedule = try Schedule(.linear(), timesteps: 100)
        let recorder = StandIn { network($0[0], $0[1], $0[2]) }
        var failures = 0
        let calls = RecordedCalls(.init(patience: 1, tolerance: 1e-4), by: recorder) { _ in failures += 1 }
        let plain = try Denoiser(network, on: schedule, labels: 3)
        let recorded = try plain.around(RecordedNetwork(network, on: .cpu, calls: calls))
        let plans = try [3, 5, 9, 12, 12].enumerated().map { number, steps in
            SamplePlan(
                seed: 8, number: UInt32(number), label: number % 4,
                timesteps: try TimestepList(from: 100, to: 10, steps: steps),
                sampler: Sampler(number.isMultiple(of: 2) ? .ddpm : .dpmSolver), guidance: number == 4 ? 2 : 1)
        }
        let start = ChainState(
            noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [1, 8, 8], on: schedule)
        let expected = plain.sample(from: start, plans).state.x, got = recorded.sample(from: start, plans).state.x
        #expect((got - expected).abs().max().item < 1e-4 * expected.abs().max().item)
        #expect(recorder.replays > 5 && failures == 0)
    }

    @Test func withoutRecordingsItIsTheNetwork() throws {
        let network = try Self.network()
        let same = RecordedNetwork(network) { _ in Issue.record("nothing is recorded on the CPU") }
        #expect(same.calls == nil && same.classEmbeddings == 4 && same.textWidth == nil && !same.isSelfConditioned)
        let x = Tensor.ones([2, 1, 8, 8]), times = Tensor([5, 70]), labels = Tensor([0, 3])
        withoutGradients { #expect(same(x, times, labels).floats == network(x, times, labels).floats) }
        #expect(same.parameters.count == network.parameters.count)
    }
}
