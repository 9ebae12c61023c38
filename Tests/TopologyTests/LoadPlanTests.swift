import Foundation
import Testing

@testable import Topology

/// What a load plan may say, and what it is told when it says something else.
struct LoadPlanTests {
    @Test(arguments: [
        ("250us", 250_000), ("5ms", 5_000_000), ("1.5s", 1_500_000_000), ("2m", 120_000_000_000),
        ("1h", 3_600_000_000_000), ("0s", 0),
    ])
    func durationsAreRead(_ text: String, _ nanoseconds: Int64) throws {
        #expect(try #require(Duration(spelled: text)).nanoseconds == nanoseconds)
    }

    @Test(arguments: ["", "5", "ms", "-1s", "5 parsecs", "nans", "infs", "1e30h", "5sm"])
    func whatIsNoDurationIsRefused(_ text: String) { #expect(Duration(spelled: text) == nil) }

    @Test func stagesAreRead() throws {
        #expect(LoadPlan.Stage(spelled: "30s@100") == .init(duration: .seconds(30), from: 100, to: 100))
        #expect(LoadPlan.Stage(spelled: "2m@100..500/s") == .init(duration: .seconds(120), from: 100, to: 500))
        for bad in ["30s", "30s@", "@100", "30s@a", "30s@1..2..3", "30s@-1", "30@100", "30s@nan"] {
            #expect(LoadPlan.Stage(spelled: bad) == nil, "\(bad)")
        }
    }

    @Test func thePlanOfTheRepositoryIsRead() throws {
        let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../topology/loadtest.yaml")
        let plan = try LoadPlan(contentsOf: url, overrides: ["tenants.steady.clients=7", "arrivals=constant"])
        #expect(plan.arrivals == .constant)
        #expect(plan.tenants.map(\.name) == ["steady", "roaming", "slow", "thinking", "flooder"])
        #expect(plan.tenants[0].clients == 7 && plan.tenants[0].images == [1, 4])
        #expect(plan.tenants[3].think == .seconds(2) && plan.tenants[4].rate == 150)
        #expect(plan.duration == .seconds(35))
    }

    @Test(arguments: [
        ("stages: [5s@1]\ntenants: [{name: a}]", "needs 'clients'"),
        ("stages: [5s@1]\ntenants: [{name: a, clients: 1, chrun: 1s}]", "churn"),
        ("stages: [5@1]\ntenants: [{name: a, clients: 1}]", "30s@100"),
        ("stages: []\ntenants: [{name: a, clients: 1}]", "empty"),
        ("stages: [5s@1]\ntenants: [{name: a, clients: 1}, {name: a, clients: 1}]", "one name"),
        ("stages: [5s@1]\ntenants: [{name: a, clients: 1, rate: 5, think: 1s}]", "not both"),
        ("stages: [5s@1]\ntenants: [{name: a, clients: 1, publish: 2}]", "0.0 to 1.0"),
        ("stages: [5s@1]\ntenants: [{name: a, clients: 1, images: [0]}]", "1 to 1024"),
        ("stages: [5s@1]\ntenants: [{name: a, clients: 1, think: soon}]", "500ms"),
        ("stages: [{for: 5s, from: 1}]\ntenants: [{name: a, clients: 1}]", "needs 'to'"),
        ("arrivals: poison\nstages: [5s@1]\ntenants: [{name: a, clients: 1}]", "poisson"),
        ("stages: [0s@1]\ntenants: [{name: a, clients: 1}]", "stages last"),
    ])
    func badPlansAreRefused(_ yaml: String, _ word: String) {
        let error = #expect(throws: TopologyError.self) { try LoadPlan(yaml: yaml, file: "plan.yaml") }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        #expect(error?.description.hasPrefix("plan.yaml") == true)
    }
}
