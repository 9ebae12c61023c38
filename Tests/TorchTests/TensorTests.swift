import Safetensors
import Testing

@testable import Torch

@Suite struct TensorTests {
    let x = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])

    @Test func arithmeticBroadcasts() {
        #expect((x * 2 + 1).sum(1).floats == [15, 33])
        #expect((x + Tensor([10, 20, 30] as [Float])).floats == [11, 22, 33, 14, 25, 36])
        #expect((1 - x).floats == [0, -1, -2, -3, -4, -5])
        #expect((12 / x).floats == [12, 6, 4, 3, 2.4, 2])
        #expect((-x / 2).floats == [-0.5, -1, -1.5, -2, -2.5, -3])
        #expect(x.lerp(x * 3, 0.5).floats == [2, 4, 6, 8, 10, 12])
    }

    @Test func wholeNumbersStayWhole() {
        let steps = Tensor([1, 500, 999])
        #expect((steps - 1).dtype == .int64)
        #expect((steps - 1).integers == [0, 499, 998])
        #expect(steps.clamped(2, 600).integers == [2, 500, 600])
        #expect((steps * 0.5).dtype == .float32)
    }

    @Test func shapesAndViews() {
        #expect(x.shape == [2, 3] && x.rank == 2 && x.count == 6 && x.size(-1) == 3)
        #expect(x.transposed(0, 1).floats == [1, 4, 2, 5, 3, 6])
        #expect(x.transposed(0, 1).strides == [1, 3])
        #expect(!x.transposed(0, 1).isContiguous() && x.transposed(0, 1).contiguous().isContiguous())
        #expect(x.permuted(1, 0).reshaped(-1).floats == [1, 4, 2, 5, 3, 6])
        #expect(x[1].floats == [4, 5, 6] && x[0..<1].shape == [1, 3])
        #expect(x.narrowed(1, from: 1, length: 2).floats == [2, 3, 5, 6])
        #expect(x.sliced(1, 0..<3, step: 2).floats == [1, 3, 4, 6])
        #expect(x.unsqueezed(1).shape == [2, 1, 3] && x.unsqueezed(1).squeezed(1).shape == [2, 3])
        #expect(x.flattened().shape == [6])
        #expect(Tensor([1, 2] as [Float], shape: [2, 1]).expanded([2, 2]).floats == [1, 1, 2, 2])
        #expect(x.flipped(1).floats == [3, 2, 1, 6, 5, 4])
        #expect(x.padded([1, 0]).floats == [0, 1, 2, 3, 0, 4, 5, 6])
        #expect(x.repeated(2, 0).shape == [4, 3])
        #expect(Tensor.ones([1, 2, 4, 4]).contiguous(.channelsLast).isContiguous(.channelsLast))
    }

    @Test func joinsAndPieces() {
        #expect(Tensor.concatenated([x, x], 1).shape == [2, 6])
        #expect(Tensor.stacked([x, x]).shape == [2, 2, 3])
        #expect(x.split([1, 2], 1).map(\.floats) == [[1, 4], [2, 3, 5, 6]])
        #expect(x.chunked(3, 1).map(\.floats) == [[1, 4], [2, 5], [3, 6]])
        #expect(x.gathered(0, rows: Tensor([1, 0, 1])).floats == [4, 5, 6, 1, 2, 3, 4, 5, 6])
        #expect(x.gathered(1, at: Tensor([2, 0], shape: [2, 1])).floats == [3, 4])
    }

    @Test func reductions() {
        #expect(x.sum().item == 21 && x.mean().item == 3.5)
        #expect(x.mean(0, keep: true).shape == [1, 3])
        #expect(x.max(1).floats == [3, 6] && x.min(0).floats == [1, 2, 3] && x.max().item == 6)
        #expect(x.argmax(1).integers == [2, 2] && x.argmin(0).integers == [0, 0, 0])
        #expect(Tensor([3, 4] as [Float]).norm().item == 5)
        #expect(x.variance(correction: 0).item.isApproximately(35.0 / 12))
        #expect(x.cumulativeSum(1).floats == [1, 3, 6, 4, 9, 15])
    }

    @Test func masksAndComparisons() {
        #expect((x .> 3).integers == [0, 0, 0, 1, 1, 1])
        #expect((x .== Tensor([1, 5, 3] as [Float])).integers == [1, 0, 1, 0, 1, 0])
        #expect((.!(x .<= 3)).integers == [0, 0, 0, 1, 1, 1])
        #expect((x .< 3).choose(x, else: -x).floats == [1, 2, -3, -4, -5, -6])
        #expect(x.masked(x .>= 5, with: 0).floats == [1, 2, 3, 4, 0, 0])
        #expect(x.isFinite && !(x / 0).isFinite)
        #expect((Tensor([0, 1] as [Float]) / 0).isNaN().integers == [1, 0])
    }

    @Test func inPlaceChangesReachEveryView() {
        let y = x.clone()
        let row = y[0]
        y.multiply(inPlace: 2)
        y.add(inPlace: x, factor: -1)
        #expect(row.floats == [1, 2, 3])
        row.fill(9)
        #expect(y.floats == [9, 9, 9, 4, 5, 6] && x.floats == [1, 2, 3, 4, 5, 6])
        y.copy(from: Tensor([7, 8, 9]))
        y.lerp(inPlace: Tensor.zeros([1]), 0.5)
        #expect(y.floats == [3.5, 4, 4.5, 3.5, 4, 4.5])
    }

    @Test(arguments: DType.allCases) func bytesSurviveEveryType(_ dtype: DType) throws {
        let values = Tensor([0, 1, 1, 0] as [Float], shape: [2, 2]).to(dtype)
        #expect(values.dtype == dtype)
        let again = try Tensor(values.entry(named: "x"))
        #expect(again.dtype == dtype && again.shape == [2, 2] && again.floats == [0, 1, 1, 0])
    }

    @Test func decompositionsPutTheirMatrixTogetherAgain() {
        let a = Tensor(doubles: [4, 1, 0.5, 1, 3, 0.25, 0.5, 0.25, 2], shape: [3, 3])
        let (values, vectors) = a.symmetricEigen()
        #expect(difference((vectors * values).matmul(vectors.transposed(0, 1)).doubles, a.doubles) < 1e-12)
        #expect(values.doubles == values.doubles.sorted())
        let b = a[0..<2]
        let (u, s, vh) = b.singularValues()
        #expect(difference((u * s).matmul(vh).doubles, b.doubles) < 1e-12)
        #expect(a.trace().item == 9)
        #expect(
            difference(
                Tensor([0.0, 0, 3, 4] as [Float], shape: [2, 2]).distances(to: .zeros([1, 2])).doubles, [0, 5]) < 1e-6)
    }
}

extension Double {
    fileprivate func isApproximately(_ other: Double) -> Bool { abs(self - other) <= 1e-6 * abs(other) }
}
