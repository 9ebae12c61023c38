import ArgumentParser
import CollaFuseClient
import Foundation

/// Where a client keeps what it must remember.
struct HomeOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("This client's own folder: masking key, ledger, spool, head.", valueName: "dir"),
        completion: .directory)
    var home: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The most that one image's releases may show together, as a signal-to-noise ratio in decibels.",
            valueName: "dB"))
    var limitDb: Double?

    func validate() throws {
        guard let limitDb else { return }
        guard abs(limitDb) <= 200 else {
            throw ValidationError("--limit-db is a number of decibels in −200…200, such as 3: not \(limitDb)")
        }
    }

    func open(_ node: NodeOptions) throws -> CollaFuseClient {
        try CollaFuseClient(
            ClientSettings(
                deployment: URL(filePath: node.deployment), kit: URL(filePath: node.kit), home: URL(filePath: home),
                brokers: node.broker, run: node.run, limitDecibels: limitDb),
            logger: node.logger("client"))
    }
}

extension ImageOptions {
    func load(_ client: CollaFuseClient) throws -> ClientImages {
        guard let part = ClientImages.Part(rawValue: split) else {
            throw ValidationError("--split is `train`, `held-out` or `all`, not `\(split)`")
        }
        return try client.images(at: URL(filePath: images), labels: try labelNumbers(labels), part: part)
    }
}

/// "0,1,5-7" as [0, 1, 5, 6, 7].
func labelNumbers(_ text: String?) throws -> [Int]? {
    guard let text else { return nil }
    return try text.split(separator: ",").flatMap { piece -> [Int] in
        let ends = piece.split(separator: "-").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        switch ends.count {
        case 1 where !piece.contains("-"): return ends
        case 2 where ends[0] <= ends[1]: return Array(ends[0]...ends[1])
        default: throw ValidationError("`\(piece)` is no label: write numbers such as 0,1,5-7")
        }
    }
}
