import Safetensors
import Testing

@testable import Torch

/// Two loose parameters.
private struct Pair: Module {
    let first: Tensor
    let second: Tensor

    func name(_ parameters: inout ParameterNames) {
        parameters.add("0", first)
        parameters.add("1", second)
    }

    init(_ first: Tensor, _ second: Tensor) {
        self.first = first
        self.second = second
        setRequiresGradient(true)
    }
}

@Suite struct OptimiserTests {
    /// d/dp Σ p·g = g, so this leaves exactly `gradients` behind.
    private func setGradients(_ pair: Pair, _ gradients: [Tensor]) {
        ((pair.first * gradients[0]).sum() + (pair.second * gradients[1]).sum()).backward()
    }

    @Test func fiveStepsAgreeWithPyTorchAndDiffusers() throws {
        let file = try golden("torch_optimiser")
        func value(_ key: String) throws -> Tensor { try Tensor(file.entry(key)) }
        let pair = try Pair(value("start/0"), value("start/1"))
        let optimiser = AdamW(pair, learningRate: 0.05, betas: (0.8, 0.95), epsilon: 1e-6, weightDecay: 0.1)
        var average = MovingAverage(
            of: pair, in: try Pair(value("start/0"), value("start/1")), decay: .ramped(limit: 0.25))
        for step in 0..<5 {
            optimiser.dropGradients()
            setGradients(pair, [try value("\(step)/gradient/0"), try value("\(step)/gradient/1")])
            let norm = optimiser.clipGradients(to: 1)
            #expect(try difference([norm], file.doubles("\(step)/norm")) < 1e-5)
            optimiser.step()
            average.update()
            for (key, parameter) in pair.namedParameters {
                #expect(
                    try difference(parameter.doubles, file.doubles("\(step)/parameter/\(key)")) < 2e-6, "step \(step)")
            }
            for (key, parameter) in average.network.namedParameters {
                #expect(
                    try difference(parameter.doubles, file.doubles("\(step)/average/\(key)")) < 2e-6, "step \(step)")
            }
        }
    }

    @Test func parametersWithoutGradientStay() {
        let pair = Pair(Tensor([1] as [Float]), Tensor([2] as [Float]))
        let optimiser = AdamW(pair, learningRate: 0.1, weightDecay: 0.5)
        pair.first.sum().backward()
        optimiser.step()
        #expect(pair.first.item != 1)
        #expect(pair.second.item == 2)
    }

    @Test func trainingGoesOnFromASavedState() throws {
        func run(_ steps: Range<Int>, _ pair: Pair, _ optimiser: AdamW) {
            for step in steps {
                optimiser.dropGradients()
                ((pair.first - Double(step)).square().sum() + pair.second.exp().sum()).backward()
                optimiser.step()
            }
        }
        func fresh() -> Pair { Pair(Tensor([0.5, -1] as [Float]), Tensor([0.25] as [Float])) }
        let straight = fresh()
        run(0..<6, straight, AdamW(straight, learningRate: 0.1))

        let before = fresh()
        let optimiser = AdamW(before, learningRate: 0.1)
        run(0..<3, before, optimiser)
        let (parameters, moments) = (try before.state(), try optimiser.state())

        let after = fresh()
        let resumed = AdamW(after, learningRate: 0.1)
        try after.load(SafetensorsArchive(decoding: parameters.encoded()))
        try resumed.load(SafetensorsArchive(decoding: moments.encoded()))
        run(3..<6, after, resumed)
        #expect(after.parameters.map(\.floats) == straight.parameters.map(\.floats))
    }

    @Test func clippingLeavesSmallAndUnhealthyGradients() {
        let pair = Pair(Tensor([1] as [Float]), Tensor([2] as [Float]))
        setGradients(pair, [Tensor([0.3] as [Float]), Tensor([0.4] as [Float])])
        #expect(abs(Gradients.clip(pair.parameters, to: 1) - 0.5) < 1e-6)
        #expect(pair.first.gradient?.floats == [0.3])
        Gradients.drop(pair.parameters)
        #expect(pair.first.gradient == nil)
        for unhealthy in [Float.nan, .infinity] {
            Gradients.drop(pair.parameters)
            setGradients(pair, [Tensor([unhealthy]), Tensor([4] as [Float])])
            #expect(!Gradients.clip(pair.parameters, to: 1).isFinite)
            #expect(pair.second.gradient?.floats == [4])
        }
    }
}
