internal import Chain
internal import Diffusion
internal import Exchange
internal import Foundation
internal import Logging
internal import Sodium
internal import Trust
internal import Wire
internal import Workbench

/// Everything that may be trained on: the index beside the values, in memory, over the store on disk.
struct PublicationShelf {
    /// One training example.
    struct Example {
        let timestep: Int
        let cut: Int
        let label: Int
        /// x_ζ
        let values: ArraySlice<Float>
    }

    private let run: RunDescriptor
    private let store: PublicationStore
    private var index: IngestCore
    /// Masked images one after another; a publication's slot is its place.
    private var values: [Float] = []
    /// Fresh publications that were trained on, in that order: they are known and never drawn again.
    private(set) var used: [IngestCore.Key]
    /// Whether the backbone has a row for "none".
    private let knowsNone: Bool

    /// Takes up what was stored before.
    ///
    /// - Parameter used: what ``used`` was when training was last saved.
    init(run: RunDescriptor, store: PublicationStore, used: [IngestCore.Key], logger: Logger) throws {
        self.used = used
        knowsNone =
            try run.labels.isEmpty || UNetConfiguration(json: run.backboneConfig).classEmbeddings != run.labels.count
        self.run = run
        self.store = store
        index = IngestCore(timesteps: run.schedule.timesteps)
        let (records, damaged) = try store.recover()
        for name in damaged {
            logger.error("a stored publication cannot be opened and is left out", metadata: ["file": "\(name)"])
        }
        let gone = Set(used)
        for record in records {
            do {
                let order = try PublishOrder(WirePayload(decoding: record.payload, as: "stored publication"), run: run)
                for publication in order.publications { insert(publication, order, record.client, besides: gone) }
            } catch {
                logger.error(
                    "a stored publication is not of this run",
                    metadata: ["client": "\(record.client)", "reason": "\(error)"])
            }
        }
        if !records.isEmpty {
            logger.info("publications recovered", metadata: ["images": "\(index.coverage.publications)"])
        }
    }

    var isEmpty: Bool { index.available == 0 }
    var coverage: IngestCore.Coverage { index.coverage }

    /// Stores a publish job's images and gives the receipt for them. The same images again give the same receipt.
    ///
    /// - Throws: `RequestError` when they do not fit the run, or an id stands for other values already; `WorkerError` when they
    ///   cannot be stored.
    mutating func take(_ payload: WirePayload, from key: JobKey) throws -> WirePayload {
        let order = try PublishOrder(payload, run: run)
        guard knowsNone || !order.publications.contains(where: { $0.label == run.nullLabel }) else {
            throw RequestError(.badRequest, "this run's backbone has no label for none: name a label for every image")
        }
        var news: [PublishOrder.Publication] = []
        for publication in order.publications {
            let name = IngestCore.Key(client: key.client, publication: publication.id)
            switch index.judge(name, hash: publication.identity(at: order.cut)) {
            case .new: news.append(publication)
            case .duplicate: break
            case .replaced:
                throw RequestError(
                    .replaced, "publication \(publication.id.short) is stored with other values: publish under a new id"
                )
            }
        }
        if !news.isEmpty {
            try store.store(.init(client: key.client, payload: payload.encoded))
            for publication in news { insert(publication, order, key.client) }
        }
        var answer = WirePayload()
        answer.publishReceipt.publicationID = order.publications.map { Data($0.id.bytes) }
        answer.publishReceipt.storedHash = order.publications.map { Data($0.receipt.bytes) }
        return answer
    }

    private mutating func insert(
        _ publication: PublishOrder.Publication, _ order: PublishOrder, _ client: ClientID,
        besides gone: Set<IngestCore.Key> = []
    ) {
        let key = IngestCore.Key(client: client, publication: publication.id)
        let slot = values.count / run.image.values
        // The order was checked against the run, whose cuts lie in 1…T−1.
        try? index.insert(
            .init(
                key: key, hash: publication.identity(at: order.cut),
                cut: order.cut.timestep, label: publication.label, isFresh: order.policy == .fresh, slot: slot),
            isUsed: gone.contains(key))
        if !gone.contains(key) { values += publication.values }
    }

    /// A batch, balanced over timesteps and clients; fewer examples when fresh publications run out.
    mutating func draw(_ count: Int, using random: inout some RandomNumberGenerator) -> [Example] {
        index.batch(count, using: &random).map { draw in
            if draw.publication.isFresh { used.append(draw.publication.key) }
            let start = draw.publication.slot * run.image.values
            return Example(
                timestep: draw.timestep, cut: draw.publication.cut, label: draw.publication.label,
                values: values[start..<start + run.image.values])
        }
    }
}

extension PublishOrder.Publication {
    /// What makes two deliveries the same publication: the values, the cut and the label.
    func identity(at cut: Cut) -> Digest {
        var bytes = receipt.bytes
        for number in [UInt32(cut.timestep), UInt32(label)] {
            withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
        }
        return Digest(of: bytes)
    }
}
