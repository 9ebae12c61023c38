internal import Wire

/// A masked image that left, or is about to.
struct ReleaseRecord: Hashable, Sendable {
    let name: ReleaseName
    /// The earlier release of the same image and run that this one noises on; nil: made from the image itself.
    let parent: Parent?
    /// The signal-to-noise ratio at its cut. Counted when there is no parent: what has one gives away nothing new.
    let snr: Double

    struct Parent: Hashable, Sendable {
        let cut: Int
        let mask: UInt32
    }
}

/// What the ledger's file is made of, a line each.
///
///     limit SNR                                      the owner's limit from here on
///     release IMAGE RUN CUT K PARENT-CUT PARENT-K SNR  (“-” where there is no parent)
///     stored PUBLICATION                             a worker's signed receipt came
enum LedgerLine: Hashable, Sendable {
    case limit(Double)
    case release(ReleaseRecord)
    case stored(PublicationID)

    var text: String {
        switch self {
        case .limit(let snr): return "limit \(snr)"  // Swift prints the shortest text that reads as the same Double
        case .release(let record):
            let parent = record.parent.map { "\($0.cut) \($0.mask)" } ?? "- -"
            let name = record.name
            return "release \(name.image) \(name.run) \(name.cut) \(name.mask) \(parent) \(record.snr)"
        case .stored(let publication): return "stored \(publication)"
        }
    }

    /// - Returns: nil for a text that is none of these.
    init?(_ text: some StringProtocol) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        switch (words.first, words.count) {
        case ("limit", 2):
            guard let snr = Double(words[1]), snr > 0, snr.isFinite else { return nil }
            self = .limit(snr)
        case ("stored", 2):
            guard let publication = [UInt8](hex: words[1]).flatMap({ PublicationID($0) }) else { return nil }
            self = .stored(publication)
        case ("release", 8):
            guard let image = [UInt8](hex: words[1]).flatMap({ ImageID($0) }),
                let run = [UInt8](hex: words[2]).flatMap({ RunID($0) }), let cut = Int(words[3]),
                let mask = UInt32(words[4]), let snr = Double(words[7]), snr >= 0, snr.isFinite
            else { return nil }
            var parent: ReleaseRecord.Parent?
            if words[5] != "-" {
                guard let cut = Int(words[5]), let mask = UInt32(words[6]) else { return nil }
                parent = ReleaseRecord.Parent(cut: cut, mask: mask)
            }
            let name = ReleaseName(image: image, run: run, cut: cut, mask: mask)
            self = .release(ReleaseRecord(name: name, parent: parent, snr: snr))
        default: return nil
        }
    }
}
