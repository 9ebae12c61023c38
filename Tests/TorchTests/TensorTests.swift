import Testing

@testable import Torch

@Suite struct TensorTests {
    @Test func arithmeticBroadcasts() {
        let x = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])
        #expect((x * 2 + 1).sum(1).floats == [15, 33])
        #expect((x + Tensor([10, 20, 30] as [Float])).floats == [11, 22, 33, 14, 25, 36])
        #expect((1 - x).floats == [0, -1, -2, -3, -4, -5])
        #expect((12 / x).floats == [12, 6, 4, 3, 2.4, 2])
    }

    @Test func backwardFillsGradients() {
        let w = Tensor([3] as [Float])
        w.requiresGradient = true
        (w * w * 2).sum().backward()
        #expect(w.gradient?.floats == [12])
    }
}
