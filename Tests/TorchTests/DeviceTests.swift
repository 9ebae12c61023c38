import Foundation
import Testing

@testable import Torch

@Suite struct DeviceTests {
    /// Looked for by hand, in the order in which it is told: what this machine lacks.
    private static let lacking: String? = {
        // Only where nothing of CUDA is: loading half of it here would be what is tested.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }.map { URL(filePath: $0) }
        let half = bundle?.deletingLastPathComponent().appending(path: "libtorch_cuda.so").path ?? ""
        if !FileManager.default.fileExists(atPath: half) { return "this libtorch is built for the CPU only" }
        if dlopen("libcuda.so.1", RTLD_LAZY) == nil { return "this machine has no NVIDIA driver" }
        return nil
    }()

    @Test(.enabled(if: DeviceTests.lacking != nil)) func aDeviceThatIsNotThereIsRefusedWithTheReason() throws {
        for device in [Device.cuda(0), .cuda(3)] {
            let error = #expect(throws: TorchError.self) { try device.check() }
            #expect(error?.code == .noDevice)
            let message = try #require(error?.message)
            #expect(message.hasPrefix("There is no \(device): \(Self.lacking ?? "?")"), "\(message)")
            #expect(message.contains("Leave --device out") && message.contains("docs/gpu.md"), "\(message)")
        }
        #expect(Device.cudaName(0) == "unknown")
    }

    /// With devices or without: nobody has so many.
    @Test func aNumberOutOfRangeIsRefused() {
        let error = #expect(throws: TorchError.self) { try Device.cuda(255).check() }
        #expect(error?.code == .noDevice)
        #expect(error?.message.hasPrefix("There is no cuda:255: ") == true)
    }

    @Test func theProcessorIsAlwaysThere() throws {
        try Device.cpu.check()
        try Device.cpu.finish()
        Device.cpu.releaseMemory()
        let error = #expect(throws: TorchError.self) { try DeviceGraph(on: .cpu) }
        #expect(error?.message.contains("only CUDA devices") == true)
    }

    /// Asking does not break what goes on.
    @Test(.enabled(if: DeviceTests.lacking != nil)) func tensorsForADeviceThatIsNotThereAreErrors() throws {
        let x = Tensor.ones([2])
        #expect(throws: TorchError.self) { try TorchError.catching { _ = x.to(.cuda(0)) } }
        #expect((x + 1).floats == [2, 2])
    }
}
