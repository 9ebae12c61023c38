internal import Foundation

/// Another broker, installed and driven by a script of ours.
struct Peer {
    enum Kind: String, Sendable {
        case rabbitmq, redis, nats
    }

    private let kind: Kind
    private let settings: BrokerBench.Settings

    init(_ kind: Kind, _ settings: BrokerBench.Settings) {
        self.kind = kind
        self.settings = settings
    }

    /// Why it cannot be measured here; nil: it can.
    var obstacle: String? {
        get throws {
            let check = try Program.runNow(settings.peers, ["check", kind.rawValue])
            return check.status == 0
                ? nil
                : "\(kind.rawValue) is left out: \(check.output.trimmingCharacters(in: .whitespacesAndNewlines))"
        }
    }

    /// Jobs a second through a fresh server, by the same count: job stored, taken, result stored, taken.
    func rate(_ load: Load, in folder: URL) async throws -> Double {
        struct Said: Decodable { let rate: Double }
        guard case .inFlight(let inFlight) = load.pace else { throw BenchFault("a peer is driven as fast as it goes") }
        let run = try await Program.run(
            settings.peers,
            [
                "run", kind.rawValue, folder.appending(path: "peer").path, "\(load.seconds)", "\(load.warmUp)",
                "\(inFlight)", "\(load.bytes)",
            ])
        guard run.status == 0, let last = run.output.split(separator: "\n").last,
            let said = try? JSONDecoder().decode(Said.self, from: Data(last.utf8))
        else { throw BenchFault("\(kind.rawValue) cannot be measured: \(run.output)") }
        return said.rate
    }
}

/// A program that is run to its end.
enum Program {
    static func run(_ executable: URL, _ arguments: [String]) async throws -> (status: Int32, output: String) {
        try await onOwnThread(executable.lastPathComponent) { try runNow(executable, arguments) }
    }

    static func runNow(_ executable: URL, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process(), pipe = Pipe()
        process.executableURL = executable
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        do { try process.run() } catch { throw BenchFault("\(executable.path) cannot be started: \(error)") }
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
