import Chain
import Foundation
import Safetensors
import Sealing
import Sodium
import Testing
import Trust
import Wire

@testable import CollaFuseClient

/// An operator with one client and one worker, a run of small images, and homes for the client in a temporary folder.
final class ReleaseScene {
    static let now: UnixTime = 1_800_000_000_000
    static let shape = [1, 4, 4]

    let folder: URL
    let client: NodeKit
    let worker: NodeKit
    let deployment: Deployment
    let secrets: PoolSecrets
    let run: CertifiedRun

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-release-\(UUID())")
        let op = try Operator.create(in: folder, now: Self.now)
        client = try op.addNode(.client, name: NodeName("a"), now: Self.now).kit
        worker = try op.addNode(.worker, name: NodeName("w"), now: Self.now).kit
        let bundle = try op.makePoolKeys(now: Self.now)
        let descriptor = try RunDescriptor(
            name: "test", schedule: Schedule(.cosine(), timesteps: 1000),
            image: .init(channels: 1, height: 4, width: 4),
            labels: ["zero", "one"], backboneConfig: "{}", nonce: [UInt8](0..<16), created: Self.now)
        run = try op.certify(run: RunDocument(descriptor), now: Self.now)
        deployment = try op.deployment(Self.now)
        secrets = try Deployment.poolSecrets(in: op.deploymentFolder, for: worker, bundle: bundle, now: Self.now)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    var schedule: Schedule { run.descriptor.schedule }
    var clientID: ClientID { get throws { ClientID(of: try #require(client.signing).publicKey) } }
    var sealer: JobSealer { get throws { JobSealer(signing: try #require(client.signing)) } }

    func home(_ name: String = "home") -> URL { folder.appending(path: name) }

    func open(
        _ home: URL? = nil, limit: Double? = nil, steps: StorageSteps = StorageSteps()
    ) throws -> Release {
        // A process that another test is just starting holds the home's lock for the moment between fork and exec.
        for _ in 0..<25 {
            do {
                return try Release(
                    opening: home ?? self.home(), run: run, client: clientID, limitDecibels: limit, steps: steps)
            } catch let error as ClientError where error.message.contains("in use by process \(getpid())") {
                usleep(20_000)
            }
        }
        return try Release(
            opening: home ?? self.home(), run: run, client: clientID, limitDecibels: limit, steps: steps)
    }

    func poolKey(_ role: PoolRole = .train) throws -> PoolKey { try deployment.sealingKey(for: role, at: Self.now) }

    /// Images that differ in every value, the same at each call.
    static func images(_ count: Int, from first: Int = 0) throws -> OwnImages {
        let each = shape.reduce(1, *)
        let values = (first * each..<(first + count) * each).map { Float(($0 * 7919) % 2001) / 1000 - 1 }
        return try OwnImages(values: values, shape: shape, labels: (0..<count).map { ($0 + first) % 2 })
    }

    func publish(
        _ release: Release, _ images: OwnImages, at cut: Int = 500, as policy: ReleasePolicy = .once()
    ) async throws -> JobID? {
        try await release.publish(images, at: cut, as: policy, to: poolKey(), now: Self.now)
    }

    /// What a worker finds in a job.
    func opened(_ release: Release, _ job: JobID) async throws -> OpenedJob {
        let (envelope, sealed) = try await release.sealed(job, by: sealer)
        return try JobOpener(roster: deployment.roster, secrets: secrets).open(
            sealed, envelope: envelope, now: Self.now)
    }

    /// x at the cut of each publication of a job, as the worker finds it.
    func masked(_ release: Release, _ job: JobID) async throws -> [PublicationID: [Float]] {
        let payload = try await opened(release, job).payload
        let values = try floats(payload)
        let ids = payload.publishRequest.publicationID.compactMap { PublicationID($0) }
        let each = values.count / ids.count
        return Dictionary(
            uniqueKeysWithValues: ids.enumerated().map { ($1, Array(values[$0 * each..<($0 + 1) * each])) })
    }

    /// A worker's answer to a job.
    func answer(
        _ payload: WirePayload, to job: OpenedJob, status: WireResultStatus = .done
    ) throws -> (header: [UInt8], sealed: [UInt8]) {
        var random = try SecureRandom()
        let result = try ResultSealer(signing: #require(worker.signing)).seal(
            payload, status: status, answering: job,
            fence: Fence(broker: .random(using: &random), bootEpoch: 1, attempt: 1))
        return (result.header.bytes, result.sealed)
    }

    /// The receipt that an honest worker gives.
    func receipt(for job: OpenedJob) throws -> WirePayload {
        let values = try floats(job.payload)
        let ids = job.payload.publishRequest.publicationID
        let each = values.count / ids.count
        var payload = WirePayload()
        payload.publishReceipt.publicationID = ids
        payload.publishReceipt.storedHash = ids.enumerated().map { row, id in
            Data(BLAKE2b.hash(Array(id) + values[row * each..<(row + 1) * each].withUnsafeBytes { Array($0) }))
        }
        return payload
    }
}

func floats(_ payload: WirePayload, _ name: String = "masked") throws -> [Float] {
    try SafetensorsArchive(decoding: payload.tensors).floats(name)
}

/// The code of the `ClientError` that `body` throws; nil when it throws none.
func code(_ body: () async throws -> Void) async -> ClientError.Code? {
    do { try await body() } catch { return (error as? ClientError)?.code }
    return nil
}

func message(_ body: () async throws -> Void) async -> String {
    do { try await body() } catch { return "\(error)" }
    return ""
}
