internal import Foundation
internal import Launch

/// A process that stands in the middle, until it is stopped.
final class Server {
    /// Where a broker keeps jobs.
    enum Storage: Sendable {
        case memory
        case file(URL)

        fileprivate var spelling: String {
            switch self {
            case .memory: "memory"
            case .file(let url): "sqlite:\(url.path)"
            }
        }
    }

    private struct Announcement: Decodable {
        let clients: String
        let workers: String
    }

    private let companions = Companions()
    private let folder: URL
    private(set) var clients = ""
    private(set) var workers = ""
    private(set) var process: pid_t = 0
    /// From the process's first moment to that at which it listens.
    private(set) var secondsToStart = 0.0

    /// - Parameters:
    ///   - command: of `collafuse`; it announces where it listens.
    ///   - folder: for what it says.
    init(_ name: String, binary: URL, command: [String], in folder: URL) async throws {
        self.folder = folder
        let announce = folder.appending(path: "\(name).json"), log = folder.appending(path: "\(name).log")
        try? FileManager.default.removeItem(at: announce)
        companions.start(
            .init(name: name, executable: binary, arguments: command + ["--announce", announce.path], log: log))
        let clock = ContinuousClock(), asked = clock.now
        var began = asked
        while true {
            if process == 0, let process = companions.process(name) {
                self.process = process
                began = clock.now
            }
            if let data = try? Data(contentsOf: announce),
                let said = try? JSONDecoder().decode(Announcement.self, from: data)
            {
                clients = said.clients
                workers = said.workers
                break
            }
            if let fault = companions.fault {
                let said = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
                throw BenchFault("\(fault): \(said)")
            }
            guard clock.now - asked < .seconds(120) else { throw BenchFault("\(name) does not start: see \(log.path)") }
            try await Task.sleep(for: .milliseconds(1))
        }
        secondsToStart = (clock.now - began) / .seconds(1)
    }

    deinit { companions.stop() }

    func stop() { companions.stop() }

    /// - Parameter core: the only one it may use; nil: any.
    static func broker(
        _ settings: BrokerBench.Settings, _ storage: Storage, in folder: URL, core: Int? = nil
    ) async throws -> Server {
        let pinned = core.map { ["--cpu-list", "\($0)", settings.binary.path] } ?? []
        return try await Server(
            "broker", binary: core == nil ? settings.binary : taskset,
            command: pinned + [
                "broker", "--kit", folder.appending(path: "nodes/broker").path, "--deployment",
                folder.appending(path: "public").path, "--clients", "tcp://127.0.0.1:*", "--workers",
                "tcp://127.0.0.1:*", "--journal", storage.spelling, "--metrics", metrics(in: folder).path,
            ], in: folder)
    }

    /// libzmq's proxy, or a ROUTER that sends back what comes; both with CURVE under the broker's key.
    static func bare(_ kind: BareServer.Kind, _ settings: BrokerBench.Settings, in folder: URL) async throws -> Server {
        try await Server(
            kind.rawValue, binary: settings.binary,
            command: ["bench", "bare", kind.rawValue, "--kit", folder.appending(path: "nodes/broker").path], in: folder)
    }

    static let taskset = URL(filePath: "/usr/bin/taskset")

    private static func metrics(in folder: URL) -> URL { folder.appending(path: "broker.jsonl") }

    /// What a broker's journal did, of one that was stopped.
    struct JournalWork: Decodable, Sendable {
        fileprivate let commits: Int
        fileprivate let seconds: Double
        /// Of payloads and results that were written.
        let bytes: Int
        /// Seconds that a commit took, on average.
        var commit: Double { seconds / Double(commits) }

        private enum CodingKeys: String, CodingKey {
            case commits = "journal_commits", seconds = "journal_seconds", bytes = "journal_bytes"
        }
    }

    static func journalWork(in folder: URL) throws -> JournalWork {
        let text = try String(contentsOf: metrics(in: folder), encoding: .utf8)
        guard let last = text.split(separator: "\n").last,
            let work = try? JSONDecoder().decode(JournalWork.self, from: Data(last.utf8)), work.commits > 0
        else { throw BenchFault("the broker wrote no figures of its journal") }
        return work
    }

    /// Bytes of memory that are its alone and resident.
    static func memory(of process: pid_t) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
            let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
        else { throw BenchFault("the system does not say what memory process \(process) has") }
        return kibibytes * 1024
    }

    /// Seconds of processor time that it has used.
    var processorTime: Double { get throws { try Self.processorTime(of: process) } }

    static func processorTime(of process: pid_t) throws -> Double {
        let line = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        // The name, in parentheses, may hold spaces.
        let fields = line.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
            throw BenchFault("the system does not say what time process \(process) has used")
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}
