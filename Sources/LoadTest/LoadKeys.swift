package import Chain
package import Fabric
package import Foundation
internal import Sealing
internal import Sodium
package import Trust
package import Wire
internal import ZeroMQ

/// The keys of a load test: an ordinary deployment with thousands of synthetic clients in its roster, whose keys all grow from one secret.
///
///     try LoadKeys.make(.init(clients: 10_000, workers: 4, image: shape), in: folder, now: now)
///     let keys = try LoadKeys(opening: folder, now: now)
///
/// `nodes/synthetic` holds that secret, as a client's kit; whoever has it is every synthetic client.
package struct LoadKeys: Sendable {
    package struct Size: Sendable {
        package let clients: Int
        package let workers: Int
        package let brokers: Int
        package let image: RunDescriptor.ImageShape

        package init(clients: Int, workers: Int, brokers: Int = 1, image: RunDescriptor.ImageShape) {
            self.clients = clients
            self.workers = workers
            self.brokers = brokers
            self.image = image
        }
    }

    package let deployment: Deployment
    package let run: CertifiedRun
    /// In the roster.
    package let clients: Int
    private let seed: SecretBytes

    /// Makes a deployment with a broker, workers and a run, or takes the operator's folder that is there; puts the synthetic clients
    /// into its roster and makes pool keys, which are good for a day. Doing it again renews them.
    package static func make(_ size: Size, in folder: URL, now: UnixTime) throws {
        let isNew = !FileManager.default.fileExists(atPath: folder.appending(path: "public/root.pub").path)
        let signer = try isNew ? Operator.create(in: folder, now: now) : Operator(opening: folder, now: now)
        if isNew {
            try signer.certify(run: RunDocument(descriptor(size.image, now)), now: now)
        }
        let brokers = Set(try signer.deployment(now).brokers.map(\.name))
        for number in 1...max(1, size.brokers) {
            // One needs no number.
            let name = try NodeName(size.brokers > 1 ? "broker-\(number)" : "broker")
            if !brokers.contains(name) && (size.brokers > 1 || brokers.isEmpty) {
                try signer.addNode(.broker, name: name, now: now)
            }
        }
        let certified = Set(try signer.deployment(now).workers.values.map(\.name))
        if size.workers > 0 {
            for number in 1...size.workers {
                let name = try NodeName("worker-\(number)")
                if !certified.contains(name) { try signer.addNode(.worker, name: name, now: now) }
            }
        }
        let kitFolder = signer.kitFolder(try NodeName(kitName))
        let kit =
            FileManager.default.fileExists(atPath: kitFolder.path)
            ? try NodeKit(opening: kitFolder)
            : try NodeKit.generate(.client, name: NodeName(kitName), in: kitFolder, root: signer.root)
        let seed = try Self.seed(of: kit)
        var clients: [RosterClient] = []
        for number in 0..<size.clients {
            clients.append(
                RosterClient(
                    name: try name(number), curveKey: try curve(seed, number).publicKey,
                    signingKey: try signing(seed, number).publicKey))
        }
        try signer.enrol(clients, now: now)
        try signer.makePoolKeys(now: now)
    }

    /// - Parameter run: the first digits of the run's id, where there are several.
    /// - Throws: `badKeys`; `TrustError` naming the file.
    package init(opening folder: URL, run prefix: String? = nil, now: UnixTime) throws {
        let kitFolder = folder.appending(path: "nodes/\(Self.kitName)")
        guard FileManager.default.fileExists(atPath: kitFolder.path) else {
            throw LoadTestError(
                .badKeys,
                "\(folder.path) holds no synthetic clients: make them with `collafuse loadtest keys \(folder.path)`")
        }
        let kit = try NodeKit(opening: kitFolder)
        deployment = try Deployment(
            opening: folder.appending(path: "public"), pinned: kit.pinnedRoot(), now: now)
        run = try deployment.run(prefix)
        seed = try Self.seed(of: kit)
        let names = Set(deployment.roster.clients.map(\.name))
        var count = 0
        while names.contains(try Self.name(count)) { count += 1 }
        clients = count
        guard clients > 0, deployment.roster[ClientID(of: try Self.signing(seed, 0).publicKey)] != nil else {
            throw LoadTestError(
                .badKeys,
                "the roster in \(folder.path) does not name these synthetic clients: run `collafuse loadtest keys` again"
            )
        }
    }

    /// Its CURVE keys; the secret is made anew whenever it is lent, so that ten thousand of them take no locked memory.
    package func curve(_ number: Int) throws -> CurveIdentity {
        guard let key = CurveKey(try Self.curve(seed, number).publicKey) else {
            throw LoadTestError(.badKeys, "a synthetic client has no CURVE key")
        }
        let seed = seed
        return CurveIdentity(
            key: key,
            secret: CurveSecret { use in
                // It could be made a moment ago, for the public half.
                guard let keys = try? Self.curve(seed, number) else { return }
                keys.secret.withUnsafeBytes { use($0) }
            })
    }

    package func id(_ number: Int) throws -> ClientID { ClientID(of: try Self.signing(seed, number).publicKey) }

    func sealer(_ number: Int) throws -> JobSealer { JobSealer(signing: try Self.signing(seed, number)) }

    // MARK: how keys are made

    private static let kitName = "synthetic"

    private static func name(_ number: Int) throws(TrustError) -> NodeName { try NodeName("load-\(number)") }

    private static func seed(of kit: NodeKit) throws -> SecretBytes {
        guard let signing = kit.signing else {
            throw LoadTestError(.badKeys, "the kit of \(kit.name) is not a client's")
        }
        return signing.seed
    }

    private static func curve(_ seed: SecretBytes, _ number: Int) throws(SodiumError) -> X25519KeyPair {
        try X25519KeyPair(secret: BLAKE2b.derive(from: seed, Array("collafuse load curve \(number)".utf8)))
    }

    private static func signing(_ seed: SecretBytes, _ number: Int) throws(SodiumError) -> Ed25519KeyPair {
        try Ed25519KeyPair(seed: BLAKE2b.derive(from: seed, Array("collafuse load signing \(number)".utf8)))
    }

    /// T = 1000, ζ = 500, ten labels. Stub workers need no backbone, so the smallest stands for it.
    private static func descriptor(_ image: RunDescriptor.ImageShape, _ now: UnixTime) throws -> RunDescriptor {
        try RunDescriptor(
            name: "loadtest", schedule: Schedule(.cosine(), timesteps: 1000), image: image,
            labels: (0..<10).map(String.init), backboneConfig: #"{"_class_name":"UNet2DModel"}"#, allowedCuts: [500],
            nonce: SecureRandom().bytes(RunDescriptor.nonceLength), created: now)
    }
}
