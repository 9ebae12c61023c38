import Chain
import Diffusion
import Exchange
import Foundation
import Logging
import Sodium
import Testing
import Torch
import Trust
import Wire

@testable import Workbench
@testable import Worker

/// The whole train loop with real keys on sixteen tiny images; only the sockets are missing.
struct TrainLoopTests {
    private let scene: Scene
    private let key: SecretBytes

    init() throws {
        scene = try Scene()
        key = try SecretBytes.random(count: 32)
    }

    private func state(_ name: String) -> URL { scene.folder.appending(path: name) }

    private func registry(_ name: String = "registry") throws -> ModelRegistry {
        try ModelRegistry(directory: scene.folder.appending(path: name), run: scene.runID)
    }

    private func loop(
        _ images: Int, batch: Int = 4, every: Int = 1_000_000, state name: String = "state",
        registry: String = "registry"
    ) throws -> TrainLoop {
        try TrainLoop(
            desk: scene.desk(), run: scene.run, registry: self.registry(registry), state: state(name), storageKey: key,
            settings: TrainingSettings(images: images, batch: batch, learningRate: 2e-3, publishEvery: every, seed: 3),
            metrics: nil,
            logger: Logger(label: "test"))
    }

    /// Half of the images bright on the left, half on the right, masked at the cut; the label says which.
    private func publication(_ ids: [UInt8], cut: UInt32 = 20, policy: WireReleasePolicy = .once) throws -> WirePayload
    {
        var payload = try WirePayload.publication(ids, cut: cut, policy: policy)
        let alpha = scene.run.schedule.alphaBar(Int(cut))
        var random = CounterRandom(seed: UInt64(cut)).sequence(timestep: 1, purpose: .training)
        let values = ids.flatMap { id in
            (0..<16).map { pixel in
                let noise = (0..<12).reduce(-6.0) { sum, _ in sum + Double.random(in: 0..<1, using: &random) }
                let image = (pixel % 4 < 2) == (id % 2 == 0) ? 0.9 : -0.9
                return Float(alpha.squareRoot() * image + (1 - alpha).squareRoot() * noise)
            }
        }
        payload.tensors = try WirePayload.tensors("masked", [ids.count, 1, 4, 4], values)
        return payload
    }

    private func weights(_ registry: ModelRegistry) throws -> [[Float]] {
        try registry.load(#require(registry.newest), run: scene.run).network.parameters.map(\.floats)
    }

    @Test("publications are stored and answered, and versions appear")
    func publishing() throws {
        let first = try scene.send(publication([1, 2, 3, 4])),
            second = try scene.send(publication([5, 6], cut: 50), from: scene.other)
        var spoiled = try publication([7])
        spoiled.publishRequest.label = [3]
        let bad = try scene.send(spoiled), denoise = try scene.send(.denoise())
        let replacing = try scene.send(publication([1, 2, 3], cut: 21))
        let loop = try loop(64, batch: 8, every: 32)
        for job in [first, second, bad, denoise, replacing] { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 6) { [orders = loop.orders] command in
            // The sixth answer, after the last version, ends it.
            if command.model?.version == 2 { orders.put(.job(first.assignment())) }
        }
        let receipts = commands.compactMap { command -> WorkerCore.Command? in
            if case .result(first.envelope.key, _, _, _, _) = command { command } else { nil }
        }
        #expect(receipts.count == 2)
        for receipt in receipts {
            let answer = try scene.answer(to: first, in: [receipt]).publishReceipt
            #expect(answer.publicationID == (1...4).map { Data(repeating: $0, count: 16) })
            #expect(Set(answer.storedHash).count == 4)
        }
        #expect(try scene.answer(to: second, in: commands).publishReceipt.storedHash.count == 2)
        #expect(try scene.answer(to: bad, in: commands).jobFailure.code == .badRequest)
        #expect(try scene.answer(to: denoise, in: commands).jobFailure.code == .badPayload)
        #expect(try scene.answer(to: replacing, in: commands).jobFailure.code == .replaced)
        #expect(commands.compactMap(\.model).map(\.version) == [1, 2])
        #expect(commands.compactMap(\.model).map(\.imagesSeen) == [32, 64])
        #expect(commands.compactMap(\.model).map(\.lowestCut) == [20, 20])
        #expect(commands.compactMap(\.iterations) == Array(1...8))
        let stored = try FileManager.default.contentsOfDirectory(
            atPath: state("state").appending(path: "publications").path)
        #expect(stored.count == 2)
        #expect(try registry().newest?.number == 2)
    }

    @Test("what cannot be stored is handed back, not acknowledged")
    func fullDisk() throws {
        let loop = try loop(8)
        // A folder in the place of the file that is to be written.
        let payload = try publication([1])
        let job = try scene.send(payload)
        let name = "\(job.envelope.client)-\(Digest(of: payload.encoded)).sealed"
        try FileManager.default.createDirectory(
            at: state("state").appending(path: "publications/\(name)/x"), withIntermediateDirectories: true)
        loop.orders.put(.job(job.assignment()))
        let commands = try loop.work(answers: 1)
        guard case .nack(_, _, .storage, _, let wait)? = commands.first(where: \.isAnswer) else {
            throw Unexpected("no NACK: \(commands)")
        }
        #expect(wait > 0)
        #expect(commands.compactMap(\.iterations).isEmpty)
    }

    @Test("stopped and started again, training ends in the same weights as without a stop")
    func restart() throws {
        let payload = try publication(Array(1...16))
        func train(_ name: String, stops: [UInt64]) throws {
            let job = try scene.send(payload)
            // A job that is known already ends the last stretch when the version is there.
            let again = try scene.send(payload)
            for stop in stops {
                let loop = try loop(64, state: name, registry: name + "-models")
                loop.orders.put(.job(job.assignment()))
                _ = try loop.work(answers: 10) { [orders = loop.orders] in
                    if $0.iterations == stop { orders.put(.stop) }
                }
                #expect(try registry(name + "-models").newest == nil)
            }
            let loop = try loop(64, state: name, registry: name + "-models")
            if stops.isEmpty { loop.orders.put(.job(job.assignment())) }
            let answers = stops.isEmpty ? 2 : 1
            let commands = try loop.work(answers: answers) { [orders = loop.orders] in
                if $0.model != nil { orders.put(.job(again.assignment())) }
            }
            #expect(commands.compactMap(\.iterations) == Array((stops.last ?? 0) + 1...16))
        }
        try train("straight", stops: [])
        try train("stopped", stops: [5, 11])
        let straight = try registry("straight-models"), stopped = try registry("stopped-models")
        #expect(straight.newest?.imagesSeen == 64 && stopped.newest?.imagesSeen == 64)
        // The same operations on the same numbers, in the same order.
        #expect(try weights(straight) == weights(stopped))
    }

    @Test("fresh publications are trained on once, over a restart too")
    func fresh() throws {
        let payload = try publication(Array(1...16), policy: .fresh)
        let job = try scene.send(payload), again = try scene.send(payload)
        let first = try loop(1000)
        first.orders.put(.job(job.assignment()))
        let before = try first.work(answers: 10) { [orders = first.orders] in
            if $0.iterations == 2 { orders.put(.stop) }
        }
        #expect(before.compactMap(\.iterations) == [1, 2])
        let second = try loop(1000)
        let after = try second.work(answers: 1) { [orders = second.orders] in
            if $0.iterations == 4 { orders.put(.job(again.assignment())) }
        }
        #expect(after.compactMap(\.iterations) == [3, 4])
        #expect(try scene.answer(to: again, in: after).publishReceipt.storedHash.count == 16)
    }

    @Test("when fresh publications are used up, and a second brought no others, a version tells so")
    func freshEnds() throws {
        let first = try scene.send(publication(Array(1...8), policy: .fresh))
        let second = try scene.send(publication(Array(9...12), policy: .fresh))
        let loop = try loop(1000)
        loop.orders.put(.job(first.assignment()))
        let commands = try loop.work(answers: 10) { [orders = loop.orders] in
            if $0.iterations == 2 { orders.put(.job(second.assignment())) }
            if $0.model != nil { orders.put(.stop) }
        }
        // One, not one for each time that the shelf was empty for a moment.
        #expect(commands.compactMap(\.model?.imagesSeen) == [12])
        #expect(commands.compactMap(\.iterations) == [1, 2, 3])
    }

    @Test("versions are counted from the last one, not from the last stop")
    func versionsAcrossAStop() throws {
        let job = try scene.send(publication(Array(1...16))), again = try scene.send(publication(Array(1...16)))
        let first = try loop(1000, every: 16)
        first.orders.put(.job(job.assignment()))
        _ = try first.work(answers: 10) { [orders = first.orders] in if $0.iterations == 7 { orders.put(.stop) } }
        #expect(try registry().newest?.imagesSeen == 16)
        let second = try loop(1000, every: 16)
        let commands = try second.work(answers: 1) { [orders = second.orders] in
            if $0.model?.version == 2 { orders.put(.job(again.assignment())) }
        }
        #expect(commands.compactMap(\.model?.imagesSeen) == [16, 32])
    }

    /// Of two clients' images, at two cuts and with two labels, one is drawn: a version claims that one and not the other.
    @Test("a version covers the labels and cuts that were drawn, not those that lie there")
    func coverage() throws {
        var drawn: Set<Int> = []
        for seed in UInt64(0)..<12 {
            let name = "coverage-\(seed)"
            let store = try PublicationStore(directory: state(name), key: key)
            var shelf = try PublicationShelf(run: scene.run, store: store, used: [], logger: Logger(label: "test"))
            var random = try SecureRandom()
            for (id, cut) in [(UInt8(2), UInt32(20)), (3, 60)] {
                let key = JobKey(client: .random(using: &random), job: .random(using: &random))
                _ = try shelf.take(publication([id], cut: cut), from: key)
            }
            #expect(shelf.coverage.labels == [0, 1] && shelf.coverage.lowestCut == 20)
            let registry = try registry(name)
            var training = try BackboneTraining(
                run: scene.run, registry: registry, state: state(name), settings: TrainingSettings(batch: 1, seed: seed)
            )
            var copy = shelf
            var generator = CounterRandom(seed: seed).sequence(timestep: 0, purpose: .training)
            let example = try #require(copy.draw(1, using: &generator).first)
            training.step(&shelf)
            let version = try training.publish(shelf, keeping: [])
            #expect(version.lowestCut == example.cut && version.imagesSeen == 1)
            let record = try ModelRecord(contentsOf: scene.folder.appending(path: "\(name)/v00000001"))
            #expect(record.trainedLabels == [example.label])
            #expect(example.label == (example.cut == 20 ? 0 : 1))

            // After a restart it still knows them.
            var again = try BackboneTraining(
                run: scene.run, registry: try self.registry(name), state: state(name),
                settings: TrainingSettings(batch: 1, seed: seed))
            _ = try again.publish(shelf, keeping: [])
            let second = try ModelRecord(contentsOf: scene.folder.appending(path: "\(name)/v00000002"))
            #expect(second.trainedLabels == [example.label])
            drawn.insert(example.cut)
        }
        #expect(drawn == [20, 60])
    }

    @Test func lossFalls() throws {
        let store = try PublicationStore(directory: state("loss"), key: key)
        var shelf = try PublicationShelf(run: scene.run, store: store, used: [], logger: Logger(label: "test"))
        var random = try SecureRandom()
        let client = ClientID.random(using: &random)
        _ = try shelf.take(publication(Array(1...32)), from: JobKey(client: client, job: .random(using: &random)))
        var training = try BackboneTraining(
            run: scene.run, registry: registry(), state: state("loss"),
            settings: TrainingSettings(batch: 16, learningRate: 4e-3, seed: 3))
        func stretch(_ steps: Int) throws -> Double {
            for _ in 0..<steps { training.step(&shelf) }
            return try #require(training.takeReport().excess)
        }
        let first = try stretch(15)
        for _ in 0..<5 { _ = try stretch(30) }
        let last = try stretch(40)
        #expect(first > 0.5 && first < 3)
        #expect(last < 0.6 * first, "\(first) → \(last)")
        #expect(training.steps == 205 && training.images == 205 * 16)
    }
}
