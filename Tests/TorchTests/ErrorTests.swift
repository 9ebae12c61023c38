import Foundation
import Safetensors
import Testing

@testable import Torch

@Suite struct ErrorTests {
    @Test func aRefusedOperationBecomesAnErrorThatNamesIt() throws {
        let error = #expect(throws: TorchError.self) {
            try TorchError.catching { Tensor.ones([2, 3]).matmul(Tensor.ones([4, 5])) }
        }
        #expect(error?.code == .invalid)
        #expect(error?.message.hasPrefix("matmul(float32[2, 3], float32[4, 5]): ") == true)
        #expect(error?.message.contains("C++") == false, "no backtrace in the message")
    }

    @Test func theFirstFailureIsReportedAndTheRestFlowsThrough() throws {
        var reached = false
        let error = #expect(throws: TorchError.self) {
            try TorchError.catching {
                let lost = Tensor.ones([2]).linear(Tensor.ones([3, 3]), nil)
                let after = (lost + Tensor.ones([2])).silu().sum()
                #expect(!after.isDefined)
                #expect(after.floats.isEmpty && after.shape.isEmpty && after.count == 0 && lost.size(0) == 0)
                // An absent bias and a failed one are not the same.
                #expect(!Tensor.ones([1, 3]).linear(Tensor.ones([3, 3]), lost).isDefined)
                after.backward()
                _ = Tensor.concatenated([Tensor.ones([2]), lost], 0)
                reached = true
            }
        }
        #expect(reached)
        #expect(error?.message.hasPrefix("linear(") == true)
    }

    @Test func exhaustedMemoryIsToldApart() {
        let error = #expect(throws: TorchError.self) { try TorchError.catching { Tensor.zeros([1 << 50]) } }
        #expect(error?.code == .outOfMemory)
    }

    @Test func scopesNestAndLeaveNothingBehind() throws {
        try TorchError.catching {
            #expect(throws: TorchError.self) { try TorchError.catching { Tensor.ones([2]) + Tensor.ones([3]) } }
            #expect((Tensor.ones([2]) + 1).floats == [2, 2])
        }
    }

    @Test func whatTheBodyThrowsComesThrough() {
        struct Stop: Error {}
        #expect(throws: Stop.self) { try TorchError.catching { throw Stop() } }
    }

    @Test func outsideAScopeARefusedOperationTraps() async {
        await #expect(processExitsWith: .failure) { _ = Tensor.ones([2]) + Tensor.ones([3]) }
    }

    @Test func aDescriptionShowsNoElements() {
        #expect("\(Tensor([0.125, 0.25] as [Float]))" == "Tensor(float32[2] on cpu)")
    }
}
