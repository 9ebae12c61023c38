internal import Chain
internal import Wire

/// What a ledger says.
struct LedgerBook: Sendable {
    private(set) var limit: SNRFloor
    /// Whether a limit was ever entered.
    private(set) var hasLimit = false
    private(set) var stored: Set<PublicationID> = []
    private var exposures: [ImageID: Exposure] = [:]
    private var releases: [ReleaseName: ReleaseRecord] = [:]
    /// For each image and run its releases, by rising cut.
    private var byImage: [ImageInRun: [ReleaseRecord]] = [:]

    private struct ImageInRun: Hashable {
        let image: ImageID
        let run: RunID
    }

    init(_ lines: [LedgerLine]) throws(ClientError) {
        do { limit = try SNRFloor(decibels: SNRFloor.usualDecibels) } catch {
            throw ClientError(.badSettings, error.message)
        }
        for line in lines { apply(line) }
    }

    /// The exposure of each image, and the limit; the arithmetic is Chain's.
    var exposure: ExposureLedger<ImageID> { ExposureLedger(limit: limit, exposures: exposures) }

    func record(_ name: ReleaseName) -> ReleaseRecord? { releases[name] }

    /// The latest release of the same image and run at an earlier cut.
    func lastRelease(before name: ReleaseName) -> ReleaseRecord? {
        byImage[ImageInRun(image: name.image, run: name.run)]?.last { $0.name.cut < name.cut }
    }

    mutating func apply(_ line: LedgerLine) {
        switch line {
        case .limit(let snr):
            hasLimit = true
            if let limit = try? SNRFloor(snr: snr) { self.limit = limit }
        case .release(let record):
            guard releases.updateValue(record, forKey: record.name) == nil else { return }
            let key = ImageInRun(image: record.name.image, run: record.name.run)
            var known = byImage[key] ?? []
            known.insert(record, at: known.firstIndex { $0.name.cut > record.name.cut } ?? known.endIndex)
            byImage[key] = known
            // What is in the file happened, whatever the limit is now.
            if record.parent == nil { exposures[record.name.image, default: Exposure()].add(snr: record.snr) }
        case .stored(let publication): stored.insert(publication)
        }
    }
}
