import ArgumentParser
import Foundation
import Trust

/// `collafuse keys add`
struct KeysAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Certify a client, worker or broker.",
        discussion: """
            With --request, the node made its keys itself (`collafuse keys new`). Without, they are made here, in \
            nodes/NAME of the operator's folder: for a demo, and for one's own machines.

            A new worker can open nothing until `collafuse keys pool` is run.
            """)

    @Argument(help: "client, worker or broker.")
    var kind: NodeKind

    @Argument(help: "1 to 40 of a–z, 0–9, - and _.")
    var name: String

    @Option(
        help: ArgumentHelp("The node.request of a kit that was made elsewhere.", valueName: "file"), completion: .file()
    )
    var request: String?

    @Option(
        parsing: .upToNextOption, help: ArgumentHelp("Of a worker: denoise, train, or both.", valueName: "role"))
    var roles: [PoolRole] = PoolRole.allCases

    @Flag(help: "The client may not publish.")
    var noPublish = false

    @Flag(help: "The client may not ask for samples.")
    var noDenoise = false

    @Option(help: "Clients of a higher priority are served first.")
    var priority: UInt32 = 0

    @Option(help: "A client's share within its priority.")
    var weight: UInt32 = 1

    @Option(help: "Jobs that the client may have at a broker at a time; 0: the broker's default.")
    var jobs: UInt32 = 0

    @Option(help: "Bytes that the client may have at a broker at a time; 0: the broker's default.")
    var bytes: UInt64 = 0

    @Option(help: "Days that a worker's or broker's certificate is valid.")
    var days: Int64 = 365

    @OptionGroup var folder: OperatorOptions

    func validate() throws {
        guard (1...3650).contains(days) else { throw ValidationError("--days is 1 to 3650") }
        guard weight > 0 else { throw ValidationError("--weight is at least 1") }
    }

    func run() throws {
        let now = Keys.now
        let signer = try Operator(opening: folder.url, now: now)
        let grant = Operator.Grant(
            rights: .init(publish: !noPublish, denoise: !noDenoise), priority: priority, weight: weight, jobQuota: jobs,
            byteQuota: bytes, roles: Set(roles), lifetime: days * .day)
        guard let request else {
            let made = try signer.addNode(kind, name: NodeName(name), grant: grant, now: now)
            return print("\(kind.rawValue) \(name) is certified; its kit is \(made.folder.path)")
        }
        let asked = try NodeRequest(bytes: Array(Data(contentsOf: URL(filePath: request))))
        guard asked.kind == kind, asked.name.description == name else {
            throw TrustError(
                .unknown, "\(request) is of \(asked.kind.rawValue) \(asked.name), not of \(kind.rawValue) \(name)")
        }
        try signer.certify(asked, grant: grant, now: now)
        print("\(kind.rawValue) \(name) is certified; give it a copy of \(signer.deploymentFolder.path)")
    }
}

extension PoolRole: ExpressibleByArgument {}
