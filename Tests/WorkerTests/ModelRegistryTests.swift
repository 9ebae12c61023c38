import Chain
import Diffusion
import Foundation
import Logging
import Observability
import Sodium
import Synchronization
import Testing
import Torch
import Wire

@testable import Workbench
@testable import Worker

struct ModelRegistryTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-registry-\(UUID())")
    private let run: RunDescriptor
    private let runID: RunID

    init() throws {
        run = try Scene.run()
        var random = try SecureRandom()
        runID = .random(using: &random)
    }

    private func registry(_ id: RunID? = nil) throws -> ModelRegistry {
        try ModelRegistry(directory: folder, run: id ?? runID)
    }

    private func publish(
        _ seed: UInt64, to registry: ModelRegistry, keeping needed: Set<UInt64> = []
    ) throws -> ModelRegistry.Version {
        try registry.publish(
            Scene.denoiser(seed: seed, run: run), imagesSeen: seed * 100, lowestCut: 20, trainedLabels: [0, 2],
            keeping: needed)
    }

    private var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
    }

    @Test func versionsAreNumberedAndReadBack() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(try registry().newest == nil)
        for number in 1...3 {
            let version = try publish(UInt64(number), to: registry())
            #expect(
                version.number == UInt64(number) && version.imagesSeen == UInt64(100 * number)
                    && version.lowestCut == 20)
            #expect(try registry().newest == version)
        }
        let newest = try #require(try registry().newest)
        #expect(newest.message.version == 3 && newest.message.imagesSeen == 300 && newest.message.lowestCut == 20)
        let loaded = try registry().load(newest, run: run), written = try Scene.denoiser(seed: 3, run: run)
        for (a, b) in zip(loaded.network.parameters, written.network.parameters) { #expect(a.floats == b.floats) }
        #expect(try ModelRecord(contentsOf: folder.appending(path: "v00000003")).trainedLabels == [0])
    }

    @Test func oldVersionsArePruned() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for number in 1...6 { _ = try publish(UInt64(number), to: registry()) }
        #expect(try names == ["v00000003", "v00000004", "v00000005", "v00000006"])
        // A number is not used again.
        try FileManager.default.removeItem(at: folder.appending(path: "v00000004"))
        #expect(try publish(7, to: registry()).number == 7)
    }

    @Test("a version that a lease or a checkpoint names stays until none does")
    func neededVersionsStay() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for number in 1...6 { _ = try publish(UInt64(number), to: registry(), keeping: [2]) }
        #expect(try names == ["v00000002", "v00000003", "v00000004", "v00000005", "v00000006"])
        _ = try publish(7, to: registry())
        #expect(try names == ["v00000004", "v00000005", "v00000006", "v00000007"])
    }

    @Test func anotherRunsVersionsAreNeitherUsedNorRemoved() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var random = try SecureRandom()
        let other = try registry(RunID.random(using: &random))
        let theirs = try publish(1, to: other)
        #expect(try registry().newest == nil)
        #expect { try registry().load(theirs, run: run) } throws: {
            ($0 as? WorkerError)?.code == .badRegistry && "\($0)".contains("another run")
        }
        for number in 2...7 { #expect(try publish(UInt64(number), to: registry()).number == UInt64(number)) }
        #expect(try names == ["v00000001", "v00000004", "v00000005", "v00000006", "v00000007"])
        #expect(other.newest == theirs)
    }

    @Test func anotherScheduleIsRefused() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let version = try publish(1, to: registry())
        let linear = try RunDescriptor(
            name: "tiny", schedule: Schedule(.linear(start: 1e-3, end: 0.2), timesteps: 100), image: run.image,
            labels: run.labels,
            backboneConfig: run.backboneConfig, nonce: run.nonce, created: 1)
        #expect(throws: WorkerError.self) { try registry().load(version, run: linear) }
    }

    /// A checkpoint of this run's shape, as from elsewhere.
    private func checkpoint(
        _ change: (inout UNetConfiguration) -> Void = { _ in }, schedule: Schedule? = nil, record: ModelRecord? = nil,
        prediction: Prediction = .epsilon
    ) throws -> URL {
        var configuration = Scene.configuration(), source = ParameterSource(seed: 5)
        change(&configuration)
        let made = folder.appending(path: "elsewhere-\(UUID())")
        try ModelDirectory(
            network: UNet(configuration, &source), schedule: schedule ?? run.schedule, prediction: prediction,
            record: record
        ).write(to: made)
        return made
    }

    @Test func aCheckpointFromElsewhereIsTaken() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        _ = try publish(1, to: registry())
        let made = try checkpoint(prediction: .v)
        let version = try registry().take(made, for: run)
        #expect(version.number == 2 && version.lowestCut == 0)
        #expect(try registry().newest == version)
        let loaded = try registry().load(version, run: run)
        #expect(loaded.prediction == .v && loaded.knowsNone)
        #expect(try registry().take(made, for: run, lowestCut: 30).lowestCut == 30)
        // Out of the registry it is the same model, of any type; it can come back, with what is known of it.
        let out = folder.appending(path: "out"), half = folder.appending(path: "half")
        #expect(try ModelRegistry.give(1, from: folder, to: out) == 1)
        #expect(
            try Data(contentsOf: out.appending(path: ModelDirectory.weightsFile))
                == Data(contentsOf: folder.appending(path: "v00000001/\(ModelDirectory.weightsFile)")))
        #expect(try ModelRegistry.give(from: folder, to: half, dtype: .bfloat16) == 3)
        #expect(try UNet(contentsOf: half, dtype: nil).dtype == .bfloat16)
        let back = try registry().take(out, for: run)
        #expect(back.number == 4 && back.imagesSeen == 100 && back.lowestCut == 20)
        #expect(try ModelRecord(contentsOf: folder.appending(path: "v00000004")).trainedLabels == [0])
        // A folder that is there is not written over.
        #expect(throws: DiffusionError.self) { try ModelRegistry.give(1, from: folder, to: out) }
    }

    /// How a model's maker sampled it goes through a registry as it was, whatever of it our samplers know.
    @Test func theSchedulersFileStaysAsItWas() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try checkpoint(), file = ModelDirectory.schedulerFile, out = folder.appending(path: "out")
        let told = """
            {"_class_name": "DDIMScheduler", "_diffusers_version": "0.30.0", "num_train_timesteps": 100, "beta_start": 0.0001,
             "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "clip_sample": false, "clip_sample_range": 1.5,
             "thresholding": true, "sample_max_value": 2.5, "dynamic_thresholding_ratio": 0.9, "variance_type": "fixed_large",
             "timestep_spacing": "linspace", "steps_offset": 1, "set_alpha_to_one": false, "trained_betas": null,
             "lambda_min_clipped": -Infinity, "_note": "\u{201c}a \\\"quote\\\"\u{201d} NaN"}
            """
        try Data(told.utf8).write(to: made.appending(path: file))
        let truth = try SchedulerConfiguration(json: told)
        #expect(truth.prediction == .v && truth.sampling.end == 1)
        #expect(try registry().take(made, for: run).number == 1)
        _ = try ModelRegistry.give(from: folder, to: out)
        let written = try String(contentsOf: out.appending(path: file), encoding: .utf8)
        #expect(try SchedulerConfiguration(json: written) == truth)
        // Any reader of JSON finds the same, but for a number that is none and is written as Python writes it.
        func object(_ json: String) throws -> NSDictionary? {
            #expect(json.contains(": -Infinity"))
            let plain = json.replacing(/: -Infinity/, with: ": -1")
            return try JSONSerialization.jsonObject(with: Data(plain.utf8)) as? NSDictionary
        }
        #expect(try object(written) == object(told))
        // It is used as any other, and a model that is trained on from it is ours.
        let version = try #require(try registry().newest)
        #expect(try registry().load(version, run: run).prediction == .v)
        let next = try publish(2, to: registry())
        let ours = try SchedulerConfiguration(
            json: String(
                contentsOf: folder.appending(path: "v0000000\(next.number)/\(file)"), encoding: .utf8))
        #expect(ours.sampling.spacing == .trailing && ours.sampling.family == .ddpm)
    }

    @Test func aCheckpointThatDoesNotFitIsRefusedByName() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let head = ModelRecord(
            role: .head, version: 1, imagesSeen: 1, timesteps: 1...50, labels: 2, trainedLabels: [0])
        let cases: [(URL, String)] = [
            (try checkpoint { $0.inChannels = 3 }, "'in_channels'"),
            (try checkpoint { $0.outChannels = 2 }, "'out_channels'"),
            (try checkpoint { $0.sampleSize = [8, 8] }, "'sample_size'"),
            (try checkpoint { $0.classEmbeddings = 9 }, "class embeddings"),
            (try checkpoint { $0.timeEmbeddingType = .fourier }, "'time_embedding_type'"),
            (try checkpoint(schedule: Schedule(.linear(), timesteps: 100)), "'beta_schedule'"),
            (try checkpoint(schedule: Schedule(.cosine(), timesteps: 50)), "'num_train_timesteps'"),
            (try checkpoint(schedule: Schedule(.cosine(), timesteps: 100, offsetNoise: 0.1)), "offset noise"),
            (try checkpoint(record: head), "head"),
            (folder.appending(path: "nothing"), "nothing"),
        ]
        for (made, name) in cases {
            #expect("\(name)") { try registry().take(made, for: run) } throws: { "\($0)".contains(name) }
        }
        let sound = try checkpoint()
        for lowest in [-1, 100] {
            #expect(throws: WorkerError.self) { try registry().take(sound, for: run, lowestCut: lowest) }
        }
        #expect(try registry().newest == nil)
        for version in [nil, 7] as [UInt64?] {
            #expect { try ModelRegistry.give(version, from: folder, to: folder.appending(path: "x")) } throws: {
                ($0 as? WorkerError)?.code == .badRegistry
            }
        }
    }

    /// A folder that claims to be a version of the run, and is of another shape.
    @Test func aVersionOfAnotherShapeIsRefused() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let version = try publish(1, to: registry())
        let larger = try RunDescriptor(
            name: "tiny", schedule: run.schedule, image: .init(channels: 1, height: 8, width: 8), labels: run.labels,
            backboneConfig: run.backboneConfig, nonce: run.nonce, created: 1)
        #expect { try registry().load(version, run: larger) } throws: { "\($0)".contains("'sample_size'") }
    }

    @Test func partialAndMisnamedFoldersAreIgnored() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let version = try publish(1, to: registry())
        let manager = FileManager.default
        for name in ["v00000009", "v0000000x", "vault", ".v00000002.draft", "v"] {
            try manager.createDirectory(at: folder.appending(path: name), withIntermediateDirectories: true)
        }
        try Data("{".utf8).write(to: folder.appending(path: "v00000009").appending(path: ModelDirectory.recordFile))
        // A copy under another number is not that version.
        try manager.copyItem(at: folder.appending(path: "v00000001"), to: folder.appending(path: "v00000005"))
        #expect(try registry().newest == version)
        #expect(try publish(2, to: registry()).number == 10)
    }

    @Test("weights with NaN are neither written nor read")
    func notFinite() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let denoiser = try Scene.denoiser(seed: 1, run: run)
        let good = try publish(1, to: registry())
        let weights = folder.appending(path: "v00000001").appending(path: ModelDirectory.weightsFile)
        var bytes = try Data(contentsOf: weights)
        bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0xc0, 0x7f])
        try bytes.write(to: weights)
        #expect { try registry().load(good, run: run) } throws: { "\($0)".contains("NaN") }
        let parameter = try #require(denoiser.network.parameters.first)
        withoutGradients { parameter.copy(from: Tensor.full(.nan, parameter.shape)) }
        #expect(throws: DiffusionError.self) {
            try registry().publish(denoiser, imagesSeen: 1, lowestCut: 20, trainedLabels: [])
        }
        #expect(try names == ["v00000001"])
    }

    @Test("the shelf passes over a version that cannot be read, and keeps what samples run on")
    func shelf() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        _ = try publish(1, to: registry())
        _ = try publish(2, to: registry())
        try Data([1]).write(to: folder.appending(path: "v00000002").appending(path: ModelDirectory.weightsFile))
        var shelf = ModelShelf(try registry(), run: run, logger: Logger(label: "test"))
        func refresh(keeping used: Set<UInt64>) -> UInt64? {
            for _ in 0..<20 {
                if let version = shelf.refresh(keeping: used) { return version.number }
                Thread.sleep(forTimeInterval: 0.1)
            }
            return nil
        }
        #expect(refresh(keeping: []) == 1)
        _ = try publish(3, to: registry())
        #expect(refresh(keeping: [1]) == 3)
        #expect(shelf.denoiser(1) != nil && shelf.denoiser(3) != nil && shelf.newest?.number == 3)
        _ = try publish(4, to: registry())
        #expect(refresh(keeping: [3]) == 4)
        #expect(shelf.denoiser(1) == nil && shelf.denoiser(3) != nil)
    }

    @Test("of a folder that is no version the shelf says so, once")
    func passedOver() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        _ = try publish(1, to: registry())
        try FileManager.default.createDirectory(
            at: folder.appending(path: "v00000002"), withIntermediateDirectories: true)
        let lines = Mutex<[String]>([])
        let logger = Logger(label: "test") { label in
            StderrLogHandler(label: label, isColoured: false) { line in lines.withLock { $0.append(line) } }
        }
        var shelf = ModelShelf(try registry(), run: run, logger: logger)
        #expect(shelf.refresh(keeping: [])?.number == 1)
        Thread.sleep(forTimeInterval: 0.6)
        #expect(shelf.refresh(keeping: []) == nil)
        let said = lines.withLock { $0 }
        #expect(said.count == 1 && said.first?.contains("v00000002 has no collafuse.json") == true)
    }
}
