internal import Foundation
internal import Sodium
internal import Trust
internal import Wire

enum ImageKind: IdentifierKind { static let length = 16 }

/// What an image is called in its owner's ledger: a keyed hash of its values, so it says nothing to others.
///
/// Of the values alone: an image that is renamed or copied keeps its ledger, and its mask.
typealias ImageID = Identifier<ImageKind>

/// Which masked image: an image of a run at a cut, and which of its masks.
struct ReleaseName: Hashable, Sendable {
    let image: ImageID
    let run: RunID
    let cut: Int
    /// k: 0 for `once`; one for each epoch of `fresh`.
    let mask: UInt32
}

/// The key that an owner's masks are made of. It never leaves the home, and has nothing to do with a job's seed, which others know.
///
/// All it makes is made by BLAKE2b keyed with it, under a tag for each use.
struct MaskingKey: Sendable {
    private let images: SecretBytes
    private let publications: SecretBytes
    private let masks: SecretBytes
    private let jobs: SecretBytes
    private let heads: SecretBytes
    /// Tells whether a ledger was kept under this key.
    let fingerprint: [UInt8]

    init(_ key: SecretBytes) throws(SodiumError) {
        images = try BLAKE2b.derive(from: key, Array("collafuse-1 image name\0".utf8))
        publications = try BLAKE2b.derive(from: key, Array("collafuse-1 publication id\0".utf8))
        masks = try BLAKE2b.derive(from: key, Array("collafuse-1 mask\0".utf8))
        jobs = try BLAKE2b.derive(from: key, Array("collafuse-1 job id\0".utf8))
        heads = try BLAKE2b.derive(from: key, Array("collafuse-1 head seed\0".utf8))
        fingerprint = BLAKE2b.mac(key: key, Array("collafuse-1 ledger\0".utf8), length: 16)
    }

    /// The key in a home; made at the first call.
    static func open(in home: URL, mayMake: Bool) throws(ClientError) -> MaskingKey {
        let url = Home.key(home)
        do {
            do {
                return try MaskingKey(SecretFile.read(.masking, from: url)[0])
            } catch let error as TrustError where error.code == .fileMissing && mayMake {
                let key = try SecretBytes.random(count: 32)
                try SecretFile.write([key], for: .masking, to: url)
                return try MaskingKey(key)
            }
        } catch let error as TrustError where error.code == .fileMissing {
            throw ClientError(
                .storage,
                "\(url.path) is missing, and images were released under it: restore it from a copy. "
                    + "A new key would draw new masks for the same images")
        } catch {
            throw ClientError(.storage, "\(error)")
        }
    }

    /// - Parameter values: of one image, row-major.
    func name(ofImage values: ArraySlice<Float>, shape: [Int]) -> ImageID {
        let dimensions = shape.flatMap { littleEndian(UInt64($0), count: 4) }
        let bytes = values.withUnsafeBytes { Array($0) }  // little-endian on every machine that Swift knows
        return Self.identifier(BLAKE2b.mac(key: images, dimensions, bytes, length: ImageKind.length))
    }

    /// What the server calls a masked image: it tells neither the image nor whether two are of one image.
    func publication(_ release: ReleaseName) -> PublicationID {
        Self.identifier(BLAKE2b.mac(key: publications, Self.bytes(release), length: PublicationKind.length))
    }

    /// An id for a new job: random to everybody else, but this home knows it for one of its own, also when it has long forgotten the
    /// job. Another home of the same client does not.
    ///
    /// - Parameter nonce: 8 random bytes.
    func job(_ nonce: [UInt8]) -> JobID {
        Self.identifier(nonce + BLAKE2b.mac(key: jobs, nonce, length: 16).prefix(8))
    }

    /// Whether a job was named by this key.
    func named(_ id: JobID) -> Bool { id == job(Array(id.bytes.prefix(8))) }

    /// What the head draws with where the workers are told `seed`: they know that one.
    func headSeed(_ seed: UInt64) -> UInt64 {
        BLAKE2b.mac(key: heads, littleEndian(seed, count: 8), length: 16).prefix(8).reversed()
            .reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The key stream that the mask of one release is made of.
    ///
    /// The parent is part of it: the noise that leads from one cut on to the next is another than the one that leads there
    /// from the image itself, or the two would be two equations for one image.
    func stream(for record: ReleaseRecord, byteCount: Int) throws(SodiumError) -> [UInt8] {
        let parent =
            record.parent.map { littleEndian(UInt64($0.cut), count: 4) + littleEndian(UInt64($0.mask), count: 4) }
            ?? [UInt8](repeating: 0, count: 8)
        let key = try BLAKE2b.derive(from: masks, Self.bytes(record.name), parent)
        var stream = try ChaCha20Stream(key: key)
        return Array(try stream.read(blocks: (byteCount + 63) / 64)[..<byteCount])
    }

    /// image (16) ‖ run (32) ‖ cut (4) ‖ k (4)
    private static func bytes(_ release: ReleaseName) -> [UInt8] {
        release.image.bytes + release.run.bytes + littleEndian(UInt64(release.cut), count: 4)
            + littleEndian(UInt64(release.mask), count: 4)
    }

    private static func identifier<K: IdentifierKind>(_ bytes: [UInt8]) -> Identifier<K> {
        guard let identifier = Identifier<K>(bytes) else {
            preconditionFailure("an identifier is made of as many bytes as its kind has")
        }
        return identifier
    }
}

func littleEndian(_ value: UInt64, count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}
