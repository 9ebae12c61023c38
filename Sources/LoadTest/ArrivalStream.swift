internal import Exchange
package import Topology
internal import Workbench

/// When jobs are due, from the stages' rates alone: what the system under test does moves none of them (an open loop).
///
/// With Λ(t) the integral of the rate up to t, the n-th job of a constant stream is due when Λ = n + ½, and that of a Poisson stream
/// when Λ is the sum of n exponential gaps of mean 1 (time-rescaling: the process is of unit rate in Λ). Λ is made of parabolas, so
/// its inverse is exact.
package struct ArrivalStream: Sendable {
    private struct Piece {
        let start: Double
        let length: Double
        let from: Double
        let to: Double
        /// Λ at its start.
        let before: Double

        var area: Double { (from + to) / 2 * length }
    }

    private let pieces: [Piece]
    private let isPoisson: Bool
    private var random: SplitMix64
    private var target: Double
    private var place = 0

    /// - Parameters:
    ///   - scale: of the stages' rates, which is this stream's part.
    ///   - phase: of a constant stream, in 0 ..< 1: several streams with different phases interleave.
    package init(
        _ stages: [LoadPlan.Stage], scale: Double = 1, arrivals: LoadPlan.Arrivals, phase: Double = 0.5, seed: UInt64
    ) {
        var pieces: [Piece] = [], time = 0.0, area = 0.0
        for stage in stages {
            let piece = Piece(
                start: time, length: stage.duration.seconds, from: stage.from * scale, to: stage.to * scale,
                before: area)
            pieces.append(piece)
            time += piece.length
            area += piece.area
        }
        self.pieces = pieces
        isPoisson = arrivals == .poisson
        random = SplitMix64(seed: seed)
        target = isPoisson ? random.exponential() : phase
    }

    /// When the next job is due, in seconds from the start; nil: there is none.
    package mutating func next() -> Double? {
        while place < pieces.count, target >= pieces[place].before + pieces[place].area { place += 1 }
        guard place < pieces.count else { return nil }
        let piece = pieces[place]
        // ½·a·x² + from·x = target − before, a the slope; written so that it holds for a = 0 too.
        let slope = (piece.to - piece.from) / piece.length, want = target - piece.before
        let root = max(0, piece.from * piece.from + 2 * slope * want).squareRoot()
        let x = piece.from + root > 0 ? 2 * want / (piece.from + root) : 0
        target += isPoisson ? random.exponential() : 1
        return piece.start + min(x, piece.length)
    }
}
