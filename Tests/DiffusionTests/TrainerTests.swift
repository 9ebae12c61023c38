import Chain
import Diffusion
import Foundation
import Testing
import Torch

struct TrainerTests {
    private let schedule: Schedule
    private let cut: Cut

    init() throws {
        schedule = try Schedule(.cosine(), timesteps: 1000)
        cut = try Cut(500, on: schedule)
    }

    private func network(_ seed: UInt64?) -> UNet {
        var configuration = UNetConfiguration()
        configuration.blockOutChannels = [8, 16]
        configuration.downBlocks = [.plain, .attention]
        configuration.upBlocks = [.attention, .plain]
        configuration.layersPerBlock = 1
        configuration.normGroups = 4
        configuration.inChannels = 1
        configuration.outChannels = 1
        configuration.classEmbeddings = 3
        var source = seed.map { ParameterSource(seed: $0) } ?? ParameterSource.zeros()
        return UNet(configuration, &source)
    }

    private func trainer(batch: Int = 8) throws -> Trainer<UNet> {
        var options = TrainerOptions()
        options.batch = batch
        options.warmUp = 5
        return Trainer(try Denoiser(network(1), on: schedule, labels: 2), average: network(nil), options, seed: 4)
    }

    /// Half of the images white on the left, half on the right: a label says which.
    private func images() throws -> (PrivateImages, [Int]) {
        let labels = (0..<16).map { $0 % 2 }
        let values = labels.flatMap { label in (0..<16).map { ($0 % 4 < 2) == (label == 0) ? Float(0.9) : -0.9 } }
        return (try PrivateImages(values, shape: [16, 1, 4, 4]), labels)
    }

    @Test func aHeadLearns() throws {
        let (images, labels) = try images()
        var trainer = try trainer(batch: 16)
        var first = LossReport(timesteps: 1000), last = first
        for step in 0..<120 {
            let rows = trainer.trainHead(images, labels: labels, cut: cut)
            #expect(rows.allSatisfy { (1...500).contains($0.timestep) && $0.addedShare == 1 })
            if step < 20 { first.add(rows) } else if step >= 100 { last.add(rows) }
        }
        #expect(trainer.images == 1920 && trainer.steps == 120 && trainer.skipped == 0)
        #expect(try #require(last.excess) < 0.6 * (try #require(first.excess)))
    }

    @Test func goingOnIsNotStoppingAtAll() throws {
        let (images, labels) = try images()
        var whole = try trainer(), first = try trainer()
        for _ in 0..<6 { _ = whole.trainHead(images, labels: labels, cut: cut) }
        for _ in 0..<3 { _ = first.trainHead(images, labels: labels, cut: cut) }
        var second = Trainer(
            try Denoiser(network(9), on: schedule, labels: 2), average: network(nil), first.options, seed: 4)
        try second.load(first.state())
        for _ in 0..<3 { _ = second.trainHead(images, labels: labels, cut: cut) }
        #expect(second.steps == 6 && second.images == whole.images)
        for (a, b) in zip(second.averaged.network.namedParameters, whole.averaged.network.namedParameters) {
            #expect(a.tensor.floats == b.tensor.floats, "\(a.key)")
        }
    }

    @Test func masksTeachTheBackboneOnly() throws {
        let (images, labels) = try images()
        let masked = mask(images, at: cut, on: schedule, with: try mask(seed: 3, images: 16, imageShape: [1, 4, 4]))
        var trainer = try trainer()
        let timesteps = (0..<16).map { 510 + 30 * $0 }
        let rows = trainer.trainBackbone(
            masked: masked.x, cuts: timesteps.map { _ in 500 }, timesteps: timesteps, labels: labels)
        #expect(rows.map(\.timestep) == timesteps)
        #expect(rows.allSatisfy { $0.addedShare > 0 && $0.addedShare < 1 })
        #expect(zip(rows, rows.dropFirst()).allSatisfy { $0.addedShare < $1.addedShare })
    }

    /// A step whose gradient is no number changes neither network nor average, and is counted.
    @Test func aStepThatDivergesIsSkipped() throws {
        let (images, labels) = try images()
        var trainer = try trainer()
        _ = trainer.trainHead(images, labels: labels, cut: cut)
        let parameters = trainer.denoiser.network.parameters
        let last = parameters[parameters.count - 1]
        withoutGradients { last.fill(.infinity) }
        let before = trainer.averaged.network.parameters.map(\.floats)
        let other = parameters[0].floats
        _ = trainer.trainHead(images, labels: labels, cut: cut)
        #expect(trainer.skipped == 1)
        #expect(trainer.averaged.network.parameters.map(\.floats) == before)
        #expect(parameters[0].floats == other)
    }

    @Test func minSNRMustChangeSomething() throws {
        var options = TrainerOptions()
        try options.check(on: schedule, above: 0)
        options.minSNR = 5
        try options.check(on: schedule, above: 0)
        for (value, origin) in [(5, 500), (0, 0), (-1, 0), (Double.nan, 0), (.infinity, 0)] {
            options.minSNR = value
            #expect { try options.check(on: schedule, above: origin) } throws: {
                ($0 as? DiffusionError)?.code == .badConfig
            }
        }
    }

    @Test func whatTrainingDoesNotDoIsRefused() throws {
        var configuration = UNetConfiguration()
        try configuration.checkTrainable()
        configuration.dropout = 0.1
        #expect { try configuration.checkTrainable() } throws: {
            ($0 as? DiffusionError)?.message.contains("'dropout'") == true
        }
        let text = try UNet(contentsOf: goldens("unet-text")).configuration
        #expect { try text.checkTrainable() } throws: { ($0 as? DiffusionError)?.code == .badConfig }
    }

    @Test func aStateOfSomethingElseIsRefused() throws {
        var trainer = try trainer()
        #expect { try trainer.load(network(1).state()) } throws: { ($0 as? DiffusionError)?.code == .badModel }
    }
}
