package import Foundation

/// What the nodes of a run measured: their `metrics/*.jsonl`, read back.
package struct RunMetrics {
    /// One line. Which fields are there depends on the event.
    package struct Line: Decodable, Sendable {
        package struct Bucket: Decodable, Sendable {
            package let from: Int
            package let to: Int
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
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
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

    /// The broker's last word: its counts only grow, but begin anew when it was started again, so the largest counts.
    package func broker(_ count: (Line) -> Int?) -> Int { of("broker").compactMap(count).max() ?? 0 }
}
