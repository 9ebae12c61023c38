internal import Chain
internal import Diffusion
internal import Foundation
internal import Safetensors
internal import Torch

/// Trains this client's head on its own images, in the home; goes on where it stopped.
struct HeadTrainer {
    private let run: RunDescriptor
    private let runID: String
    private let cut: Cut
    private let home: HeadHome
    private let settings: HeadTraining
    private var trainer: Trainer<UNet>

    /// Images between two measurements, and between two saves of where it stands.
    private static let measureEvery = 1_024
    private static let saveEvery = 8_192

    init(run: RunDescriptor, runID: String, cut: Cut, home: HeadHome, settings: HeadTraining) throws {
        self.run = run
        self.runID = runID
        self.cut = cut
        self.home = home
        self.settings = settings
        let configuration = try UNetConfiguration(json: run.backboneConfig)
        try configuration.check(channels: run.image.channels, height: run.image.height, width: run.image.width)
        try configuration.checkTrainable()
        var options = TrainerOptions()
        options.batch = settings.batch
        options.learningRate = settings.learningRate
        options.minSNR = settings.minSNR
        options.precision = settings.isMixed ? .mixed : .single
        try options.check(on: run.schedule, above: 0)
        var source = ParameterSource(seed: settings.seed), zeros = ParameterSource.zeros()
        trainer = Trainer(
            try Denoiser(UNet(configuration, &source), on: run.schedule, labels: run.labels.count),
            average: UNet(configuration, &zeros), options, seed: settings.seed)
        if let state = try home.training(cut) { try trainer.load(state) }
    }

    mutating func train(
        on images: ClientImages, measured: (HeadMeasurement) -> Void, progress: ClientProgress.Handler
    ) throws -> HeadSummary {
        let hidden = try images.privateImages(), labels = images.labelOfEach
        var losses = LossReport(timesteps: run.schedule.timesteps), loss = Double.nan
        var saved = trainer.images
        while trainer.images < settings.images {
            try Flag.check()
            let before = trainer.images
            losses.add(trainer.trainHead(hidden, labels: labels, cut: cut))
            if trainer.images / Self.measureEvery > before / Self.measureEvery || trainer.images >= settings.images {
                loss = losses.excess ?? .nan
                losses = LossReport(timesteps: run.schedule.timesteps)
                measured(HeadMeasurement(images: trainer.images, loss: loss))
                progress(
                    ClientProgress(
                        done: min(trainer.images, settings.images), total: settings.images,
                        note: "loss \(String(format: "%.4f", loss))"))
            }
            if trainer.images - saved >= Self.saveEvery {
                saved = trainer.images
                try home.save(training: trainer.state(), cut)
            }
        }
        try home.save(training: trainer.state(), cut)
        try home.save(
            ModelDirectory(
                network: trainer.averaged.network, schedule: run.schedule, prediction: trainer.averaged.prediction,
                record: ModelRecord(
                    role: .head, version: 1, run: runID, imagesSeen: UInt64(trainer.images),
                    timesteps: 1...cut.timestep,
                    labels: run.labels.count, trainedLabels: images.labels)),
            cut)
        return HeadSummary(images: trainer.images, loss: loss, cut: cut.timestep)
    }
}
