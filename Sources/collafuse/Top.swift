import ArgumentParser
import Foundation
import Monitoring
import Observability

/// `collafuse top`
struct Top: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch a broker: queue, workers, clients, times, dead letters.",
        discussion: """
            Reads the figures of a broker that was started with --metrics-listen, once a second, until Ctrl-C:

              collafuse broker --deployment public --kit nodes/broker --metrics-listen 9464
              collafuse top

            Without a terminal it says it once.
            """)

    @Option(
        help: ArgumentHelp(
            "Where the broker shows its figures; a port alone is of this machine. (default: 127.0.0.1:9464)",
            valueName: "host:port"),
        transform: { word in
            guard let address = ListenAddress(word) else {
                throw ValidationError("“\(word)” is no address; take 127.0.0.1:9464, [::1]:9464 or a port")
            }
            return address
        })
    var from = ListenAddress(port: 9464)

    @Flag(help: "Say it once.")
    var once = false

    func run() async throws {
        let isLive = !once && isatty(1) != 0
        var last: TopFigures?
        while true {
            do {
                let figures = try TopFigures(await MonitoringClient.get("/status", from: from))
                show(figures.text(since: last, at: from), isLive)
                last = figures
            } catch let error as MonitoringError where isLive && last != nil {
                // A broker that is started again comes back.
                show("\(error)\n", isLive)
            }
            guard isLive else { return }
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// In place on a terminal.
    private func show(_ text: String, _ isLive: Bool) {
        FileHandle.standardOutput.write(Data(((isLive ? "\u{1B}[H\u{1B}[2J" : "") + text).utf8))
    }
}

/// What a broker's `/status` tells.
struct TopFigures: Decodable {
    struct Role: Decodable {
        let role: String
        let workers: Int
        let slots: Int
        let leased: Int
        let queued: Int
    }

    struct Times: Decodable {
        let count: Int
        let p50: Double
        let p90: Double
        let p99: Double
    }

    struct Tenant: Decodable {
        let name: String
        let jobs: Int
        let bytes: Int
        let connected: Bool
    }

    let name: String
    let sessions: Int
    let jobs: Int
    let heldBytes: Int
    let accepted: Int
    let finished: Int
    let rejected: Int
    let leasesLost: Int
    let deadLetters: Int
    let expired: Int
    let roles: [Role]
    let waitSeconds: Times
    let jobSeconds: Times
    let clients: Int
    let tenants: [Tenant]
    private(set) var taken = Date()

    private enum CodingKeys: String, CodingKey {
        case name, sessions, jobs, heldBytes, accepted, finished, rejected, leasesLost, deadLetters, expired, roles,
            waitSeconds, jobSeconds, clients, tenants
    }

    /// - Throws: `CommandFailure` when it is not a broker's.
    init(_ data: Data) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do { self = try decoder.decode(TopFigures.self, from: data) } catch {
            throw CommandFailure(
                "what answers there is no broker that has begun: only a broker's figures can be watched, in a second or so"
            )
        }
    }

    func text(since last: TopFigures?, at address: ListenAddress) -> String {
        func rate(_ now: Int, _ before: Int?) -> String {
            guard let last, let before, taken > last.taken else { return "" }
            return String(format: " %8.1f/s", Double(now - before) / taken.timeIntervalSince(last.taken))
        }
        func time(_ seconds: Double) -> String {
            seconds < 1 ? String(format: "%.1f ms", seconds * 1_000) : String(format: "%.2f s", seconds)
        }
        func row(_ cells: String...) -> String { TextTable.row(cells, first: 20, others: 12) }
        func row(_ times: Times, _ name: String) -> String {
            row(name, time(times.p50), time(times.p90), time(times.p99), "\(times.count)")
        }
        var lines = [
            "broker \(name) at \(address)    \(sessions) sessions    \(jobs) jobs, \(heldBytes.inBytes) held", "",
            row("accepted", "\(accepted)") + rate(accepted, last?.accepted),
            row("finished", "\(finished)") + rate(finished, last?.finished),
            row("rejected", "\(rejected)") + rate(rejected, last?.rejected),
            "leases lost \(leasesLost)    expired \(expired)    dead letters \(deadLetters)",
            "", row("role", "workers", "slots", "leased", "queued"),
        ]
        for role in roles {
            lines.append(row(role.role, "\(role.workers)", "\(role.slots)", "\(role.leased)", "\(role.queued)"))
        }
        lines += [
            "", row("last 15 s", "p50", "p90", "p99", "jobs"), row(waitSeconds, "in the queue"),
            row(jobSeconds, "to a result"), "", row("client", "jobs", "held") + "    \(clients) in all",
        ]
        for tenant in tenants {
            lines.append(
                row(tenant.name, "\(tenant.jobs)", tenant.bytes.inBytes) + (tenant.connected ? "" : "    away"))
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
