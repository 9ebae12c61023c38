package import Foundation
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
            let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
            func field(_ name: String) -> String {
                let line = text.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
                return line.split(separator: ":").dropFirst().joined(separator: ":")
                    .trimmingCharacters(in: .whitespaces)
            }
            let flags = Set(field("flags").split(separator: " ").map(String.init))
            return Machine(
                processor: Device.cpu.name, cores: ProcessInfo.processInfo.activeProcessorCount,
                instructions: ["avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16"].filter(flags.contains))
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
        let table = [["figure", "ours", "theirs", "unit", "ratio", "must", "aim"]] + rows
        let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        return table.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
