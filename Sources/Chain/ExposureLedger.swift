/// The exposure of each image of an owner, and the owner's limit on it. Pure arithmetic: the durable file is the client's.
///
///     var ledger = ExposureLedger<String>(limit: try SNRFloor(decibels: 3))
///     try ledger.record("scan-17", snr: schedule.snr(500))    // before anything is sealed
///     ledger.worst                                            // the most exposed image
package struct ExposureLedger<Image: Hashable & Sendable>: Sendable {
    /// The most that the releases of one image may hold together.
    package let limit: SNRFloor
    package private(set) var exposures: [Image: Exposure]

    package init(limit: SNRFloor, exposures: [Image: Exposure] = [:]) {
        self.limit = limit
        self.exposures = exposures
    }

    package func exposure(of image: Image) -> Exposure { exposures[image] ?? Exposure() }

    /// Whether one more independent release of this image stays within the limit.
    package func admits(_ image: Image, snr: Double) -> Bool { exposure(of: image).totalSNR + snr <= limit.snr }

    /// - Throws: `badExposure`, and records nothing, when the release would go past the limit.
    package mutating func record(_ image: Image, snr: Double) throws(ChainError) {
        guard admits(image, snr: snr) else {
            throw ChainError(
                .badExposure,
                "one more release would bring an image's signal-to-noise ratio to \(exposure(of: image).totalSNR + snr), past the owner's limit of \(limit.snr): publish at a later cut, or not again"
            )
        }
        exposures[image, default: Exposure()].add(snr: snr)
    }

    package var releases: Int { exposures.values.reduce(0) { $0 + $1.releases } }

    /// The exposure of the image that is exposed most; that of no release when there is none.
    package var worst: Exposure { exposures.values.max { $0.totalSNR < $1.totalSNR } ?? Exposure() }
}
