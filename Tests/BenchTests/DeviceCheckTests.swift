import Foundation
import Testing
import Torch

@testable import Bench

/// `make check-gpu` with the CPU in the place of a GPU.
struct DeviceCheckTests {
    @Test("against itself the CPU differs by its types alone, and has no graphs")
    func processor() throws {
        var settings = DeviceCheck.Settings(device: .cpu)
        settings.models = [.tiny]
        settings.seconds = 0.02
        var lines: [String] = []
        let report = try DeviceCheck(settings).run { lines.append($0) }
        #expect(report.failures == 0, "\(lines.joined(separator: "\n"))")
        func error(_ name: String) -> Double? { report.checks.first { $0.name == name }?.error }
        #expect(error("more memory than there is") == 0)
        #expect(error("tiny, a pass in float32") == 0)
        #expect(error("tiny, whole samples in float32") == 0)
        // Eight bits of mantissa show, and no more than that.
        #expect((1e-4...0.03).contains(try #require(error("tiny, a pass in bfloat16"))))
        let recorded = report.checks.filter { $0.name.contains("recorded") }
        #expect(recorded.count == 3 && recorded.allSatisfy { $0.error == nil && !$0.hasFailed })
        #expect(report.speeds.map(\.width) == [1, 4, 16, 64])
        #expect(report.speeds.allSatisfy { $0.called > 0 && $0.recorded == nil })
        #expect(lines.count == 1 + report.checks.count + report.speeds.count)
        let json = try #require(try JSONSerialization.jsonObject(with: report.json) as? [String: Any])
        #expect(json["device"] as? String == "cpu" && (json["checks"] as? [Any])?.count == report.checks.count)
    }

    @Test func whatDiffersTooMuchOrIsNoNumberHasFailed() {
        let one = Tensor.ones([3])
        #expect(!DeviceReport.Check("a", differs: one * 1.01, from: one, atMost: 0.02).hasFailed)
        #expect(DeviceReport.Check("a", differs: one * 1.03, from: one, atMost: 0.02).hasFailed)
        #expect(DeviceReport.Check("a", differs: one * Double.nan, from: one, atMost: 0.02).hasFailed)
    }
}
