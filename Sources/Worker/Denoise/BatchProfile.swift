package import Chain
internal import Diffusion
internal import Disk
package import Foundation
package import Logging
internal import Sodium
package import Torch
internal import Workbench

/// How wide a forward pass is worth being on this machine, found by trying.
///
/// Wider passes do more a second until the machine is full, and then only take longer, which those wait for who come, go or are
/// cancelled between two passes. What was found is kept beside the registry, `passes.json`, for the workers that start later, on this
/// machine or on others that share the folder: each processor has an entry of its own.
package struct BatchProfile {
    package struct Measurement: Hashable, Sendable, Codable {
        /// Network inputs.
        package let width: Int
        package let seconds: Double

        package init(width: Int, seconds: Double) {
            self.width = width
            self.seconds = seconds
        }

        var rate: Double { Double(width) / max(seconds, .leastNonzeroMagnitude) }
    }

    /// No pass is to take longer than this, in seconds, if a narrower one will do.
    private static let longest = 1.0
    private static let widest = 256
    /// Less than the best by this is as good.
    private static let tolerance = 0.05
    /// Of the texts that a backbone is tried with, where it looks at some: as CLIP writes them.
    private static let tokens = 77
    static let file = "passes.json"

    private let folder: URL
    private let logger: Logger

    /// - Parameter registry: the folder of backbone versions.
    package init(registry folder: URL, logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    /// The cap B for this run's backbone.
    ///
    /// - Parameters:
    ///   - backbone: the config of the one that is served, where that was imported; nil: the run's own.
    ///   - device: and `dtype`, that passes are run on and in.
    ///   - threads: that one operation may use.
    /// - Throws: `badSettings` where the device has no memory for the network; what else makes one of the run's configuration fail.
    package func cap(
        for run: RunDescriptor, backbone: String? = nil, device: Device = .cpu, dtype: DType = .float32, threads: Int
    ) throws -> Int {
        let backbone = backbone ?? run.backboneConfig
        let model = BLAKE2b.hash(Array(backbone.utf8), length: 16).map { String(format: "%02x", $0) }.joined()
        let image = run.image, graphs = (try? DeviceGraph(on: device)) == nil ? "" : " graphs"
        let key =
            "\(model) \(image.channels)x\(image.height)x\(image.width) \(device) \(device.name)\(graphs) \(dtype) \(threads) threads"
        var known = read()
        if let measured = known[key], let cap = Self.choose(measured) { return cap }
        let measured: [Measurement]
        defer { device.releaseMemory() }
        do { measured = try measure(run, backbone, device, dtype) } catch  where error.isForMemory {
            throw WorkerError(
                .badSettings, "\(device) (\(device.name)) has no memory for the run's backbone: \(error)")
        }
        guard let cap = Self.choose(measured) else { return 2 }
        known[key] = measured
        write(known)
        logger.info(
            "how wide a pass is worth being",
            metadata: [
                "width": "\(cap)",
                "tried": "\(measured.map { "\($0.width): \(Int($0.rate))/s" }.joined(separator: ", "))",
            ])
        return cap
    }

    /// The narrowest width that is about as quick an input as any, at least 2: a guided sample takes two.
    ///
    /// - Returns: nil for no measurements.
    package static func choose(_ measured: [Measurement]) -> Int? {
        let inTime = measured.filter { $0.seconds <= longest }
        guard let best = (inTime.isEmpty ? measured : inTime).map(\.rate).max() else { return nil }
        let good = measured.filter { $0.rate >= best * (1 - tolerance) }.map(\.width).min()
        return good.map { max(2, $0) }
    }

    /// A few passes of each width, with random weights: how long one takes does not depend on them.
    private func measure(
        _ run: RunDescriptor, _ backbone: String, _ device: Device, _ dtype: DType
    ) throws -> [Measurement] {
        let configuration = try UNetConfiguration(json: backbone)
        let denoiser = try TorchError.catching {
            var source = ParameterSource(seed: 0)
            let network = UNet(configuration, &source)
            network.prepareForInference(dtype: dtype, device: device)
            // A width is tried when it comes first: what is measured then is what a worker comes to.
            let recorded = RecordedNetwork(network, patience: 0) { [logger] error in
                logger.notice("widths are measured without graphs", metadata: ["reason": "\(error)"])
            }
            return try Denoiser(recorded, on: run.schedule, labels: run.labels.count, withText: true)
        }
        var measured: [Measurement] = []
        var width = 1
        while width <= Self.widest {
            let seconds: Double
            do {
                // The first pass of a width plans its kernels, and tries whether a recording is quicker.
                let first = try time(denoiser, width, run, device)
                seconds =
                    first > Self.longest / 4 && device == .cpu
                    ? first : min(try time(denoiser, width, run, device), try time(denoiser, width, run, device))
            } catch  where error.isForMemory && width > 1 { break }
            measured.append(Measurement(width: width, seconds: seconds))
            if seconds > Self.longest / 2 { break }
            width *= 2
        }
        return measured
    }

    /// Of a pass as a worker runs it.
    private func time(
        _ denoiser: Denoiser<RecordedNetwork<UNet>>, _ width: Int, _ run: RunDescriptor, _ device: Device
    ) throws -> Double {
        let image = run.image
        let plan = SamplePlan(
            seed: 0, number: 0, label: 0, timesteps: try TimestepList(from: run.schedule.timesteps, to: 0, steps: 1))
        return try TorchError.catching {
            let start = ChainState(
                noiseFor: [(0, 0)], imageShape: [image.channels, image.height, image.width], on: run.schedule)
            var samples = (0..<width).map { _ in SampleState(plan, from: start).on(device) }
            let text = denoiser.network.textWidth.map { Tensor.zeros([width, Self.tokens, $0], device: device) }
            try device.finish()
            let began = ContinuousClock.now
            _ = withoutGradients { denoiser.advance(&samples, text: text.map { TextRows(prompts: $0) }) }
            try device.finish()
            return (ContinuousClock.now - began) / .seconds(1)
        }
    }

    private func read() -> [String: [Measurement]] {
        guard let json = try? Data(contentsOf: folder.appending(path: Self.file)) else { return [:] }
        return (try? JSONDecoder().decode([String: [Measurement]].self, from: json)) ?? [:]
    }

    /// What cannot be kept is found again.
    private func write(_ known: [String: [Measurement]]) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do { try DurableFile.write(encoder.encode(known), to: folder.appending(path: Self.file)) } catch {
            logger.notice("what was measured cannot be kept", metadata: ["reason": "\(error)"])
        }
    }
}
