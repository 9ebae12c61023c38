import Chain
import Diffusion
import Foundation
import SwiftProtobuf
import Testing
import Wire

@testable import Workbench
@testable import Worker

/// What clients may get wrong, and what they are told.
struct RequestTests {
    typealias Spoil = @Sendable (inout WirePayload) throws -> Void

    struct Bad: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: WireFailureCode
        /// What the message must say: the way out.
        let says: [String]
        let spoil: Spoil

        init(_ name: String, _ code: WireFailureCode = .badRequest, _ says: String..., spoil: @escaping Spoil) {
            testDescription = name
            self.code = code
            self.says = says
            self.spoil = spoil
        }
    }

    private func refusal(_ body: () throws(RequestError) -> Void) -> RequestError? {
        do { try body() } catch { return error }
        return nil
    }

    // MARK: publish

    @Test func publishOrder() throws {
        let run = try Scene.run(cuts: [20, 50])
        let order = try PublishOrder(
            .publication([1, 2, 3], cut: 20, labels: [0, 2, 1], policy: .fresh, value: 1), run: run)
        #expect(order.cut.timestep == 20 && order.policy == .fresh)
        #expect(order.publications.map(\.id.bytes.first) == [1, 2, 3])
        #expect(order.publications.map(\.label) == [0, 2, 1])
        #expect(order.publications.map(\.values) == [1, 1.01, 1.02].map { [Float](repeating: $0, count: 16) })
    }

    static let badPublications: [Bad] = [
        Bad("another request", .badPayload, "publish request") { $0.denoiseRequest.seed = 1 },
        Bad("no policy", .badRequest, "once", "fresh") { $0.publishRequest.policy = .unspecified },
        Bad("later policy", .badRequest, "once", "fresh") { $0.publishRequest.policy = .UNRECOGNIZED(7) },
        Bad("cut 0", .badRequest, "1…99") { $0.publishRequest.cut = 0 },
        Bad("cut T", .badRequest, "1…99") { $0.publishRequest.cut = 100 },
        Bad("cut 2³²−1", .badRequest, "1…99") { $0.publishRequest.cut = .max },
        Bad("cut that is not allowed", .badRequest, "20, 50") { $0.publishRequest.cut = 30 },
        Bad("nothing", .badRequest, "at least one") {
            $0.publishRequest = .with {
                $0.cut = 50; $0.policy = .once
            }
        },
        Bad("a label too few", .badRequest, "label for each", "3", "2") { $0.publishRequest.label.removeLast() },
        Bad("an id too few", .badRequest, "label for each", "3", "2") { $0.publishRequest.publicationID.removeLast() },
        Bad("label out of range", .badRequest, "label 3", "0…1", "2 for none") { $0.publishRequest.label[1] = 3 },
        Bad("short id", .badPayload, "16 bytes") { $0.publishRequest.publicationID[1] = Data(count: 15) },
        Bad("id twice", .badRequest, "twice") {
            $0.publishRequest.publicationID[2] = $0.publishRequest.publicationID[0]
        },
        Bad("other image size", .badRequest, "1×4×4") {
            $0.tensors = try WirePayload.tensors("masked", [3, 1, 2, 8], .init(repeating: 0, count: 48))
        },
        Bad("an image too few", .badRequest, "3 images") {
            $0.tensors = try WirePayload.tensors("masked", [2, 1, 4, 4], .init(repeating: 0, count: 32))
        },
        Bad("three dimensions", .badRequest, "1×4×4") {
            $0.tensors = try WirePayload.tensors("masked", [3, 4, 4], .init(repeating: 0, count: 48))
        },
        Bad("another name", .badRequest, "masked") {
            $0.tensors = try WirePayload.tensors("x", [3, 1, 4, 4], .init(repeating: 0, count: 48))
        },
        Bad("NaN", .badRequest, "no numbers") { $0.tensors = try spoiled(.nan) },
        Bad("infinity", .badRequest, "no numbers") { $0.tensors = try spoiled(-.infinity) },
        Bad("no tensors", .badPayload, "safetensors") { $0.tensors = Data() },
        Bad("rubbish", .badPayload, "safetensors") { $0.tensors = Data(repeating: 0xff, count: 100) },
        Bad("header longer than the file", .badPayload, "safetensors") { $0.tensors[7] = 0x7f },
        Bad("data cut short", .badPayload, "safetensors") { $0.tensors.removeLast(4) },
        Bad("more data than it names", .badPayload, "safetensors") { $0.tensors += Data(count: 4) },
        Bad("a shape that its bytes do not fill", .badPayload, "safetensors") { payload in
            let header = "{\"masked\":{\"dtype\":\"F32\",\"shape\":[3,1,4,4],\"data_offsets\":[0,4]}}"
            payload.tensors =
                Data([UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0]) + Data(header.utf8) + Data(count: 4)
        },
    ]

    private static func spoiled(_ value: Float) throws -> Data {
        var values = [Float](repeating: 0, count: 48)
        values[40] = value
        return try WirePayload.tensors("masked", [3, 1, 4, 4], values)
    }

    @Test(arguments: badPublications)
    func badPublication(bad: Bad) throws {
        let run = try Scene.run(cuts: [20, 50])
        var payload = try WirePayload.publication([1, 2, 3])
        _ = try PublishOrder(payload, run: run)
        try bad.spoil(&payload)
        let error = try #require(refusal { () throws(RequestError) in _ = try PublishOrder(payload, run: run) })
        #expect(error.code == bad.code)
        for words in bad.says { #expect(error.message.contains(words), "\(error.message)") }
        #expect(error.payload.jobFailure.code == bad.code && error.payload.jobFailure.message == error.message)
    }

    @Test func aRunWithoutLabelsTakesOnlyNone() throws {
        let labelled = try Scene.run()
        let run = try RunDescriptor(
            name: "plain", schedule: labelled.schedule, image: labelled.image, labels: [], backboneConfig: "{}",
            nonce: labelled.nonce,
            created: 0)
        #expect(try PublishOrder(.publication([1], labels: [0]), run: run).publications.map(\.label) == [0])
        let error = refusal { () throws(RequestError) in _ = try PublishOrder(publication(label: 1), run: run) }
        #expect(error?.message.contains("send 0") == true)
    }

    private func publication(label: UInt32) -> WirePayload {
        (try? .publication([1], labels: [label])) ?? WirePayload()
    }

    // MARK: denoise

    @Test func denoiseOrder() throws {
        let run = try Scene.run(cuts: [20, 50])
        var payload = try WirePayload.denoise(
            [1, 2], to: 20, steps: 4, seed: 9, first: 5, sampler: .ddpm, guidance: 0, clip: 0)
        var order = try DenoiseOrder(payload, run: run)
        #expect(order.cut.timestep == 20 && order.timesteps.timesteps == [100, 80, 60, 40, 20])
        #expect(order.labels == [1, 2] && order.seed == 9 && order.sampler == .ddpm())
        #expect(!order.isGuided && order.threshold == .none && order.start == nil)
        let plans = order.plans(lowestCut: 20)
        #expect(plans.map(\.number) == [5, 6] && plans.map(\.label) == [1, 2])
        // A backbone may be asked at the cut itself only where it was trained below it.
        #expect(plans.map(\.asksAtEnd) == [false, false] && order.plans(lowestCut: 19)[0].asksAtEnd)
        payload.denoiseRequest.sampler = .ddim
        payload.denoiseRequest.eta = 0.5
        payload.denoiseRequest.guidance = 2.5
        payload.denoiseRequest.clip = 1.5
        payload.denoiseRequest.timestep = [60, 50, 20]
        payload.tensors = try WirePayload.tensors("x", [2, 1, 4, 4], (0..<32).map(Float.init))
        order = try DenoiseOrder(payload, run: run)
        #expect(order.sampler == .ddim(eta: 0.5) && order.guidance == 2.5 && order.isGuided)
        #expect(order.threshold == .clip(1.5))
        #expect(order.start == [(0..<16).map(Float.init), (16..<32).map(Float.init)])
        payload.denoiseRequest.dynamicQuantile = 0.99
        #expect(try DenoiseOrder(payload, run: run).threshold == .dynamic(quantile: 0.99, maximum: 1.5))
        let samplers: [(WireSamplerKind, Sampler)] = [(.dpmSolver, .dpmSolver), (.euler, .euler), (.heun, .heun())]
        for (kind, sampler) in samplers {
            payload.denoiseRequest.sampler = kind
            #expect(try DenoiseOrder(payload, run: run).sampler == sampler)
        }
    }

    static let badDenoising: [Bad] = [
        Bad("another request", .badPayload, "denoise request") { $0.publishRequest.cut = 1 },
        Bad("no samples", .badRequest, "1 to 1024") { $0.denoiseRequest.label = [] },
        Bad("too many samples", .badRequest, "1 to 1024", "1025") {
            $0.denoiseRequest.label = .init(repeating: 0, count: 1025)
        },
        Bad("label out of range", .badRequest, "label 3", "0…1", "2 for none") { $0.denoiseRequest.label[1] = 3 },
        Bad("cut 0", .badRequest, "1…99") { $0.denoiseRequest.cut = 0 },
        Bad("cut T", .badRequest, "1…99") { $0.denoiseRequest.cut = 100 },
        Bad("cut that is not allowed", .badRequest, "20, 50") { $0.denoiseRequest.cut = 30 },
        Bad("timesteps past the cut", .badRequest, "end at the cut 50", "not at 20") {
            $0.denoiseRequest.timestep = [100, 50, 20]
        },
        Bad("timesteps short of the cut", .badRequest, "end at the cut 50", "not at 60") {
            $0.denoiseRequest.timestep = [100, 60]
        },
        Bad("timesteps that rise", .badRequest, "fall strictly") { $0.denoiseRequest.timestep = [100, 60, 70, 50] },
        Bad("a timestep twice", .badRequest, "fall strictly") { $0.denoiseRequest.timestep = [100, 60, 60, 50] },
        Bad("one timestep", .badRequest, "two or more") { $0.denoiseRequest.timestep = [50] },
        Bad("no timesteps", .badRequest, "two or more") { $0.denoiseRequest.timestep = [] },
        Bad("past T", .badRequest, "0…100") { $0.denoiseRequest.timestep = [101, 50] },
        Bad("far past T", .badRequest, "0…100") { $0.denoiseRequest.timestep = [.max, 50] },
        Bad("from the middle without x", .badRequest, "starts at 100", "`x`") {
            $0.denoiseRequest.timestep = [70, 50]
        },
        Bad("no sampler", .badRequest, "ddpm, ddim, dpm-solver++, euler, heun") {
            $0.denoiseRequest.sampler = .unspecified
        },
        Bad("later sampler", .badRequest, "ddpm, ddim, dpm-solver++, euler, heun") {
            $0.denoiseRequest.sampler = .UNRECOGNIZED(9)
        },
        Bad("η below 0", .badRequest, "0…1") { $0.denoiseRequest.eta = -0.1 },
        Bad("η above 1", .badRequest, "0…1") { $0.denoiseRequest.eta = 1.1 },
        Bad("η that is no number", .badRequest, "0…1") { $0.denoiseRequest.eta = .nan },
        Bad("negative guidance", .badRequest, "0…100") { $0.denoiseRequest.guidance = -1 },
        Bad("too much guidance", .badRequest, "0…100") { $0.denoiseRequest.guidance = 100.5 },
        Bad("guidance that is no number", .badRequest, "0…100") { $0.denoiseRequest.guidance = .nan },
        Bad("negative clip", .badRequest, "above 0") { $0.denoiseRequest.clip = -1 },
        Bad("infinite clip", .badRequest, "above 0") { $0.denoiseRequest.clip = .infinity },
        Bad("quantile above 1", .badRequest, "quantile in (0, 1]") { $0.denoiseRequest.dynamicQuantile = 1.5 },
        Bad("quantile that is no number", .badRequest, "quantile in (0, 1]") {
            $0.denoiseRequest.dynamicQuantile = .nan
        },
        Bad("dynamic below 1", .badRequest, "maximum of 1 or more") {
            $0.denoiseRequest.dynamicQuantile = 0.9; $0.denoiseRequest.clip = 0.5
        },
        Bad("clip that is no number", .badRequest, "above 0") { $0.denoiseRequest.clip = .nan },
        Bad("sample numbers that overflow", .badRequest, "too large") { $0.denoiseRequest.firstSample = .max },
        Bad("an x too few", .badRequest, "2 images") {
            $0.tensors = try WirePayload.tensors("x", [1, 1, 4, 4], .init(repeating: 0, count: 16))
        },
        Bad("x of another size", .badRequest, "1×4×4") {
            $0.tensors = try WirePayload.tensors("x", [2, 1, 8, 2], .init(repeating: 0, count: 32))
        },
        Bad("x with NaN", .badRequest, "no numbers") {
            $0.tensors = try WirePayload.tensors("x", [2, 1, 4, 4], .init(repeating: .nan, count: 32))
        },
        Bad("x that is rubbish", .badPayload, "safetensors") { $0.tensors = Data([1, 2, 3]) },
    ]

    @Test(arguments: badDenoising)
    func badDenoiseJob(bad: Bad) throws {
        let run = try Scene.run(cuts: [20, 50])
        var payload = try WirePayload.denoise([0, 1])
        _ = try DenoiseOrder(payload, run: run)
        try bad.spoil(&payload)
        let error = try #require(refusal { () throws(RequestError) in _ = try DenoiseOrder(payload, run: run) })
        #expect(error.code == bad.code)
        for words in bad.says { #expect(error.message.contains(words), "\(error.message)") }
    }

    @Test func coverage() throws {
        let order = try DenoiseOrder(.denoise(to: 20), run: Scene.run())
        try order.check(.init(number: 1, imagesSeen: 1, lowestCut: 20, trainedLabels: []))
        let error = refusal { () throws(RequestError) in
            try order.check(.init(number: 1, imagesSeen: 1, lowestCut: 21, trainedLabels: []))
        }
        #expect(error?.code == .cutNotCovered)
        #expect(error?.message.contains("21") == true)
    }
}
