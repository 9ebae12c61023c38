package import Foundation

/// What the nodes of a run measured: their `metrics/*.jsonl`, read back.
package struct RunMetrics {
    /// One line. Which fields are there depends on the event.
    package struct Line: Decodable, Sendable {
        package struct Bucket: Decodable, Sendable {
            package let from: Int
            package let to: Int
            /// How many rows of batches it was measured on.
            package let rows: Int
            package let loss: Double?
            package let floor: Double?
            package let excess: Double?
        }

        package struct Peer: Decodable, Sendable {
            package let name: String
            package let bytesIn: Int
            package let bytesOut: Int
        }

        /// Unix time in seconds.
        package let time: Double
        package let node: String
        package let event: String
        // backbone, head
        package let images: Int?
        package let loss: Double?
        package let excess: Double?
        package let buckets: [Bucket]?
        // exposure
        package let published: Int?
        package let worstReleases: Int?
        package let effectiveCut: Int?
        package let mu: Double?
        package let epsilon: Double?
        // broker
        package let broker: String?
        package let epoch: Int?
        package let accepted: Int?
        package let finished: Int?
        package let redelivered: Int?
        package let rejected: Int?
        package let deadLetters: Int?
        package let peers: [Peer]?
    }

    /// By time.
    package let lines: [Line]
    /// The same lines as they were written, for `metrics.jsonl`.
    package let text: String

    /// Lines that a crash cut short are left out.
    package init(folder: URL) throws {
        let files: [URL]
        do { files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) } catch {
            throw EvaluationError(
                .badRun, "The run's measurements in \(folder.path) cannot be read: \(error.localizedDescription)")
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        var read: [(line: Line, text: Substring)] = []
        for file in files where file.pathExtension == "jsonl" {
            for text in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                if let line = try? decoder.decode(Line.self, from: Data(text.utf8)) { read.append((line, text)) }
            }
        }
        read.sort { $0.line.time < $1.line.time }
        lines = read.map(\.line)
        text = read.map { $0.text + "\n" }.joined()
    }

    package func of(_ event: String, node: String? = nil) -> [Line] {
        lines.filter { $0.event == event && (node == nil || $0.node == node) }
    }

    /// A broker's counts begin at 0 whenever it is started: the last word of each start, added up. What a broker that was
    /// killed did in its last two seconds is not among them.
    package func broker(_ count: (Line) -> Int?) -> Int {
        let starts = Dictionary(grouping: of("broker")) { Start(node: $0.node, broker: $0.broker, epoch: $0.epoch) }
        // They only grow, so the largest is the last, whatever the clock did.
        return starts.values.reduce(0) { $0 + ($1.compactMap(count).max() ?? 0) }
    }

    /// Bytes that came from a peer and went to it, at the broker.
    package func traffic(of peer: String) -> (from: Int, to: Int) {
        func sum(_ bytes: (Line.Peer) -> Int) -> Int {
            broker { line in line.peers?.first { $0.name == peer }.map(bytes) }
        }
        return (sum(\.bytesIn), sum(\.bytesOut))
    }

    /// The losses of several reports as those of one. A report on few images says little by itself.
    package static func pooled(_ lines: some Sequence<Line>) -> [Line.Bucket] {
        let parts = Dictionary(grouping: lines.flatMap { $0.buckets ?? [] }.filter { $0.rows > 0 }, by: \.from)
        return parts.values.compactMap { (parts: [Line.Bucket]) -> Line.Bucket? in
            guard let first = parts.first else { return nil }
            func mean(_ value: KeyPath<Line.Bucket, Double?>, _ weight: (Line.Bucket) -> Double) -> Double? {
                let known = parts.compactMap { part in part[keyPath: value].map { ($0 * weight(part), weight(part)) } }
                let total = known.reduce(0) { $0 + $1.1 }
                return total > 0 ? known.reduce(0) { $0 + $1.0 } / total : nil
            }
            return Line.Bucket(
                from: first.from, to: first.to, rows: parts.reduce(0) { $0 + $1.rows },
                loss: mean(\.loss) { Double($0.rows) }, floor: mean(\.floor) { Double($0.rows) },
                // By the mean of λ, which is 1 − floor: docs/maths.md (3.4).
                excess: mean(\.excess) { Double($0.rows) * (1 - ($0.floor ?? 1)) })
        }.sorted { $0.from < $1.from }
    }

    /// One start of a broker.
    private struct Start: Hashable {
        let node: String
        let broker: String?
        let epoch: Int?
    }
}
