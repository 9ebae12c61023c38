package import Chain
internal import Safetensors
internal import Trust
package import Wire

/// A publish job's payload, read and checked against the run: what the trainer may store.
package struct PublishOrder: Sendable {
    /// One masked image.
    package struct Publication: Sendable {
        package let id: PublicationID
        /// The number of labels stands for "none".
        package let label: Int
        /// x_ζ, `image.values` floats.
        package let values: [Float]
    }

    package let cut: Cut
    package let policy: WireReleasePolicy
    package let publications: [Publication]

    /// - Throws: `badPayload` when it cannot be read, `badRequest` when the run does not allow it.
    package init(_ payload: WirePayload, run: RunDescriptor) throws(RequestError) {
        guard case .publishRequest(let request) = payload.head else {
            throw RequestError(.badPayload, "a publish job must carry a publish request")
        }
        guard request.policy == .once || request.policy == .fresh else {
            throw RequestError(.badRequest, "the release policy is not known here: it is `once` or `fresh`")
        }
        do { cut = try run.cut(Int(request.cut)) } catch { throw RequestError(.badRequest, error.message) }
        policy = request.policy
        let count = request.publicationID.count
        guard count > 0 else { throw RequestError(.badRequest, "a publish job holds at least one image") }
        guard request.label.count == count else {
            throw RequestError(
                .badRequest, "there must be a label for each publication: \(count) and \(request.label.count)")
        }
        let values = try Self.images(payload, "masked", count: count, run: run, largest: Self.largestValue)
        var publications: [Publication] = []
        publications.reserveCapacity(count)
        for (index, (id, label)) in zip(request.publicationID, request.label).enumerated() {
            guard label <= run.nullLabel else {
                throw RequestError(label: label, run)
            }
            guard let id = PublicationID(id) else {
                throw RequestError(.badPayload, "a publication id must have 16 bytes")
            }
            let range = index * run.image.values..<(index + 1) * run.image.values
            publications.append(Publication(id: id, label: Int(label), values: Array(values[range])))
        }
        guard Set(publications.map(\.id)).count == count else {
            throw RequestError(.badRequest, "a publication id occurs twice in one job")
        }
        self.publications = publications
    }

    /// No image in [−1, 1] with standard normal noise has such a value; one that has would spoil every batch it is in.
    package static let largestValue: Float = 10

    /// The named tensor [count, C, H, W] of the run's shape, every value finite.
    package static func images(
        _ payload: WirePayload, _ name: String, count: Int, run: RunDescriptor,
        largest: Float = .greatestFiniteMagnitude
    ) throws(RequestError) -> [Float] {
        let shape = run.image
        let archive: SafetensorsArchive
        do { archive = try SafetensorsArchive(decoding: payload.tensors) } catch {
            throw RequestError(.badPayload, "the images are no safetensors: \(error.message)")
        }
        let values: [Float]
        do {
            values = try archive.floats(name, shape: [count, shape.channels, shape.height, shape.width])
        } catch {
            throw RequestError(
                .badRequest, "the run wants `\(name)` with \(count) images of \(shape): \(error.message)")
        }
        guard values.allSatisfy({ abs($0) <= largest }) else {
            throw RequestError(
                .badRequest,
                "the images hold values that are no numbers, or larger than \(largest): scale images to [−1, 1]")
        }
        return values
    }
}

extension PublishOrder.Publication {
    /// What the receipt names: BLAKE2b-256 of id ‖ values, little-endian.
    package var receipt: Digest {
        values.withUnsafeBytes { Digest(of: id.bytes + $0) }
    }
}

extension RequestError {
    /// A label that the run does not have.
    package init(label: UInt32, _ run: RunDescriptor) {
        let known =
            run.labels.isEmpty
            ? "no labels: send 0" : "the labels 0…\(run.nullLabel - 1), and \(run.nullLabel) for none"
        self.init(.badRequest, "label \(label) is out of range: the run has \(known)")
    }
}
