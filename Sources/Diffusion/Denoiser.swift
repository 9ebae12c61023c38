package import Chain
package import Torch

/// A network with what is needed to understand it: the schedule of its run, what it predicts, how many labels there are.
///
///     let denoiser = try Denoiser(network, on: schedule, labels: 10)
///     let image = denoiser.image(x, at: [900, 650], labels: [3, 10])      // rows at different timesteps; 10 is "none"
package struct Denoiser<Network: DenoisingNetwork> {
    package let network: Network
    package let schedule: Schedule
    package let prediction: Prediction
    /// C: labels are 0 ..< C, and C stands for "none".
    package let labels: Int

    /// - Parameter withText: whether every sample comes with a text, so that the network may be one that looks at some.
    /// - Throws: `zeroTerminalSNR` of `ChainError`; `badLabels` of `DiffusionError` when the network's rows are not C or C + 1.
    package init(
        _ network: Network, on schedule: Schedule, predicting prediction: Prediction = .epsilon, labels: Int,
        withText: Bool = false
    ) throws {
        try network.checkChain()
        guard withText || network.textWidth == nil else {
            throw DiffusionError(
                .badConfig,
                "\(ModelDirectory.configFile): key '_class_name': a UNet2DConditionModel looks at text: give it embeddings of the prompts"
            )
        }
        // Guided, it would be asked without a class that it may not have.
        guard network.textWidth == nil || network.classEmbeddings == nil else {
            throw DiffusionError(
                .badConfig,
                "\(ModelDirectory.configFile): key 'num_class_embeds': text and classes together are not supported in a chain"
            )
        }
        try prediction.check(on: schedule)
        let rows = network.classEmbeddings ?? 0
        guard rows == labels || rows == labels + 1 else {
            throw DiffusionError(
                .badLabels,
                "a run with \(labels) labels wants a network with \(labels + 1) class embeddings, not \(rows)")
        }
        self.network = network
        self.schedule = schedule
        self.prediction = prediction
        self.labels = labels
    }

    /// Whether the network knows "none"; without that it can be neither guided nor trained on what has no label.
    package var knowsNone: Bool { network.classEmbeddings == labels + 1 }

    /// The same settings around another network, for example the average of this one.
    package func with(_ network: Network) -> Denoiser { Denoiser(unchecked: network, like: self) }

    /// The same settings around another kind of network, for example one that records this one's calls.
    package func around<Other>(_ network: Other) throws -> Denoiser<Other> {
        try Denoiser<Other>(network, on: schedule, predicting: prediction, labels: labels, withText: true)
    }

    private init(unchecked network: Network, like other: Denoiser) {
        self.network = network
        schedule = other.schedule
        prediction = other.prediction
        labels = other.labels
    }

    /// - Throws: `badLabels` for a label outside 0…C, `noNullLabel` for "none" where the network has no row for it.
    package func check(labels: [Int]) throws(DiffusionError) {
        guard labels.allSatisfy({ (0...self.labels).contains($0) }) else {
            let range =
                self.labels == 0
                ? "there are no labels here: leave them out"
                : knowsNone
                    ? "labels lie in 0…\(self.labels), where \(self.labels) stands for none"
                    : "labels lie in 0…\(self.labels - 1)"
            throw DiffusionError(.badLabels, range)
        }
        guard self.labels == 0 || knowsNone || !labels.contains(self.labels) else {
            throw DiffusionError(
                .noNullLabel, "this model was trained without a label for none: name a label for every sample")
        }
    }

    /// - Throws: `noNullLabel` for guidance of a model that cannot be asked without a label.
    package func check(guidance: Double) throws(DiffusionError) {
        guard !SamplePlan.isGuided(guidance) || (labels > 0 && knowsNone) || network.textWidth != nil else {
            throw DiffusionError(
                .noNullLabel, "guidance needs a model that was trained with a label for none: set guidance to 1")
        }
        guard guidance >= 0, guidance <= 100 else {
            throw DiffusionError(.badLabels, "guidance lies in 0…100, where 0 and 1 mean none; not \(guidance)")
        }
    }

    /// What the network says, for rows that may stand at different timesteps t (ours, 1…T).
    ///
    /// - Parameters:
    ///   - x: [N, C, H, W]
    ///   - labels: N of 0…C; all 0 where the run has none.
    ///   - text: [N, S, D], for a network that looks at some.
    ///   - estimate: x̃_0, the x̂_0 of the row's step before, for a self-conditioned network; nil: there is none yet.
    func output(
        _ x: Tensor, at timesteps: [Int], labels: [Int], text: Tensor? = nil, estimate: Tensor? = nil
    ) -> Tensor {
        let times = Tensor(timesteps.map { $0 - 1 }).to(x.device)
        let seen = network.isSelfConditioned ? x.beside(estimate) : x
        return network(
            seen, times, network.classEmbeddings == nil ? nil : Tensor(labels).to(x.device), text: text)
    }

    /// ε̂, differentiable: what both losses compare.
    func noise(_ x: Tensor, at timesteps: [Int], labels: [Int], estimate: Tensor? = nil) -> Tensor {
        let output = output(x, at: timesteps, labels: labels, estimate: estimate)
        if prediction == .epsilon { return output }
        let said = timesteps.map { prediction.coefficients(at: $0, on: schedule) }
        return x * x.perRow(said.map(\.noiseFromX)) + output * x.perRow(said.map(\.noiseFromOutput))
    }

    /// What the network says about x_t, guided, and x̂_0 of it, thresholded where that is asked for:
    ///
    ///     out = out(x, none) + w·(out(x, y) − out(x, none))           docs/maths.md (5.4)
    ///
    /// - Parameters:
    ///   - guidance: w for each row; 0 and 1 mean none (`SamplePlan.isGuided`) and cost nothing. Others cost a second evaluation of that row.
    ///   - thresholds: for each row; nil: none.
    ///   - text: for a network that looks at some.
    ///   - estimate: as for ``output(_:at:labels:text:estimate:)``; zeros for rows that have none.
    /// - Returns: both [N, C, H, W].
    package func opinion(
        _ x: Tensor, at timesteps: [Int], labels: [Int], guidance: [Double]? = nil, thresholds: [Threshold]? = nil,
        text: TextRows? = nil, estimate: Tensor? = nil
    ) -> (output: Tensor, image: Tensor) {
        let output = guided(x, at: timesteps, labels: labels, guidance: guidance ?? [], text, estimate)
        let said = timesteps.map { prediction.coefficients(at: $0, on: schedule) }
        let image = x * x.perRow(said.map(\.imageFromX)) + output * x.perRow(said.map(\.imageFromOutput))
        return (output, image.thresholded(thresholds ?? []))
    }

    private func guided(
        _ x: Tensor, at timesteps: [Int], labels: [Int], guidance: [Double], _ text: TextRows?, _ estimate: Tensor?
    ) -> Tensor {
        let rows = guidance.indices.filter { SamplePlan.isGuided(guidance[$0]) }
        guard !rows.isEmpty else {
            return output(x, at: timesteps, labels: labels, text: text?.prompts, estimate: estimate)
        }
        // One batch: every row with its label, then the guided ones once more without.
        let index = Tensor(rows).to(x.device)
        func twice(_ x: Tensor) -> Tensor { Tensor.concatenated([x, x.gathered(0, rows: index)], 0) }
        let both = output(
            twice(x), at: timesteps + rows.map { timesteps[$0] }, labels: labels + rows.map { _ in self.labels },
            text: text.map { .concatenated([$0.prompts, $0.none(rows)], 0) },
            estimate: estimate.map(twice))
        let labelled = both[0..<timesteps.count], none = both[timesteps.count..<timesteps.count + rows.count]
        var spread = (0..<timesteps.count).map { _ in rows.count }  // which row of `none`, if any
        for (position, row) in rows.enumerated() { spread[row] = position }
        let padded = Tensor.concatenated([none, none[0..<1].zerosLike()], 0)
        let away = padded.gathered(0, rows: Tensor(spread).to(x.device))
        let weight = guidance.map { SamplePlan.isGuided($0) ? $0 : 1 }
        return labelled * x.perRow(weight) + away * x.perRow(weight.map { 1 - $0 })
    }
}

/// What a text encoder made of prompts, for the rows of a batch.
package struct TextRows {
    /// [N, S, D]
    package let prompts: Tensor
    /// Of the empty prompt, from which guidance leads away [N, S, D]; nil: no row is guided.
    private let none: Tensor?

    package init(prompts: Tensor, none: Tensor? = nil) {
        self.prompts = prompts
        self.none = none
    }

    fileprivate func none(_ rows: [Int]) -> Tensor {
        guard let none else { preconditionFailure("guided rows come with the empty prompt's text") }
        return none.gathered(0, rows: Tensor(rows).to(none.device))
    }
}
