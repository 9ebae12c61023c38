package import Chain
internal import Exchange
package import Foundation
internal import Safetensors
internal import Sodium
package import Wire

/// What a stub engine answers: made of the request alone, so that whoever sent it knows what must come back.
package enum StubAnswer {
    /// How long the stub had the job, in microseconds: told beside the answer, so that a load test can part waiting from service.
    package struct Times: Hashable, Sendable {
        /// Until a slot was free.
        package let waited: UInt64
        package let served: UInt64

        package init(waited: UInt64, served: UInt64) {
            self.waited = waited
            self.served = served
        }
    }

    /// Checks a request as a real worker would, so far as that takes no model.
    ///
    /// - Throws: `badPayload`, `badRequest`.
    package static func check(_ payload: WirePayload, run: RunDescriptor) throws(RequestError) {
        switch payload.head {
        case .publishRequest: _ = try PublishOrder(payload, run: run)
        case .denoiseRequest(let request): try check(request, payload, run)
        default: throw RequestError(.badPayload, "a job carries a publish request or a denoise request")
        }
    }

    private static func check(
        _ request: WireDenoiseRequest, _ payload: WirePayload, _ run: RunDescriptor
    ) throws(RequestError) {
        guard (1...1024).contains(request.label.count) else {
            throw RequestError(.badRequest, "a denoise job has 1 to 1024 samples, not \(request.label.count)")
        }
        for label in request.label where label > run.nullLabel { throw RequestError(label: label, run) }
        do { _ = try run.cut(Int(request.cut)) } catch { throw RequestError(.badRequest, error.message) }
        if !payload.tensors.isEmpty { _ = try PublishOrder.images(payload, "x", count: request.label.count, run: run) }
    }

    /// The answer to a request that was checked.
    package static func payload(to request: WirePayload, run: RunDescriptor, times: Times) -> WirePayload {
        var answer = WirePayload()
        var archive = SafetensorsArchive(metadata: [
            "stub_waited_us": "\(times.waited)", "stub_served_us": "\(times.served)",
        ])
        switch request.head {
        case .publishRequest:
            guard let order = try? PublishOrder(request, run: run) else { break }
            answer.publishReceipt.publicationID = order.publications.map { Data($0.id.bytes) }
            answer.publishReceipt.storedHash = order.publications.map { Data($0.receipt.bytes) }
        case .denoiseRequest(let wish):
            answer.denoiseResult.modelVersion = 1
            let shape = [wish.label.count, run.image.channels, run.image.height, run.image.width]
            let values = samples(wish, start: request.tensors, values: run.image.values)
            if let entry = try? SafetensorsArchive.Entry(name: "x", shape: shape, floats: values) {
                try? archive.append(entry)
            }
        default: break
        }
        answer.tensors = archive.encoded()
        return answer
    }

    /// The times that an answer tells; nil when no stub made it.
    package static func times(_ answer: WirePayload) -> Times? {
        guard let archive = try? SafetensorsArchive(decoding: answer.tensors),
            let waited = archive.metadata["stub_waited_us"].flatMap({ UInt64($0) }),
            let served = archive.metadata["stub_served_us"].flatMap({ UInt64($0) })
        else { return nil }
        return Times(waited: waited, served: served)
    }

    /// x at the cut for each sample, one after another, in [−1, 1): a stream for each that is keyed by all that the sample depends on.
    ///
    /// - Parameters:
    ///   - start: the request's tensors.
    ///   - values: of one image.
    package static func samples(_ request: WireDenoiseRequest, start: Data, values: Int) -> [Float] {
        let given = BLAKE2b.hash(Array(start))
        var all: [Float] = []
        all.reserveCapacity(request.label.count * values)
        for (index, label) in request.label.enumerated() {
            let number = UInt64(request.firstSample) + UInt64(index)
            var key: [UInt8] = []
            for word in [request.seed, number, UInt64(label), UInt64(request.cut)] {
                withUnsafeBytes(of: word.littleEndian) { key += $0 }
            }
            let hash = BLAKE2b.hash(key, given)
            var stream = SplitMix64(seed: hash.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
            // The upper 24 bits fill a float's mantissa.
            for _ in 0..<values { all.append(Float(stream.next() >> 40) * 0x1p-23 - 1) }
        }
        return all
    }
}
