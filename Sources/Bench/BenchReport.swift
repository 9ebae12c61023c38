package import Foundation
internal import Observability
internal import Torch

/// What was measured, where, and how.
package struct BenchReport: Sendable, Codable {
    package struct Figure: Sendable, Codable {
        package let name: String
        package let ours: Double
        package let theirs: Double
        package let unit: String
        /// The median of the turns' ratios, not the ratio of the medians.
        package let ratio: Double
        /// nil: it is reported, and nothing is demanded of it.
        package let must: Double?
        package let aim: Double
    }

    package struct Machine: Sendable, Codable {
        let processor: String
        let cores: Int
        /// Of the instruction sets that matter here, those it has.
        let instructions: [String]

        static var current: Machine {
            let processor = Processor.current
            return Machine(
                processor: processor.name, cores: processor.cores,
                instructions: ["avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16"].filter(
                    processor.flags.contains))
        }
    }

    package struct Settings: Sendable, Codable {
        let torch: String
        let dtype: String
        let threads: Int
        let workers: Int
        let seconds: Double
        let rounds: Int

        init(_ settings: DenoiseBench.Settings, torch: String) {
            self.torch = torch
            dtype = settings.dtype.description
            threads = settings.threads
            workers = settings.workers
            seconds = settings.seconds
            rounds = settings.rounds
        }
    }

    package let machine: Machine
    package let settings: Settings
    package let figures: [Figure]

    package var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return try encoder.encode(self)
        }
    }

    /// A table for a person.
    package var text: String {
        let rows = figures.map { figure in
            [
                figure.name, String(format: "%.1f", figure.ours), String(format: "%.1f", figure.theirs), figure.unit,
                String(format: "%.2f×", figure.ratio), figure.must.map { "\($0)×" } ?? "—", "\(figure.aim)×",
            ]
        }
        return TextTable.lines(["figure", "ours", "theirs", "unit", "ratio", "must", "aim"], rows, indent: "")
            .joined(separator: "\n")
    }
}
