internal import Foundation

/// What this machine computes with, by `/proc/cpuinfo`.
package struct Processor: Sendable {
    /// Of x86 the model's; an ARM core has the numbers of its maker and part; "unknown" where nobody says.
    package let name: String
    package let cores: Int
    /// Instruction sets, as Linux calls them.
    package let flags: Set<String>

    package static let current: Processor = {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        func field(_ name: String) -> String? {
            text.split(separator: "\n").first { $0.hasPrefix(name) }
                .map {
                    $0.split(separator: ":").dropFirst().joined(separator: ":").trimmingCharacters(in: .whitespaces)
                }
        }
        let part = ["CPU implementer", "CPU part"].compactMap(field).joined(separator: " ")
        return Processor(
            name: field("model name") ?? (part.isEmpty ? "unknown" : part),
            cores: ProcessInfo.processInfo.activeProcessorCount,
            flags: Set((field("flags") ?? "").split(separator: " ").map(String.init)))
    }()
}
