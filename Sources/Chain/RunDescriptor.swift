/// What every party of a run agrees on. The operator signs its encoding, whose hash is the run's name.
package struct RunDescriptor: Hashable, Sendable {
    package struct ImageShape: Hashable, Sendable, CustomStringConvertible {
        package let channels: Int
        package let height: Int
        package let width: Int

        /// - Throws: `badDescriptor` for sides or channels that no image of a run has.
        package init(channels: Int, height: Int, width: Int) throws(ChainError) {
            guard (1...64).contains(channels), (1...4096).contains(height), (1...4096).contains(width) else {
                throw ChainError(
                    .badDescriptor,
                    "an image has 1 to 64 channels and sides of 1 to 4096, not \(channels)×\(height)×\(width)")
            }
            self.channels = channels
            self.height = height
            self.width = width
        }

        /// d: values per image.
        package var values: Int { channels * height * width }

        package var description: String { "\(channels)×\(height)×\(width)" }
    }

    package let name: String
    package let schedule: Schedule
    package let image: ImageShape
    /// Names of the classes 0 ..< C. The class C means "none".
    package let labels: [String]
    /// `config.json` of a diffusers `UNet2DModel`. Diffusion reads it; here it is only carried.
    package let backboneConfig: String
    /// Rising. Empty: every cut in 1…T−1.
    package let allowedCuts: [Int]
    /// 16 random bytes: two runs are never the same.
    package let nonce: [UInt8]
    /// Unix time in milliseconds.
    package let created: Int64

    package static let nonceLength = 16
    package static let maximumLabels = 10_000
    package static let maximumConfigLength = 1 << 16

    /// - Throws: `badDescriptor`, or `cutOutOfRange` for an allowed cut outside 1…T−1.
    package init(
        name: String, schedule: Schedule, image: ImageShape, labels: [String], backboneConfig: String,
        allowedCuts: [Int] = [],
        nonce: [UInt8], created: Int64
    ) throws(ChainError) {
        guard !name.isEmpty, name.utf8.count <= 200 else {
            throw ChainError(.badDescriptor, "a run has a name of 1 to 200 bytes")
        }
        guard labels.count <= Self.maximumLabels, Set(labels).count == labels.count,
            labels.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 200 })
        else {
            throw ChainError(
                .badDescriptor, "a run has at most \(Self.maximumLabels) labels, all different, each of 1 to 200 bytes")
        }
        guard !backboneConfig.isEmpty, backboneConfig.utf8.count <= Self.maximumConfigLength else {
            throw ChainError(.badDescriptor, "the backbone's config has 1 to \(Self.maximumConfigLength) bytes")
        }
        guard nonce.count == Self.nonceLength else {
            throw ChainError(.badDescriptor, "a run's nonce has \(Self.nonceLength) bytes, not \(nonce.count)")
        }
        guard created >= 0 else { throw ChainError(.badDescriptor, "a run was not made before 1970") }
        for cut in allowedCuts { _ = try Cut(cut, on: schedule) }
        guard zip(allowedCuts, allowedCuts.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw ChainError(.badDescriptor, "the allowed cuts must rise, none twice")
        }
        self.name = name
        self.schedule = schedule
        self.image = image
        self.labels = labels
        self.backboneConfig = backboneConfig
        self.allowedCuts = allowedCuts
        self.nonce = nonce
        self.created = created
    }

    /// C: the label that stands for "none".
    package var nullLabel: Int { labels.count }

    /// - Throws: `cutOutOfRange`, or `cutNotAllowed` with the cuts that are.
    package func cut(_ timestep: Int) throws(ChainError) -> Cut {
        let cut = try Cut(timestep, on: schedule)
        guard allowedCuts.isEmpty || allowedCuts.contains(timestep) else {
            throw ChainError(
                .cutNotAllowed,
                "the run allows the cuts \(allowedCuts.map(String.init).joined(separator: ", ")), not \(timestep)")
        }
        return cut
    }
}
