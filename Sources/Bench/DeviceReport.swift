package import Foundation
internal import Torch
internal import Worker

/// What `DeviceCheck` found.
package struct DeviceReport: Sendable, Encodable {
    package struct Check: Sendable, Encodable {
        package let name: String
        /// The largest difference, of the largest value; nil: there is nothing to compare.
        package let error: Double?
        package let limit: Double?
        package let hasFailed: Bool
        package let reason: String?

        init(_ name: String, differs value: Tensor, from truth: Tensor, atMost limit: Double) {
            let error = (value - truth).abs().max().item / truth.abs().max().item
            self.name = name
            self.error = error
            self.limit = limit
            // NaN is at most nothing.
            hasFailed = !(error <= limit)
            reason = nil
        }

        /// - Parameter isFailure: false where the device need not be able to.
        init(_ name: String, failed reason: String, isFailure: Bool) {
            self.name = name
            error = nil
            limit = nil
            hasFailed = isFailure
            self.reason = reason
        }

        var text: String {
            let verdict = hasFailed ? "FAILED" : error == nil ? "–     " : "ok    "
            guard let error, let limit else { return "\(verdict)  \(name): \(reason ?? "")" }
            return "\(verdict)  \(name): differs by \(String(format: "%.1e", error)), at most \(limit)"
        }
    }

    package struct Speed: Sendable, Encodable {
        package let model: String
        package let dtype: String
        /// Samples in a pass.
        package let width: Int
        /// Samples a second, with passes called as they are.
        package let called: Double
        /// The same with passes run from a recording; nil: they are not, since it was no quicker or could not be made.
        package let recorded: Double?

        var text: String {
            let graphs = recorded.map { String(format: "%.0f/s from graphs, %.2f×", $0, $0 / called) } ?? "no graphs"
            return "        \(model) in \(dtype), \(width) wide: \(String(format: "%.0f", called))/s called, \(graphs)"
        }
    }

    package let device: String
    package let name: String
    package let torch: String
    package var checks: [Check] = []
    package var speeds: [Speed] = []

    init(device: Device, torch: String) {
        self.device = device.description
        self.torch = torch
        name = device.name
    }

    package var failures: Int { checks.count(where: \.hasFailed) }

    package var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            encoder.nonConformingFloatEncodingStrategy = .convertToString(
                positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
            return try encoder.encode(self)
        }
    }
}
