import ArgumentParser
import CommandOptions
import Diffusion
import Foundation
import Logging
import Observability
import ServiceLifecycle
import Torch
import UnixSignals
import Worker

/// `collafuse worker`
struct Work: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Denoise clients' samples down to their cut, or train the backbone on what clients publish.",
        discussion: """
            Start as many denoising workers as there are machines for them; they share the work by themselves. One worker trains.

              collafuse worker --role train --deployment public --kit nodes/trainer --broker tcp://broker:7702 \\
                  --registry models --state trainer-state
              collafuse worker --role denoise --deployment public --kit nodes/denoiser-1 --broker tcp://broker:7702 \\
                  --registry models

            The trainer writes numbered backbones into the registry folder; denoising workers take the newest from there. \
            SIGTERM ends a worker cleanly: what it has not finished goes to another.

            With --engine stub:5ms it computes nothing and answers after that time, for load tests: see --engine stub:0s --help.
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var monitoring: MonitoringOptions

    @Option(name: .long, help: "`denoise` or `train`; its certificate must allow it.")
    var role: WorkerSettings.Role

    @Option(
        name: .long, help: ArgumentHelp("The folder of backbone versions.", valueName: "dir"), completion: .directory)
    var registry: String

    @Option(
        name: .long,
        help: ArgumentHelp("train: where publications and the state of training are kept.", valueName: "dir"),
        completion: .directory)
    var state: String?

    @Option(
        name: .long,
        help: ArgumentHelp("train: stop after so many images, counted as often as they are shown.", valueName: "n"))
    var images: Int?

    @Option(name: .long, help: ArgumentHelp("train: images in a training step.", valueName: "n"))
    var batch = 64

    @Option(name: .long, help: ArgumentHelp("train: AdamW's step size.", valueName: "η"))
    var learningRate = 2e-3

    @Option(
        name: .long,
        help: ArgumentHelp(
            "train: timesteps weigh min(1, γ/SNR), so that those near the cut do not outweigh the others. None when left out.",
            valueName: "γ"))
    var minSnr: Double?

    @Option(
        name: .long,
        help: "train: what a step computes in. `mixed`: convolutions and products in bfloat16, parameters in float32.")
    var precision = TrainerOptions.Precision.single

    @Option(name: .long, help: ArgumentHelp("train: write a version after every so many images.", valueName: "n"))
    var publishEvery = 5_000

    @Option(
        name: .long,
        help: ArgumentHelp(
            "denoise: samples in one forward pass at most, 2 or more, as a guided one is two. Found by trying where it is not said.",
            valueName: "n"))
    var slots: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "denoise: write a running job down after every so many passes, where --checkpoint-seconds and what writing costs allow it: a crash costs it what came since.",
            valueName: "n"))
    var checkpointEvery = 16

    @Option(
        name: .long,
        help: ArgumentHelp("denoise: but not more often than this.", valueName: "seconds"))
    var checkpointSeconds = 2.0

    @Option(
        name: .long,
        help: ArgumentHelp("denoise: where forward passes run: `cpu`, `cuda` or `cuda:1`.", valueName: "device"))
    var device = DeviceName.cpu

    @Option(
        name: .long,
        help: ArgumentHelp(
            "denoise: what they compute in: float32, bfloat16 or float16; `auto` for what is fastest there with its quality kept.",
            valueName: "type"))
    var dtype = WorkerType.auto

    @Option(name: .long, help: ArgumentHelp("Threads that one tensor operation may use.", valueName: "n"))
    var threads = 1

    @Option(
        name: .long,
        help: ArgumentHelp("train: seed of the backbone's first parameters and of training.", valueName: "n"))
    var seed: UInt64 = 0

    func validate() throws {
        guard role == .denoise || state != nil else {
            throw ValidationError("A trainer keeps what it was entrusted with: name its folder with --state DIR")
        }
        guard (1...4096).contains(batch), slots.map({ (2...4096).contains($0) }) ?? true, (1...256).contains(threads),
            publishEvery > 0, checkpointEvery > 0, checkpointSeconds >= 0,
            images.map({ $0 > 0 }) ?? true, learningRate > 0, learningRate.isFinite
        else {
            throw ValidationError(
                "--batch, --slots, --threads, --images, --publish-every, --checkpoint-every and --learning-rate must be above 0, --slots at least 2, --batch and --slots at most 4096"
            )
        }
        guard role == .denoise || device.device == .cpu else {
            throw ValidationError("A trainer computes on the CPU: --device is for --role denoise")
        }
        try device.check()
    }

    func run() async throws {
        let logger = try node.logger("worker")
        // Before anything is computed.
        Runtime.threads = threads
        if role == .denoise { Runtime.keepFreedMemory() }
        let shown = monitoring.monitoring(logger)
        let service = try WorkerService(
            WorkerSettings(
                role: role, deployment: URL(filePath: node.deployment), kit: URL(filePath: node.kit),
                brokers: node.broker,
                run: node.run, registry: URL(filePath: registry), state: state.map { URL(filePath: $0) }, slots: slots,
                device: device.device, dtype: dtype.dtype,
                checkpoints: CheckpointSettings(passes: checkpointEvery, seconds: checkpointSeconds), threads: threads,
                training: TrainingSettings(
                    images: images, batch: batch, learningRate: learningRate, minSNR: minSnr,
                    precision: precision,
                    publishEvery: publishEvery, seed: seed)),
            metrics: try node.metricsLog(), board: shown.board, logger: logger,
            progress: Supervision.isOn ? progressLine : nil)
        try await ServiceGroup(
            services: shown.services + [service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
        ).run()
    }
}

/// `collafuse up` shows it at the bottom; elsewhere the log tells.
@Sendable private func progressLine(_ progress: TrainingProgress) {
    let share = progress.target.map { min(1, Double(progress.images) / Double($0)) } ?? 0
    let images = "\(progress.images)" + (progress.target.map { "/\($0)" } ?? " images")
    let loss = progress.excess.map { String(format: " · loss above floor %.3f", $0) } ?? ""
    Supervision.progress(share, "trained \(images)\(loss)")
}

/// What a worker computes in.
enum WorkerType: String, ExpressibleByArgument, CaseIterable {
    case auto, float32, bfloat16, float16

    /// nil: the worker's choice.
    var dtype: DType? {
        switch self {
        case .auto: nil
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .float16: .float16
        }
    }
}

extension WorkerSettings.Role: ExpressibleByArgument {}
extension TrainerOptions.Precision: ExpressibleByArgument {}
