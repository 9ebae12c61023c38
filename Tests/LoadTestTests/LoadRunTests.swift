import Chain
import Exchange
import Fabric
import Foundation
import Sealing
import Testing
import Topology
import Trust
import Workbench

@testable import LoadTest

/// A real broker and stub workers under a small load: what is counted is what happened.
@Suite(.serialized) struct LoadRunTests {
    /// Publishing, denoising, churn, slow readers and thinkers at once: whatever was offered came back right, once.
    @Test func everythingOfferedIsDoneAndVerified() async throws {
        let scene = try await LoadScene(clients: 24)
        let plan = LoadPlan(
            stages: [.init(duration: .seconds(2), from: 20, to: 60)],
            tenants: [
                .init(name: "steady", clients: 12, publish: 0.5, images: [1, 3]),
                .init(name: "roaming", clients: 4, churn: .milliseconds(400)),
                .init(name: "slow", clients: 4, slow: 1, slowPause: .milliseconds(100)),
                .init(name: "thinking", clients: 4, think: .milliseconds(200)),
            ])
        let report = try await scene.load(plan, threads: 2)
        let counts = report.counts, tally = report.tally
        #expect(counts.offered > 60, "\(report.text)")
        #expect(counts.done == counts.offered, "\(report.text)")
        #expect(counts.sent == counts.offered && counts.accepted == counts.offered)
        #expect(counts.lost + counts.wrong + counts.timeouts + counts.refused + counts.ended == 0)
        #expect(tally.duplicates == 0)
        #expect(tally.churned > 0)
        #expect(tally.endToEnd.count == UInt64(counts.done) && tally.service.count == UInt64(counts.done))
        #expect(tally.tenants.allSatisfy { $0.counts.done > 0 })
        // The stub took two milliseconds, and the parts of a job's time are parts of the whole.
        #expect(try #require(tally.service.percentile(0)) >= 2)
        #expect(try #require(tally.endToEnd.percentile(0)) >= 2)
        #expect(report.outcome.done.map { $0.reduce(0, +) } == tally.tenants.map(\.counts.done))
        #expect(report.csv.split(separator: "\n").count == report.outcome.seconds.count + 1)
        #expect(report.outcome.seconds.reduce(0) { $0 + $1.counts.done } == counts.done)
    }

    /// Constant arrivals are exactly as many as the stages' area, whatever the number of threads.
    @Test func constantArrivalsAreCountedExactly() async throws {
        let scene = try await LoadScene(clients: 6)
        let plan = LoadPlan(
            arrivals: .constant, stages: [.init(duration: .seconds(1), from: 30, to: 30)],
            tenants: [.init(name: "a", clients: 6)])
        let report = try await scene.load(plan, threads: 2)
        #expect(report.counts.offered == 30)
        #expect(report.counts.done == 30)
        #expect(report.outcome.done[0].sorted() == [5, 5, 5, 5, 5, 5])
    }

    @Test func wrongResultsAreSeen() async throws {
        let scene = try await LoadScene(clients: 2, workers: 1) { LyingEngine(identity: $0) }
        let plan = LoadPlan(
            arrivals: .constant, stages: [.init(duration: .seconds(1), from: 10, to: 10)],
            tenants: [.init(name: "a", clients: 2, publish: 0)])
        let report = try await scene.load(plan)
        #expect(report.counts.wrong == 10 && report.counts.done == 0)
        #expect(report.tally.firstWrong?.contains("samples") == true)
    }

    /// One job at a time for each client, and jobs that take long: the broker refuses, the report says with which code, and what
    /// was refused for now comes back in the end.
    @Test func rejectsAreCountedByCode() async throws {
        var core = BrokerConfiguration()
        core.limits.jobsPerClient = 1
        core.limits.retryAfter = 50
        let scene = try await LoadScene(clients: 1, workers: 1, core: core) { identity in
            StubEngine(desk: identity.desk, run: identity.run, service: 100_000_000, slots: 1)
        }
        let plan = LoadPlan(
            arrivals: .constant, stages: [.init(duration: .seconds(1), from: 16, to: 16)],
            tenants: [.init(name: "a", clients: 1, publish: 0)])
        let report = try await scene.load(plan)
        #expect(report.tally.rejects["tooManyJobs", default: 0] > 0, "\(report.text)")
        #expect(report.counts.done == 16)
    }

    /// Nothing is answered, and much is asked for: the generator keeps no more than it may, and says so.
    @Test func whatIsKeptIsBounded() async throws {
        let scene = try await LoadScene(clients: 2, workers: 1) { identity in
            StubEngine(desk: identity.desk, run: identity.run, service: 60_000_000_000, slots: 4)
        }
        let plan = LoadPlan(
            arrivals: .constant, stages: [.init(duration: .seconds(1), from: 40, to: 40)],
            tenants: [.init(name: "a", clients: 2, publish: 0)], timeout: .milliseconds(300), drain: .milliseconds(300))
        // Whatever it denoises, a job without images takes a kibibyte and what sealing adds.
        let report = try await scene.load(plan, mostKept: 8 << 10)
        #expect(report.counts.offered == 40)
        #expect((4...8).contains(report.counts.sent), "\(report.text)")
        #expect(report.text.contains("\(40 - report.counts.sent) jobs were held back here"))
        #expect(report.tally.lag.missing == report.counts.held && report.tally.endToEnd.missing == 40)
    }

    /// A worker that never answers: jobs time out, and those that were accepted are told as lost.
    @Test func whatNeverComesBackIsLost() async throws {
        let scene = try await LoadScene(clients: 2, workers: 1) { identity in
            StubEngine(desk: identity.desk, run: identity.run, service: 60_000_000_000, slots: 4)
        }
        let plan = LoadPlan(
            arrivals: .constant, stages: [.init(duration: .seconds(1), from: 5, to: 5)],
            tenants: [.init(name: "a", clients: 2)], timeout: .milliseconds(300), drain: .milliseconds(600))
        let report = try await scene.load(plan)
        #expect(report.counts.offered == 5 && report.counts.accepted == 5)
        #expect(report.counts.timeouts == 5 && report.counts.lost == 5)
        // They weigh in the times, with what they waited: until the end, since that was longer than their time-out.
        #expect(report.tally.endToEnd.missing == 5 && report.tally.accept.missing == 0)
        #expect(try #require(report.tally.endToEnd.percentile(0)) >= 600)
    }

    /// A test that did not wait for its results, and one after it: they come to its clients, and are no duplicates of theirs.
    @Test func anEarlierTestsResultsCountNowhere() async throws {
        let scene = try await LoadScene(clients: 2, workers: 1) { identity in
            StubEngine(desk: identity.desk, run: identity.run, service: 400_000_000, slots: 8)
        }
        func plan(_ rate: Double, drain: Duration) -> LoadPlan {
            LoadPlan(
                arrivals: .constant, stages: [.init(duration: .seconds(1), from: rate, to: rate)],
                tenants: [.init(name: "a", clients: 2)], drain: drain)
        }
        let first = try await scene.load(plan(8, drain: .zero))
        let open = first.counts.lost + first.counts.unanswered
        #expect(open > 0 && first.tally.strays == 0, "\(first.text)")
        let second = try await scene.load(plan(2, drain: .seconds(30)))
        #expect(second.counts.done == 2 && second.tally.duplicates == 0, "\(second.text)")
        #expect((1...open).contains(second.tally.strays), "\(second.text)")
    }

    /// One worker answers a few jobs, the first of them in time; then come late ones, lost ones, refused ones, and some that
    /// were never sent: each job ends in one of these, and stands in the end-to-end times once.
    @Test(arguments: [1, 2] as [UInt64])
    func everyJobEndsInOneCount(_ seed: UInt64) async throws {
        var random = SplitMix64(seed: seed)
        var core = BrokerConfiguration()
        core.limits.jobsPerClient = 4
        core.limits.retryAfter = 50
        let service = UInt64.random(in: 20...60, using: &random) * 1_000_000
        let drain = Int.random(in: 0...300, using: &random)
        var isFirst = true
        let scene = try await LoadScene(clients: 5, workers: 2, core: core) { identity in
            defer { isFirst = false }
            if !isFirst { return LyingEngine(identity: identity) }
            return StubEngine(desk: identity.desk, run: identity.run, service: service, slots: 2)
        }
        let plan = LoadPlan(
            stages: [.init(duration: .seconds(1), from: 150, to: 150)],
            tenants: [
                .init(name: "a", clients: 4, publish: 0, churn: .milliseconds(300)),
                .init(name: "thinking", clients: 1, think: .milliseconds(5), publish: 0),
            ], seed: seed, timeout: .milliseconds(120), drain: .milliseconds(drain))
        let report = try await scene.load(plan, mostKept: 24 << 10)
        let counts = report.counts
        // Which of them there are is for the machine to say.
        let ends = [counts.done, counts.late, counts.wrong, counts.lost, counts.unanswered, counts.held]
        #expect(ends.count { $0 > 0 } >= 3, "\(report.text)")
    }

    /// Ended before its time: by the time that passed, the rates are those of the plan, and what was under way is waited for.
    @Test func aTestThatIsEndedEarlyIsReportedByItsOwnTime() async throws {
        let scene = try await LoadScene(clients: 4)
        let plan = LoadPlan(
            arrivals: .constant, stages: [.init(duration: .seconds(600), from: 50, to: 50)],
            tenants: [.init(name: "a", clients: 4)])
        let run = try LoadRun(plan, keys: scene.keys, brokers: scene.brokers, now: LoadScene.now)
        let outcome = try await run.run { progress in
            if progress.counts.done >= 50 { run.finish() }
            #expect(progress.duration <= 600)
        }
        let report = LoadScene.checked(outcome)
        #expect(report.counts.done == report.counts.offered && report.counts.done >= 50)
        #expect(outcome.stages < 60 && abs(report.offeredRate - 50) < 1, "\(report.text)")
        #expect(report.text.contains("ended early"))
    }

    /// Nobody listens, and whoever waits for that has enough: there is nothing to report.
    @Test func aTestThatIsEndedWhileItConnectsSaysSo() async throws {
        let scene = try await LoadScene(clients: 2, workers: 1)
        let plan = LoadPlan(
            stages: [.init(duration: .seconds(1), from: 1, to: 1)], tenants: [.init(name: "a", clients: 2)])
        let run = try LoadRun(plan, keys: scene.keys, brokers: ["tcp://127.0.0.1:1"], now: LoadScene.now)
        let error = await #expect(throws: LoadTestError.self) { try await run.run { _ in run.finish() } }
        #expect(error?.code == .interrupted)
    }

    /// A generator that ended in the middle, and another with its file of jobs: each job has its result, once.
    @Test func whatIsKeptIsGoneOnWith() async throws {
        let scene = try await LoadScene(clients: 4, workers: 1) { identity in
            StubEngine(desk: identity.desk, run: identity.run, service: 400_000_000, slots: 4)
        }
        let log = scene.folder.appending(path: "jobs.log")
        func plan(_ rate: Double) -> LoadPlan {
            LoadPlan(
                arrivals: .constant, stages: [.init(duration: .seconds(1), from: rate, to: rate)],
                tenants: [.init(name: "a", clients: 4, publish: 0.5)])
        }
        func words() throws -> [[Substring]] {
            try String(contentsOf: log, encoding: .utf8).split(separator: "\n").map { $0.split(separator: " ") }
        }
        let first = Task { try await scene.load(plan(20), log: log) }
        while (try? words())?.count(where: { $0[0] == "surfaced" }) ?? 0 < 3 {
            try await Task.sleep(for: .milliseconds(20))
        }
        first.cancel()
        _ = await first.result
        let sent = Set(try words().filter { $0[0] == "job" }.map { $0[1] })
        let before = try words().count { $0[0] == "surfaced" }
        #expect(sent.count > before)
        let report = try await scene.load(plan(0), log: log)
        #expect(report.counts.done == sent.count - before && report.tally.duplicates == 0, "\(report.text)")
        let surfaced = try words().filter { $0[0] == "surfaced" }
        #expect(surfaced.count == sent.count && Set(surfaced.map { $0[1] }) == sent)
        #expect(surfaced.allSatisfy { $0[2] == "right" })
    }

    @Test func badPlansAndKeysAreRefusedInWords() async throws {
        let scene = try await LoadScene(clients: 2, workers: 1)
        let stage = LoadPlan.Stage(duration: .seconds(1), from: 1, to: 1)
        let tooMany = LoadPlan(stages: [stage], tenants: [.init(name: "a", clients: 3)])
        await #expect(throws: LoadTestError.self) { try await scene.load(tooMany) }
        await #expect(throws: LoadTestError.self) { try await scene.load(LoadPlan(stages: [], tenants: [])) }
        let empty = scene.folder.appending(path: "nothing")
        #expect(throws: LoadTestError.self) { try LoadKeys(opening: empty, now: LoadScene.now) }
        // Nobody listens there.
        var settings = LoadRun.Settings()
        settings.patience = .milliseconds(300)
        let plan = LoadPlan(stages: [stage], tenants: [.init(name: "a", clients: 2)])
        let lonely = try LoadRun(
            plan, keys: scene.keys, brokers: ["tcp://127.0.0.1:1"], settings: settings, now: LoadScene.now)
        let error = await #expect(throws: LoadTestError.self) { try await lonely.run() }
        #expect(error?.code == .unreachable)
    }

    /// Keys of the same folder are the same, more can be added, and none of the first changes.
    @Test func keysGrow() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-load-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        func make(_ clients: Int) throws -> LoadKeys {
            try LoadKeys.make(
                .init(clients: clients, workers: 1, image: .init(channels: 1, height: 2, width: 2)), in: folder,
                now: LoadScene.now)
            return try LoadKeys(opening: folder, now: LoadScene.now)
        }
        let few = try make(2), more = try make(5)
        #expect(few.clients == 2 && more.clients == 5)
        for number in 0..<2 {
            #expect(try few.curve(number).key == more.curve(number).key)
            #expect(try few.sealer(number).client == more.sealer(number).client)
        }
        #expect(Set(try (0..<5).map { try more.curve($0).key }).count == 5)
        #expect(more.deployment.roster.clients.count == 5)
    }
}
