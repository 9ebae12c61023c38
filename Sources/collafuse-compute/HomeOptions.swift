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

    /// - Parameters:
    ///   - makesHome: whether a home that is not there is made; if one is, that is said on standard error.
    ///   - limit: the owner's limit from now on; nil: as it is.
    func open(_ node: NodeOptions, makesHome: Bool = false, limit: Double? = nil) throws -> CollaFuseClient {
        let client = try CollaFuseClient(
            ClientSettings(
                deployment: URL(filePath: node.deployment), kit: URL(filePath: node.kit), home: URL(filePath: home),
                makesHome: makesHome, brokers: node.broker, run: node.run, limitDecibels: limit),
            logger: node.logger("client"))
        for note in client.homeNotes { FileHandle.standardError.write(Data("\(note)\n".utf8)) }
        return client
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
    /// Neither classes nor samples come near it.
    let most = 1_000_000
    return try text.split(separator: ",").reduce(into: []) { labels, piece in
        let parts = piece.split(separator: "-", omittingEmptySubsequences: false)
        let ends = parts.compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        guard ends.count == parts.count, ends.count <= 2, let first = ends.first, let last = ends.last, first <= last,
            last < most, labels.count + last - first < most
        else {
            throw ValidationError(
                "`\(piece)` is no label: write numbers below \(most) such as 0,1,5-7, and no more than so many")
        }
        labels += first...last
    }
}
