import Foundation
import Testing
import Topology

@testable import LoadTest

/// When jobs come due, against the closed form.
struct ArrivalTests {
    private func all(_ stream: ArrivalStream) -> [Double] {
        var stream = stream, times: [Double] = []
        while let time = stream.next() { times.append(time) }
        return times
    }

    @Test func constantJobsAreEvenlySpaced() {
        let stage = LoadPlan.Stage(duration: .seconds(2), from: 10, to: 10)
        let times = all(ArrivalStream([stage], arrivals: .constant, seed: 1))
        #expect(times.count == 20)
        for (index, time) in times.enumerated() { #expect(abs(time - (Double(index) + 0.5) / 10) < 1e-9) }
    }

    /// Of a ramp from 0 to r over d seconds, the n-th job is due where r·t²/2d = n + ½.
    @Test func aRampFollowsItsParabola() {
        let stage = LoadPlan.Stage(duration: .seconds(10), from: 0, to: 20)
        let times = all(ArrivalStream([stage], arrivals: .constant, seed: 1))
        #expect(times.count == 100)
        for (index, time) in times.enumerated() {
            #expect(abs(time - ((Double(index) + 0.5) * 2 * 10 / 20).squareRoot()) < 1e-9)
        }
    }

    @Test func stagesFollowOneAnother() {
        let stages = [
            LoadPlan.Stage(duration: .seconds(1), from: 4, to: 4),
            LoadPlan.Stage(duration: .seconds(5), from: 0, to: 0),
            LoadPlan.Stage(duration: .seconds(1), from: 4, to: 0),
        ]
        let times = all(ArrivalStream(stages, arrivals: .constant, seed: 1))
        #expect(times.count == 6)
        #expect(times[3] < 1 && times[4] >= 6 && times[5] < 7)
        // 4x − 2x² = ½ and 3/2 in the last stage.
        #expect(abs(times[4] - 6 - (1 - (0.75).squareRoot())) < 1e-9)
        #expect(abs(times[5] - 6 - 0.5) < 1e-9)
    }

    /// Streams of several threads, each with its part and its phase, make the one stream together.
    @Test func partsInterleave() {
        let stage = LoadPlan.Stage(duration: .seconds(3), from: 30, to: 30)
        let parts = (0..<3).flatMap { place in
            all(
                ArrivalStream(
                    [stage], scale: 1.0 / 3, arrivals: .constant, phase: (Double(place) + 0.5) / 3, seed: 1))
        }.sorted()
        let whole = all(ArrivalStream([stage], arrivals: .constant, seed: 1))
        #expect(parts.count == whole.count)
        for (part, one) in zip(parts, whole) { #expect(abs(part - one) < 1e-9) }
    }

    /// 4,000 arrivals: their number and the spread of their gaps are a Poisson process's, within five standard deviations.
    @Test func poissonGapsAreExponential() {
        let stage = LoadPlan.Stage(duration: .seconds(40), from: 100, to: 100)
        let times = all(ArrivalStream([stage], arrivals: .poisson, seed: 3))
        #expect(abs(Double(times.count) - 4_000) < 5 * 4_000.0.squareRoot())
        let gaps = zip(times, times.dropFirst()).map { $1 - $0 }
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        #expect(abs(variance.squareRoot() / mean - 1) < 0.1)
        #expect(gaps.allSatisfy { $0 > 0 })
        #expect(times == all(ArrivalStream([stage], arrivals: .poisson, seed: 3)))
        #expect(times != all(ArrivalStream([stage], arrivals: .poisson, seed: 4)))
    }

    @Test func noRateIsNoJob() {
        let stage = LoadPlan.Stage(duration: .seconds(5), from: 0, to: 0)
        for arrivals in LoadPlan.Arrivals.allCases {
            #expect(all(ArrivalStream([stage], arrivals: arrivals, seed: 1)).isEmpty)
        }
    }
}
