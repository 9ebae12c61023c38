import Chain
import Foundation
import Sodium
import Trust
import Wire

/// An operator with a client, a worker, a broker, pool keys and a run, in a temporary folder.
final class Scene {
    static let now: UnixTime = 1_800_000_000_000

    let folder: URL
    let op: Operator
    let client: NodeKit
    let worker: NodeKit
    let broker: NodeKit

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-trust-\(UUID())")
        op = try Operator.create(in: folder, now: Self.now)
        client = try op.addNode(.client, name: NodeName("hospital-a"), now: Self.now).kit
        worker = try op.addNode(.worker, name: NodeName("worker-1"), now: Self.now).kit
        broker = try op.addNode(.broker, name: NodeName("broker-1"), now: Self.now).kit
        try op.makePoolKeys(now: Self.now)
        try op.certify(run: RunDocument(Self.descriptor()), now: Self.now)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    static func descriptor() throws -> RunDescriptor {
        try RunDescriptor(
            name: "digits", schedule: Schedule(.cosine(), timesteps: 1000),
            image: .init(channels: 1, height: 8, width: 8), labels: ["zero", "one"], backboneConfig: "{}",
            nonce: [UInt8](0..<16), created: now)
    }

    func deployment(at now: UnixTime = Scene.now) throws -> Deployment {
        try Deployment(opening: op.deploymentFolder, pinned: client.root, now: now)
    }
}

/// The code of the `TrustError` that `body` throws; nil when it throws none.
func code(_ body: () throws -> Void) -> TrustError.Code? {
    do { try body() } catch { return (error as? TrustError)?.code }
    return nil
}

func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return ""
}
