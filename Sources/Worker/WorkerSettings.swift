package import Diffusion
package import Foundation
package import Torch

/// What a worker is told when it starts.
package struct WorkerSettings: Sendable {
    package enum Role: String, CaseIterable, Sendable {
        case denoise, train
    }

    package var role: Role
    package var deployment: URL
    package var kit: URL
    /// Endpoints of the brokers' worker side.
    package var brokers: [String]
    /// The first digits of the run's id; nil: the deployment's only run.
    package var run: String?
    /// Where backbone versions lie; shared by all workers of a run.
    package var registry: URL
    /// train: what it was entrusted with and how far it has come.
    package var state: URL?
    /// denoise: network inputs of one forward pass, at most; nil: found by trying.
    package var slots: Int?
    /// denoise: where forward passes run.
    package var device: Device
    /// denoise: what they compute in; nil: the type that is fastest there with its quality kept.
    package var dtype: DType?
    /// denoise: when running jobs are written down.
    package var checkpoints: CheckpointSettings
    /// Threads that one operation may use; for what is measured.
    package var threads: Int
    package var training: TrainingSettings

    package init(
        role: Role, deployment: URL, kit: URL, brokers: [String], run: String? = nil, registry: URL, state: URL?,
        slots: Int? = nil, device: Device = .cpu, dtype: DType? = nil,
        checkpoints: CheckpointSettings = CheckpointSettings(), threads: Int = 1,
        training: TrainingSettings = TrainingSettings()
    ) {
        self.role = role
        self.deployment = deployment
        self.kit = kit
        self.brokers = brokers
        self.run = run
        self.registry = registry
        self.state = state
        self.slots = slots
        self.device = device
        self.dtype = dtype
        self.checkpoints = checkpoints
        self.threads = threads
        self.training = training
    }
}

/// How the backbone is trained.
package struct TrainingSettings: Sendable {
    /// Stop after so many images, counted as often as they are shown; nil: never.
    package var images: Int?
    package var batch: Int
    package var learningRate: Double
    /// γ of min-SNR weighting; nil: every timestep weighs the same.
    package var minSNR: Double?
    package var precision: TrainerOptions.Precision
    /// Images between two versions.
    package var publishEvery: Int
    package var seed: UInt64

    package init(
        images: Int? = nil, batch: Int = 64, learningRate: Double = 2e-3, minSNR: Double? = nil,
        precision: TrainerOptions.Precision = .single, publishEvery: Int = 5_000,
        seed: UInt64 = 0
    ) {
        self.images = images
        self.batch = batch
        self.learningRate = learningRate
        self.minSNR = minSNR
        self.precision = precision
        self.publishEvery = publishEvery
        self.seed = seed
    }
}
