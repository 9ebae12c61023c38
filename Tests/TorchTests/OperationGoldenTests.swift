import Safetensors
import Testing

@testable import Torch

/// Outputs and gradients of the operations against PyTorch's, in float64.
@Suite struct OperationGoldenTests {
    /// One case of the golden file: name, operands in order, function.
    struct Case: Sendable, CustomStringConvertible {
        let description: String
        let operands: [String]
        let function: @Sendable ([Tensor]) -> Tensor
    }

    static let cases: [Case] = [
        Case(description: "linear", operands: ["x", "weight", "bias"]) { $0[0].linear($0[1], $0[2]) },
        Case(description: "conv2d", operands: ["x", "weight", "bias"]) { $0[0].conv2d($0[1], $0[2], padding: 1) },
        Case(description: "conv2d_stride", operands: ["x", "weight"]) {
            $0[0].conv2d($0[1], nil, stride: 2, padding: 1)
        },
        Case(description: "group_norm", operands: ["x", "weight", "bias"]) {
            $0[0].groupNorm(2, $0[1], $0[2], epsilon: 1e-5)
        },
        Case(description: "layer_norm", operands: ["x", "weight", "bias"]) {
            $0[0].layerNorm($0[1], $0[2], epsilon: 1e-5)
        },
        Case(description: "embedding", operands: ["weight", "x"]) { $0[0].embedding($0[1]) },
        Case(description: "silu", operands: ["x"]) { $0[0].silu() },
        Case(description: "gelu", operands: ["x"]) { $0[0].gelu() },
        Case(description: "gelu_tanh", operands: ["x"]) { $0[0].gelu(tanhApproximation: true) },
        Case(description: "softmax", operands: ["x"]) { $0[0].softmax(1) },
        Case(description: "log_softmax", operands: ["x"]) { $0[0].logSoftmax(1) },
        Case(description: "cross_entropy", operands: ["x", "labels"]) {
            $0[0].crossEntropy($0[1], labelSmoothing: 0.1)
        },
        Case(description: "attention", operands: ["q", "k", "v"]) { $0[0].attention($0[1], $0[2]) },
        Case(description: "upsample", operands: ["x"]) { $0[0].upsampledNearest(height: 6, width: 6) },
        Case(description: "avg_pool", operands: ["x"]) { $0[0].averagePooled(2) },
        Case(description: "max_pool", operands: ["x"]) { $0[0].maxPooled(2) },
        Case(description: "matmul", operands: ["a", "b"]) { $0[0].matmul($0[1]) },
        Case(description: "variance", operands: ["x"]) { $0[0].variance(1) },
    ]

    @Test(arguments: cases) func agreesWithPyTorch(_ example: Case) throws {
        let file = try golden("torch_layers")
        func value(_ key: String) throws -> Tensor { try Tensor(file.entry("\(example)/\(key)")) }
        let operands = try example.operands.map(value)
        for operand in operands where operand.dtype.isFloatingPoint { operand.requiresGradient = true }

        let y = example.function(operands)
        #expect(try y.shape == file.entry("\(example)/y").shape)
        #expect(try difference(y.doubles, file.doubles("\(example)/y")) < 1e-12)

        y.backward(try value("seed"))
        for (name, operand) in zip(example.operands, operands) where operand.requiresGradient {
            let gradient = try #require(operand.gradient)
            #expect(
                try difference(gradient.doubles, file.doubles("\(example)/\(name).grad")) < 1e-12, "gradient of \(name)"
            )
        }
    }

    @Test func everyCaseOfTheFileIsTried() throws {
        let inFile = Set(try golden("torch_layers").names.map { $0.prefix { $0 != "/" } }.map(String.init))
        #expect(inFile == Set(Self.cases.map(\.description)))
    }
}
