internal import Exchange
internal import Foundation
internal import Sodium
internal import Wire

/// What a generator must not forget when it is killed: each job before it is sent, and each result before it is acknowledged. A line each, appended.
///
///     job ID CLIENT TENANT KIND ENVELOPE EPHEMERAL POOLKEY SEALED EXPECTATION   (bytes in Base64)
///     accepted ID
///     surfaced ID right|wrong
///     ended ID CODE
///
/// So whoever reads the file sees what was promised, lost or surfaced twice, over however many lives of the generator. It holds the jobs' keys: they
/// are a test's. It survives its process, not the machine.
final class JobLog {
    private let file: FileHandle
    /// Jobs of earlier lives without a result, in the order in which they were sent.
    private(set) var unfinished: [(client: Int, job: SyntheticJob)] = []
    private var surfaced: Set<JobID> = []

    /// Opens the file, or makes it, and reads what is there.
    ///
    /// - Throws: `badKeys` when it cannot be read or written.
    init(_ url: URL) throws {
        if !FileManager.default.fileExists(atPath: url.path) { try Data().write(to: url) }
        file = try FileHandle(forUpdating: url)
        // As bytes, and only what is unfinished is read any further: the file may be long, and clients are waiting.
        var lines: [[UInt8]: ArraySlice<UInt8>] = [:]
        var order: [[UInt8]] = []
        for line in [UInt8](try file.readToEnd() ?? Data()).split(separator: UInt8(ascii: "\n")) {
            let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
            guard words.count == 3 else { continue }
            let id = Array(words[1])
            switch words[0].first {
            case UInt8(ascii: "j"):
                lines[id] = line
                order.append(id)
            case UInt8(ascii: "s"):
                lines[id] = nil
                if let id = Data(base64Encoded: Data(id)).flatMap({ JobID($0) }) { surfaced.insert(id) }
            default: break
            }
        }
        unfinished = order.compactMap { lines[$0] }.compactMap { line in
            Self.job(String(decoding: line, as: UTF8.self).split(separator: " ").map(String.init))
        }
        // The last line may be torn.
        append("")
    }

    func hasSurfaced(_ id: JobID) -> Bool { surfaced.contains(id) }

    // MARK: what happens

    /// - Parameter client: its number among all synthetic clients.
    func sends(_ job: SyntheticJob, client: Int) {
        let kind: String, expectation: Data
        switch job.expectation {
        case .receipt(let ids): (kind, expectation) = ("publish", ids.reduce(Data(), +))
        case .samples(let request):
            var payload = WirePayload()
            payload.denoiseRequest = request
            (kind, expectation) = ("denoise", Data(payload.encoded))
        }
        let secret = job.ephemeral.secret.withUnsafeBytes { Data($0) }
        let fields = [Data(job.envelope.bytes), secret, Data(job.poolKey), Data(job.sealed), expectation]
        append(
            "job \(Self.word(job.envelope.job)) \(client) \(job.tenant) \(kind) "
                + fields.map { $0.base64EncodedString() }.joined(separator: " "))
    }

    func accepts(_ id: JobID) { append("accepted \(Self.word(id))") }

    func surfaces(_ id: JobID, isRight: Bool) {
        surfaced.insert(id)
        append("surfaced \(Self.word(id)) \(isRight ? "right" : "wrong")")
    }

    func ends(_ id: JobID, _ code: String) { append("ended \(Self.word(id)) \(code)") }

    private func append(_ line: String) {
        // A full disk shows as a job that is lost.
        try? file.write(contentsOf: Data((line + "\n").utf8))
    }

    // MARK: words

    private static func word(_ id: JobID) -> String { Data(id.bytes).base64EncodedString() }

    private static func job(_ words: [String]) -> (client: Int, job: SyntheticJob)? {
        let fields = words.dropFirst(5).compactMap { Data(base64Encoded: $0) }
        guard words.count == 10, fields.count == 5, let client = Int(words[2]), let tenant = Int(words[3]),
            let envelope = try? Envelope(bytes: Array(fields[0])),
            let ephemeral = try? X25519KeyPair(secret: SecretBytes(copying: Array(fields[1])))
        else { return nil }
        let expectation: SyntheticJob.Expectation
        if words[4] == "publish" {
            let ids = stride(from: 0, to: fields[4].count, by: 16).map { Data(fields[4].dropFirst($0).prefix(16)) }
            expectation = .receipt(ids)
        } else {
            guard let payload = try? WirePayload(decoding: Array(fields[4]), as: "a kept job") else { return nil }
            expectation = .samples(payload.denoiseRequest)
        }
        return (
            client,
            SyntheticJob(
                client: 0, tenant: tenant, due: 0, envelope: envelope, ephemeral: ephemeral, poolKey: Array(fields[2]),
                sealed: Array(fields[3]), expectation: expectation)
        )
    }
}
