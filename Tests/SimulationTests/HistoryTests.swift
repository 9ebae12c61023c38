import Testing

@testable import Simulation

/// The real machines, with everything that can go wrong: nothing that must not happen does, and all comes to its end.
@Suite struct HistoryTests {
    @Test(arguments: UInt64(1)...8) func holds(seed: UInt64) {
        var settings = SimulationSettings(seed: seed)
        settings.hours = 0.12
        let report = Simulation(settings).run()
        #expect(report.violations.isEmpty, "\(report.failure)")
        #expect(report.accepted > 50 && report.surfaced > 30 && report.faults.values.reduce(0, +) > 50)
    }

    /// So that the bound of fairness is held against something.
    @Test func turnsAreCompared() {
        var settings = SimulationSettings(seed: 1)
        settings.hours = 0.05
        settings.faults = [.flood]
        let report = Simulation(settings).run()
        #expect(report.violations.isEmpty, "\(report.failure)")
        #expect(report.turnsCompared > 20)
    }

    @Test(arguments: Fault.allCases) func holdsUnderOneKindOfFault(fault: Fault) {
        var settings = SimulationSettings(seed: 100)
        settings.hours = 0.05
        settings.faults = [fault]
        if fault == .brokerLoss || fault == .drain { settings.brokers = 2 }
        let report = Simulation(settings).run()
        #expect(report.violations.isEmpty, "\(report.failure)")
    }

    /// Clients and workers that know several brokers, one of which is gone for good in some histories.
    @Test(arguments: [(UInt64(1), 2), (2, 2), (3, 3), (4, 2), (5, 3)]) func holdsWithSeveralBrokers(
        seed: UInt64, brokers: Int
    ) {
        var settings = SimulationSettings(seed: seed)
        settings.hours = 0.12
        settings.brokers = brokers
        // They take the longest; one of each number of brokers has them.
        if seed > 3 { settings.faults.remove(.flood) }
        let report = Simulation(settings).run()
        #expect(report.violations.isEmpty, "\(report.failure)")
        #expect(report.accepted > 50 && report.surfaced > 30)
    }

    @Test func aSeedReplays() {
        func history(_ seed: UInt64) -> UInt64 {
            var settings = SimulationSettings(seed: seed)
            settings.hours = 0.05
            return Simulation(settings).run().fingerprint
        }
        #expect(history(5) == history(5))
        #expect(history(5) != history(6))
    }

    @Test func aQuietHistoryLosesNothing() {
        var settings = SimulationSettings(seed: 3)
        settings.hours = 0.1
        settings.faults = []
        let report = Simulation(settings).run()
        #expect(report.violations.isEmpty, "\(report.failure)")
        #expect(report.deadLetters == 0 && report.faults.isEmpty)
    }
}
