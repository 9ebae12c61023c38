internal import Chain
internal import Torch

/// Self-conditioning (Chen, Zhang & Hinton 2022, arXiv 2208.04202): the network sees its own last x̂_0 beside x_t: docs/maths.md (4.2).
extension Tensor {
    /// [x_t, x̃_0] [N, 2·C, …]; zeros stand for an estimate that there is not yet.
    ///
    /// x̃_0 is clipped to the range of images: near T a predictor of ε has x̂_0 anywhere.
    func beside(_ estimate: Tensor?) -> Tensor {
        Tensor.concatenated([self, estimate?.clamped(-1, 1).to(dtype) ?? zerosLike()], 1)
    }
}

extension Denoiser {
    /// x̃_0 of some rows, as the network sees it at first sight, and zeros for the others: what training shows it.
    ///
    /// Without a gradient: the estimate is an input like any other. nil: the network takes none.
    func firstEstimate(_ x: Tensor, at timesteps: [Int], labels: [Int], of chosen: [Bool]) -> Tensor? {
        guard network.isSelfConditioned else { return nil }
        let rows = chosen.indices.filter { chosen[$0] }
        guard !rows.isEmpty else { return nil }
        return withoutGradients {
            let some = x.gathered(0, rows: Tensor(rows).to(x.device)), times = rows.map { timesteps[$0] }
            let output = output(some, at: times, labels: rows.map { labels[$0] })
            let said = times.map { prediction.coefficients(at: $0, on: schedule) }
            let image =
                some * some.perRow(said.map(\.imageFromX)) + output * some.perRow(said.map(\.imageFromOutput))
            // Row by row from the estimates, or from the row of zeros behind them.
            var place = 0
            let spread = chosen.map { isChosen in
                defer { if isChosen { place += 1 } }
                return isChosen ? place : rows.count
            }
            return Tensor.concatenated([image, image[0..<1].zerosLike()], 0)
                .gathered(0, rows: Tensor(spread).to(x.device))
        }
    }
}
