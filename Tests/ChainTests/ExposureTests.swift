import Chain
import Foundation
import Testing

struct ExposureTests {
    @Test func epsilonAgreesWithAnIndependentSolver() throws {
        for golden in try Golden.load().privacy {
            let epsilon = GaussianPrivacy(mu: golden.mu).epsilon(delta: golden.delta)
            #expect(abs(epsilon - golden.epsilon) < 1e-6 * max(1, golden.epsilon), "μ \(golden.mu) δ \(golden.delta)")
        }
    }

    @Test func deltaFallsAsEpsilonRises() {
        let privacy = GaussianPrivacy(mu: 16)
        let deltas = stride(from: 0.0, to: 300, by: 10).map(privacy.delta(epsilon:))
        #expect(zip(deltas, deltas.dropFirst()).allSatisfy { $0 > $1 })
        #expect(GaussianPrivacy(mu: 0).epsilon(delta: 1e-5) == 0)
    }

    /// Averaging n masks of one image at the same cut leaves 1/n of the noise: n times the ratio.
    @Test func independentReleasesAddTheirRatios() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        var generator = SplitMix(state: 7)
        let cut = 700, n = 16, draws = 20_000
        var sum = 0.0, squares = 0.0
        for _ in 0..<draws {
            var mean = 0.0
            for _ in 0..<n {
                let u = Double.random(in: 1e-12..<1, using: &generator),
                    angle = Double.random(in: 0..<2 * .pi, using: &generator)
                mean += (-2 * log(u)).squareRoot() * cos(angle) * schedule.noiseShare(cut).squareRoot() / Double(n)
            }
            sum += mean
            squares += mean * mean
        }
        let left = squares / Double(draws) - (sum / Double(draws)) * (sum / Double(draws))
        var exposure = Exposure()
        for _ in 0..<n { exposure.add(snr: schedule.snr(cut)) }
        #expect(exposure.releases == n)
        #expect(relativeError(schedule.alphaBar(cut) / left, exposure.totalSNR) < 0.04)
        // 16 releases at 700 show as much as one much earlier.
        let effective = exposure.effectiveCut(on: schedule)
        #expect(effective < cut)
        #expect(schedule.snr(effective) >= exposure.totalSNR && schedule.snr(effective + 1) < exposure.totalSNR)
    }

    @Test func oneReleaseStaysAtItsCut() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        var exposure = Exposure()
        #expect(exposure.effectiveCut(on: schedule) == 1000)
        exposure.add(snr: schedule.snr(500))
        #expect(exposure.effectiveCut(on: schedule) == 500)
        #expect(relativeError(exposure.mu(dimensions: 64), 2 * (64 * schedule.snr(500)).squareRoot()) < 1e-12)
        for _ in 0..<10_000 { exposure.add(snr: schedule.snr(1)) }
        #expect(exposure.effectiveCut(on: schedule) == 0)
    }

    @Test func theLedgerRefusesToGoPastTheLimit() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        var ledger = ExposureLedger<String>(limit: try SNRFloor(snr: 2.5 * schedule.snr(500)))
        try ledger.record("a", snr: schedule.snr(500))
        try ledger.record("a", snr: schedule.snr(500))
        try ledger.record("b", snr: schedule.snr(500))
        #expect { try ledger.record("a", snr: schedule.snr(500)) } throws: { ($0 as? ChainError)?.code == .badExposure }
        #expect(ledger.exposure(of: "a").releases == 2)
        #expect(ledger.releases == 3)
        #expect(ledger.worst == ledger.exposure(of: "a"))
        #expect(ledger.exposure(of: "c").releases == 0)
    }

    @Test func floorsAreRatiosNotTimesteps() throws {
        let honest = try Schedule(.cosine(), timesteps: 1000)
        let doctored = try Schedule(.linear(start: 1e-6, end: 1e-5), timesteps: 1000)
        let floor = try SNRFloor(snr: honest.snr(500))
        #expect(floor.admits(try Cut(500, on: honest), on: honest))
        #expect(!floor.admits(try Cut(499, on: honest), on: honest))
        #expect(!floor.admits(try Cut(500, on: doctored), on: doctored))
        #expect(floor.lowestCut(on: honest)?.timestep == 500)
        #expect(floor.lowestCut(on: doctored) == nil)
        #expect(try SNRFloor(decibels: 10).snr == 10)
        for snr in [0, -1, .infinity, .nan] {
            #expect { try SNRFloor(snr: snr) } throws: { ($0 as? ChainError)?.code == .badExposure }
        }
    }
}
