import ArgumentParser
import Exchange
import Foundation
import Journal
import Wire

/// `collafuse jobs`
struct Jobs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at the jobs in a broker's journal; queue dead letters again or drop them.",
        discussion: """
            A job that brought its worker down too often is given up, and waits here for the operator. Listing and showing may \
            be done while the broker runs; to retry or drop, stop it first: its clients and workers wait for it.

              collafuse jobs list --kit nodes/broker
              collafuse jobs retry 3f2a91 --kit nodes/broker
            """,
        subcommands: [List.self, Show.self, Retry.self, Drop.self])

    struct Place: ParsableArguments {
        @Option(help: ArgumentHelp("The broker's kit, if the journal lies beside it.", valueName: "folder"))
        var kit: String?

        @Option(help: ArgumentHelp("The journal, as the broker's own --journal: sqlite:FILE.", valueName: "where"))
        var journal: JournalOption?

        func url() throws -> URL { try Self.url(kit: kit, journal: journal) }

        static func url(kit: String?, journal: JournalOption?) throws -> URL {
            switch (journal, kit) {
            case (.sqlite(let url), _): return url
            case (.memory, _):
                throw ValidationError("a journal in memory ends with its broker: there is nothing to look at")
            case (nil, let kit?): return JournalOption.file(besideKit: kit)
            case (nil, nil): throw ValidationError("name the broker's --kit, or its --journal sqlite:FILE")
            }
        }

        /// The one job whose id begins so.
        func job(_ id: String) throws -> JobReport {
            let found = try SQLiteStore.jobs(in: url()).filter { $0.key.job.description.hasPrefix(id.lowercased()) }
            guard let job = found.first, !id.isEmpty else { throw CommandFailure("no job's id begins with '\(id)'") }
            guard found.count == 1 else {
                throw CommandFailure("the ids of \(found.count) jobs begin with '\(id)': write more of it")
            }
            return job
        }

        func settle(_ id: String, retrying: Bool) throws {
            let job = try job(id)
            guard job.state == .deadLetter else {
                throw CommandFailure("job \(job.key.job.short) is no dead letter: it is \(job.state.rawValue)")
            }
            try SQLiteStore.settle([job.key], in: url(), retrying: retrying)
            print(retrying ? "queued again: \(job.key.job)" : "dropped: \(job.key.job)")
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List dead letters, a line each.")

        @Flag(help: "All jobs that are not forgotten.") var all = false
        @OptionGroup var place: Place

        func run() throws {
            for job in try SQLiteStore.jobs(in: place.url()) where all || job.state == .deadLetter {
                print(
                    "\(job.key.job)  client \(job.key.client.short)  \(job.kindName)  \(job.state.rawValue)  "
                        + "\(job.attempts) attempts  \(job.bytes) bytes")
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show all that is known of a job but its contents.")

        @Argument(help: "The beginning of its id.") var id: String
        @OptionGroup var place: Place

        func run() throws {
            let job = try place.job(id)
            print(
                """
                job       \(job.key.job)
                client    \(job.key.client)
                kind      \(job.kindName)
                state     \(job.state.rawValue)
                attempts  \(job.attempts)
                suspect   \(Self.suspicion(of: job))
                bytes     \(job.bytes)
                run       \(job.run)
                created   \(Self.date(job.created))
                expires   \(Self.date(job.expires))
                """)
        }

        private static func suspicion(of job: JobReport) -> String {
            job.isSuspect ? "yes: it shared a pass that failed; workers lost while it ran alone: \(job.crashes)" : "no"
        }

        private static func date(_ milliseconds: Int64) -> String {
            Date(timeIntervalSince1970: Double(milliseconds) / 1000).ISO8601Format()
        }
    }

    struct Retry: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Queue a dead letter again. The broker must be stopped.")

        @Argument(help: "The beginning of its id.") var id: String
        @OptionGroup var place: Place

        func run() throws { try place.settle(id, retrying: true) }
    }

    struct Drop: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a dead letter; its client is told that it was cancelled. The broker must be stopped.")

        @Argument(help: "The beginning of its id.") var id: String
        @OptionGroup var place: Place

        func run() throws { try place.settle(id, retrying: false) }
    }
}

extension JobReport {
    var kindName: String {
        switch kind {
        case .publish: "publish"
        case .denoise: "denoise"
        default: "unknown"
        }
    }
}
