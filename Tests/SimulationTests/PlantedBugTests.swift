import Testing

@testable import Simulation

/// The simulator finds what it is for: each bug that is planted shows within some seeds, and without it the same seeds hold.
@Suite struct PlantedBugTests {
    static let seeds = UInt64(1)...40

    static func settings(_ seed: UInt64, _ bug: PlantedBug) -> SimulationSettings {
        var settings = SimulationSettings(seed: seed)
        settings.hours = 0.1
        switch bug {
        case .firstComeFirstServed, .weightsIgnored, .prioritiesIgnored, .nothingAges: break
        // Quicker, and enough.
        default: settings.faults.remove(.flood)
        }
        return settings
    }

    @Test(arguments: PlantedBug.allCases) func isFound(bug: PlantedBug) {
        for seed in Self.seeds {
            let report = Simulation(Self.settings(seed, bug), bug: bug).run()
            guard let first = report.violations.first else { continue }
            print("planted bug \(bug.rawValue): found by seed \(seed): \(first)")
            #expect(report.failure.contains("--seed \(seed) --hours 0.1"))
            let sound = Simulation(Self.settings(seed, bug)).run()
            #expect(sound.violations.isEmpty, "\(sound.failure)")
            return
        }
        Issue.record("\(bug) was not found")
    }
}
