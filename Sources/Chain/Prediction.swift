/// What a network says about x_t; everything else works on x̂_0 and ε̂.
package enum Prediction: String, Hashable, Sendable, CaseIterable {
    /// ε̂, the noise.
    case epsilon
    /// v̂ = √ᾱ·ε − √(1−ᾱ)·x_0 (Salimans & Ho 2022).
    case v = "v_prediction"
    /// x̂_0, the image.
    case sample

    /// - Throws: `zeroTerminalSNR` for ε on a schedule with ᾱ_T = 0: there x_T is all noise, and knowing it says nothing of x_0.
    package func check(on schedule: Schedule) throws(ChainError) {
        guard self != .epsilon || !schedule.hasZeroTerminalSNR else {
            throw ChainError(
                .zeroTerminalSNR,
                "the schedule leaves no signal at T, where a prediction of ε cannot be turned into an image: predict v, or end β below 1"
            )
        }
    }

    package func coefficients(at t: Int, on schedule: Schedule) -> PredictionCoefficients {
        let signal = schedule.alphaBar(t).squareRoot(), noise = schedule.noiseShare(t).squareRoot()
        switch self {
        case .epsilon:
            return PredictionCoefficients(
                imageFromX: 1 / signal, imageFromOutput: -noise / signal, noiseFromX: 0, noiseFromOutput: 1)
        case .v:
            return PredictionCoefficients(
                imageFromX: signal, imageFromOutput: -noise, noiseFromX: noise, noiseFromOutput: signal)
        case .sample:
            return PredictionCoefficients(
                imageFromX: 0, imageFromOutput: 1, noiseFromX: 1 / noise, noiseFromOutput: -signal / noise)
        }
    }
}

/// x̂_0 = imageFromX·x_t + imageFromOutput·output and ε̂ = noiseFromX·x_t + noiseFromOutput·output: docs/maths.md (5.1).
package struct PredictionCoefficients: Hashable, Sendable {
    package let imageFromX: Double
    package let imageFromOutput: Double
    package let noiseFromX: Double
    package let noiseFromOutput: Double
}
