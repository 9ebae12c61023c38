import Exchange
import Foundation
import Journal
import Testing
import Wire

@Suite struct JobsTests {
    @Test func deadLettersAreListedShownQueuedAgainAndDropped() async throws {
        try await inTemporaryFolder { folder in
            let file = folder.appending(path: "journal.sqlite")
            var random = SystemRandomNumberGenerator()
            let jobs = (0..<3).map { _ in
                Envelope(
                    client: ClientID.random(using: &random), job: JobID.random(using: &random), kind: .denoise,
                    run: RunID.random(using: &random), created: 1_800_000_000_000, expires: 1_900_000_000_000,
                    poolKey: PoolKeyID.random(using: &random), clientEphemeralKey: [UInt8](repeating: 1, count: 32))
            }
            do {
                let store = try SQLiteStore(file)
                _ = try store.recover()
                try store.commit(jobs.map { .accepted($0.key, envelope: $0.bytes, sealed: [1, 2, 3]) })
                try store.commit(
                    jobs.prefix(2).flatMap { job -> [JournalEntry] in
                        [
                            .attempted(job.key, attempt: 4, epoch: 1), .suspected(job.key, crashes: 3),
                            .ended(job.key, code: .deadLetter),
                        ]
                    })
            }
            func run(_ words: String...) throws -> CommandRun {
                try CommandRun.of(
                    CommandRun.binaries.appending(path: "collafuse"),
                    ["jobs"] + words + ["--journal", "sqlite:\(file.path)"], in: folder)
            }
            let ids = jobs.map { $0.job.description }
            let list = try run("list")
            #expect(list.status == 0 && list.output.split(separator: "\n").count == 2, "\(list.output)")
            #expect(
                list.output.contains(
                    "\(ids[0])  client \(jobs[0].client.short)  denoise  dead-letter  4 attempts  3 bytes"))
            #expect(
                try run("list", "--all").output.contains("\(ids[2])  client \(jobs[2].client.short)  denoise  queued"))
            let shown = try run("show", String(ids[1].prefix(12)))
            #expect(
                shown.output.contains("run       \(jobs[1].run)") && shown.output.contains("2027-01-15"),
                "\(shown.output)")
            #expect(shown.output.contains("workers lost while it ran alone: 3"), "\(shown.output)")
            #expect(try run("show", ids[2]).output.contains("suspect   no"))
            #expect(try run("retry", ids[0]).output == "queued again: \(ids[0])\n")
            #expect(try run("drop", ids[1]).output == "dropped: \(ids[1])\n")
            let refused = try run("drop", ids[2])
            #expect(
                refused.status != 0 && refused.output.contains("is no dead letter: it is queued"), "\(refused.output)")
            let found = try SQLiteStore(file).recover().entries.map { "\($0)" }
            let expected: [JournalEntry] = [
                .accepted(jobs[0].key, envelope: jobs[0].bytes, sealed: [1, 2, 3]),
                .attempted(jobs[0].key, attempt: 4, epoch: 1),
                .suspected(jobs[0].key, crashes: 0),
                .accepted(jobs[1].key, envelope: jobs[1].bytes, sealed: []),
                .attempted(jobs[1].key, attempt: 4, epoch: 1),
                .suspected(jobs[1].key, crashes: 3),
                .ended(jobs[1].key, code: .cancelled),
                .accepted(jobs[2].key, envelope: jobs[2].bytes, sealed: [1, 2, 3]),
            ]
            #expect(found == expected.map { "\($0)" })
        }
    }

    @Test func aJournalInUseIsReadAndNotChanged() async throws {
        try await inTemporaryFolder { folder in
            let store = try SQLiteStore(folder.appending(path: "journal.sqlite"))
            _ = try store.recover()
            func run(_ words: String...) throws -> CommandRun {
                try CommandRun.of(
                    CommandRun.binaries.appending(path: "collafuse"), ["jobs"] + words + ["--kit", folder.path])
            }
            #expect(try run("list").status == 0)
            let wrong = try CommandRun.of(
                CommandRun.binaries.appending(path: "collafuse"), ["jobs", "list", "--journal", "sqlite:/nowhere/x"])
            #expect(wrong.status != 0 && wrong.output.contains("there is no journal /nowhere/x"), "\(wrong.output)")
            withExtendedLifetime(store) {}
        }
    }
}
