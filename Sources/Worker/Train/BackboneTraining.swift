internal import Chain
internal import Diffusion
internal import Disk
internal import Exchange
internal import Foundation
internal import Safetensors
internal import Torch
internal import Wire

/// The backbone in training: one step at a time, versions on the way, and where it stands kept over a restart.
struct BackboneTraining {
    private let run: RunDescriptor
    private let registry: ModelRegistry
    private let checkpoint: URL
    private let settings: TrainingSettings
    private var trainer: Trainer<UNet>
    private var losses: LossReport
    /// Images at the last version.
    private var published = 0
    /// What was really trained on, which is all that a version may claim.
    private var lowestCut: Int
    private var labels: Set<Int>
    private let random: CounterRandom
    /// Fresh publications that this training has used, when it was last saved: `PublicationShelf.used`.
    private(set) var used: [IngestCore.Key] = []

    /// Goes on where training stopped, or begins with parameters drawn from the seed.
    init(run: RunDescriptor, registry: ModelRegistry, state: URL, settings: TrainingSettings) throws {
        self.run = run
        self.registry = registry
        self.settings = settings
        checkpoint = state.appending(path: "training.safetensors")
        let configuration = try UNetConfiguration(json: run.backboneConfig)
        try configuration.check(channels: run.image.channels, height: run.image.height, width: run.image.width)
        try configuration.checkTrainable()
        var source = ParameterSource(seed: settings.seed)
        var options = TrainerOptions()
        options.batch = settings.batch
        options.learningRate = settings.learningRate
        options.minSNR = settings.minSNR
        options.precision = settings.precision
        try options.check(on: run.schedule, above: run.allowedCuts.first ?? 1)
        var zeros = ParameterSource.zeros()
        trainer = Trainer(
            try Denoiser(UNet(configuration, &source), on: run.schedule, labels: run.labels.count),
            average: UNet(configuration, &zeros), options, seed: settings.seed)
        losses = LossReport(timesteps: run.schedule.timesteps)
        lowestCut = registry.newest?.lowestCut ?? run.schedule.timesteps - 1
        labels = Set(registry.newest?.trainedLabels ?? [])
        random = CounterRandom(seed: settings.seed)
        if FileManager.default.fileExists(atPath: checkpoint.path) {
            let archive = try SafetensorsArchive(contentsOf: checkpoint)
            try trainer.load(archive)
            used = try Self.keys(archive)
            published = min(trainer.images, Int(registry.newest?.imagesSeen ?? 0))
        }
    }

    var steps: Int { trainer.steps }
    var images: Int { trainer.images }
    var isDone: Bool { settings.images.map { trainer.images >= $0 } ?? false }
    /// Whether it was trained since the last version.
    var hasNews: Bool { trainer.images > published }
    var wantsVersion: Bool {
        trainer.images - published >= settings.publishEvery || (isDone && trainer.images > published)
    }

    mutating func step(_ shelf: inout PublicationShelf) {
        var generator = random.sequence(timestep: UInt32(truncatingIfNeeded: trainer.steps), purpose: .training)
        let batch = shelf.draw(settings.batch, using: &generator)
        guard !batch.isEmpty else { return }
        lowestCut = batch.reduce(lowestCut) { min($0, $1.cut) }
        labels.formUnion(batch.map(\.label))
        let shape = [batch.count, run.image.channels, run.image.height, run.image.width]
        losses.add(
            trainer.trainBackbone(
                masked: Tensor(batch.flatMap(\.values), shape: shape), cuts: batch.map(\.cut),
                timesteps: batch.map(\.timestep),
                labels: batch.map(\.label)))
    }

    /// Writes the averaged backbone as the next version, and where training stands.
    mutating func publish(_ shelf: PublicationShelf, keeping needed: Set<UInt64>) throws -> ModelRegistry.Version {
        let version = try registry.publish(
            trainer.averaged, imagesSeen: UInt64(trainer.images),
            lowestCut: lowestCut, trainedLabels: labels, keeping: needed)
        published = trainer.images
        try save(shelf)
        return version
    }

    /// In one file: whether a fresh publication is used is a matter of which training it was used in.
    mutating func save(_ shelf: PublicationShelf) throws {
        guard trainer.steps > 0 else { return }
        used = shelf.used
        var archive = try trainer.state()
        let bytes = used.flatMap { $0.client.bytes + $0.publication.bytes }
        try archive.append(.init(name: Self.usedName, shape: [used.count, 32], uint8s: bytes))
        try DurableFile.write(archive.encoded(), to: checkpoint)
    }

    private static let usedName = "fresh.used"

    /// Client id and publication id of each, 16 bytes each.
    private static func keys(_ archive: SafetensorsArchive) throws -> [IngestCore.Key] {
        let entry = try archive.entry(usedName)
        try entry.requireShape([nil, 32])
        return stride(from: 0, to: entry.bytes.count, by: 32).compactMap { start in
            let bytes = [UInt8](entry.bytes.dropFirst(start).prefix(32))
            guard let client = ClientID(bytes[..<16]), let publication = PublicationID(bytes[16...]) else { return nil }
            return IngestCore.Key(client: client, publication: publication)
        }
    }

    /// Losses since the last report.
    mutating func takeReport() -> LossReport {
        defer { losses = LossReport(timesteps: run.schedule.timesteps) }
        return losses
    }
}
