import Foundation
import Safetensors
import Testing

@testable import Torch

private struct Block: Module {
    let norm: GroupNorm
    let convolutions: [Conv2d]
    let skip: Linear?

    init(_ source: inout ParameterSource) {
        norm = GroupNorm(groups: 1, 2, &source)
        convolutions = [Conv2d(2, 2, kernel: 1, &source), Conv2d(2, 3, kernel: 1, bias: false, &source)]
        skip = nil
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("norm1", norm)
        parameters.add("conv", convolutions)
        parameters.add("skip", skip)
    }
}

@Suite struct StateTests {
    private func block(_ seed: UInt64) -> Block {
        var source = ParameterSource(seed: seed)
        return Block(&source)
    }

    @Test func keysAreThoseOfPyTorch() {
        #expect(
            block(1).namedParameters.map(\.key) == [
                "norm1.weight", "norm1.bias", "conv.0.weight", "conv.0.bias", "conv.1.weight",
            ])
        #expect(block(1).parameterCount == 2 + 2 + 4 + 2 + 6)
    }

    @Test func aSavedNetworkLoadsIntoAnother() throws {
        let (a, b) = (block(1), block(2))
        #expect(a.parameters.map(\.floats) != b.parameters.map(\.floats))
        try b.load(SafetensorsArchive(decoding: a.state().encoded()))
        #expect(a.parameters.map(\.floats) == b.parameters.map(\.floats))
    }

    @Test func aPrefixSelectsOneNetworkOfSeveral() throws {
        let (a, b) = (block(1), block(2))
        var both = SafetensorsArchive()
        for (key, tensor) in a.namedParameters { try both.append(tensor.entry(named: "head.\(key)")) }
        for (key, tensor) in b.namedParameters { try both.append(tensor.entry(named: "ema.\(key)")) }
        try b.load(both, prefix: "head.")
        #expect(a.parameters.map(\.floats) == b.parameters.map(\.floats))
    }

    @Test(arguments: [
        (TorchError.Code.missingKey, "conv.1.weight", nil as [Int]?, Float(0)),
        (.wrongShape, "conv.1.weight", [3, 2, 1], 0),
        (.unexpectedKey, "other", [1], 0),
        (.notFinite, "conv.1.weight", [3, 2, 1, 1], .nan),
    ])
    func aCheckpointThatDoesNotFitIsRefusedWhole(
        _ code: TorchError.Code, _ key: String, _ shape: [Int]?, _ value: Float
    ) throws {
        let network = block(1)
        let before = network.parameters.map(\.floats)
        var damaged = SafetensorsArchive()
        for entry in try block(2).state().entries where entry.name != key { try damaged.append(entry) }
        if let shape {
            try damaged.append(
                .init(name: key, shape: shape, floats: Array(repeating: value, count: shape.reduce(1, *))))
        }
        let error = #expect(throws: TorchError.self) { try network.load(damaged) }
        #expect(error?.code == code)
        #expect(error?.message.contains(key) == true)
        #expect(network.parameters.map(\.floats) == before)
    }

    @Test func integersAreNoWeights() throws {
        var damaged = SafetensorsArchive()
        for entry in try block(2).state().entries where entry.name != "norm1.bias" { try damaged.append(entry) }
        try damaged.append(.init(name: "norm1.bias", shape: [2], int64s: [0, 0]))
        let error = #expect(throws: TorchError.self) { try block(1).load(damaged) }
        #expect(error?.code == .wrongType)
    }

    @Test func conversionKeepsIdentity() {
        let network = block(1)
        let weight = network.convolutions[0].weight
        let values = weight.floats
        network.convert(to: .bfloat16, format: .channelsLast)
        #expect(weight.dtype == .bfloat16)
        #expect(network.parameters.allSatisfy { $0.dtype == .bfloat16 && $0.requiresGradient })
        #expect(zip(weight.floats, values).allSatisfy { abs($0 - $1) <= abs($1) / 128 })
    }
}
