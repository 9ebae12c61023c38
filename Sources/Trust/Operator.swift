package import Foundation
package import Sodium
internal import SwiftProtobuf
package import Wire

/// The operator's own folder: root and signer, and the deployment folder that they sign.
///
///     let op = try Operator.create(in: folder, now: now)
///     let (kit, _) = try op.addNode(.client, name: NodeName("hospital-a"), now: now)
///     try op.makePoolKeys(now: now)
///     try op.certify(run: RunDocument(descriptor), now: now)
///     Deployment(opening: op.deploymentFolder, pinned: kit.root, now: now)
///
/// `folder/operator/` holds `root.key` and `signer.key`. Everything here but a new signer works without `root.key`: take it
/// off the machine once the signer is certified. One process at a time changes a deployment.
package struct Operator: Sendable {
    package let folder: URL
    package let root: Ed25519PublicKey
    private let signer: Ed25519KeyPair
    private let certificate: [UInt8]

    package static let signerLifetime: UnixTime = 30 * .day
    package static let certificateLifetime: UnixTime = 365 * .day

    /// What goes to every node.
    package var deploymentFolder: URL { folder.appending(path: "public") }
    /// Where a kit is made when the operator makes it (a demo, a test, one's own workers).
    package func kitFolder(_ name: NodeName) -> URL { folder.appending(path: "nodes/\(name)") }

    private static func rootKey(_ folder: URL) -> URL { folder.appending(path: "operator/root.key") }
    private static func signerKey(_ folder: URL) -> URL { folder.appending(path: "operator/signer.key") }

    // MARK: root and signer

    /// Makes root, signer and an empty roster.
    ///
    /// - Throws: `.fileExists` when there is a root.
    package static func create(in folder: URL, signerName: String = "signer-1", now: UnixTime) throws(TrustError)
        -> Operator
    {
        try Files.makeFolder(folder.appending(path: "operator"), mode: 0o700)
        let root = try asTrustError { () throws(SodiumError) in try Ed25519KeyPair.generate() }
        let signer = try asTrustError { () throws(SodiumError) in try Ed25519KeyPair.generate() }
        try SecretFile.write([root.seed], for: .operatorRoot, to: rootKey(folder))
        try SecretFile.write([signer.seed], for: .signer, to: signerKey(folder))
        let certificate = try SignedStatement.certify(
            signer: Signer(
                name: signerName, key: signer.publicKey,
                validity: Validity(notBefore: now, notAfter: now + signerLifetime)),
            by: root)
        let made = Operator(folder: folder, root: root.publicKey, signer: signer, certificate: certificate)
        for path in ["", Layout.workers, Layout.brokers, Layout.runs, "wrapped"] {
            try Files.makeFolder(made.deploymentFolder.appending(path: path))
        }
        try RootFile.write(root.publicKey, in: made.deploymentFolder)
        try Files.replace(made.deploymentFolder.appending(path: Layout.signer), with: certificate)
        try made.write(Roster(epoch: 1, issued: now, clients: []))
        return made
    }

    /// - Throws: `.fileMissing` and others, naming the file; `.expired` when the signer's time is over.
    package init(opening folder: URL, now: UnixTime) throws(TrustError) {
        let deployment = folder.appending(path: "public")
        guard Files.exists(RootFile.url(in: deployment)) else {
            throw TrustError(.fileMissing, "\(folder.path) is no operator's folder: begin with `collafuse keys init`")
        }
        root = try RootFile.read(in: deployment)
        certificate = try Files.read(deployment.appending(path: Layout.signer))
        let seed = try SecretFile.read(.signer, from: Self.signerKey(folder))
        signer = try asTrustError { () throws(SodiumError) in try Ed25519KeyPair(seed: seed[0]) }
        self.folder = folder
        let certified = try SignedStatement.verifySigner(certificate, root: root, now: now)
        guard certified.key == signer.publicKey else {
            throw TrustError(.untrusted, "signer.key and signer.cert in \(folder.path) do not belong together")
        }
    }

    private init(folder: URL, root: Ed25519PublicKey, signer: Ed25519KeyPair, certificate: [UInt8]) {
        self.folder = folder
        self.root = root
        self.signer = signer
        self.certificate = certificate
    }

    // MARK: nodes

    /// Makes a kit here and certifies it. The owner of data makes the kit at home instead and sends its request.
    @discardableResult
    package func addNode(
        _ kind: NodeKind, name: NodeName, grant: Grant = Grant(), now: UnixTime
    ) throws(TrustError) -> (kit: NodeKit, folder: URL) {
        let folder = kitFolder(name)
        let kit = try NodeKit.generate(kind, name: name, in: folder, root: root)
        try certify(kit.request, grant: grant, now: now)
        return (kit, folder)
    }

    /// What a node is given with its certificate.
    package struct Grant: Sendable {
        package var rights: RosterClient.Rights
        package var priority: UInt32
        package var weight: UInt32
        package var jobQuota: UInt32
        package var byteQuota: UInt64
        package var roles: Set<PoolRole>
        package var lifetime: UnixTime

        package init(
            rights: RosterClient.Rights = .init(), priority: UInt32 = 0, weight: UInt32 = 1, jobQuota: UInt32 = 0,
            byteQuota: UInt64 = 0, roles: Set<PoolRole> = Set(PoolRole.allCases),
            lifetime: UnixTime = Operator.certificateLifetime
        ) {
            self.rights = rights
            self.priority = priority
            self.weight = weight
            self.jobQuota = jobQuota
            self.byteQuota = byteQuota
            self.roles = roles
            self.lifetime = lifetime
        }
    }

    /// Puts a client into the roster, or writes a worker's or broker's certificate. The same name again replaces it.
    ///
    /// A new worker opens nothing until ``makePoolKeys(now:lifetime:)`` is called.
    package func certify(_ request: NodeRequest, grant: Grant = Grant(), now: UnixTime) throws(TrustError) {
        let validity = Validity(notBefore: now, notAfter: now + grant.lifetime)
        switch (request.kind, request.signingKey, request.wrappingKey) {
        case (.client, let signingKey?, _):
            let client = RosterClient(
                name: request.name, curveKey: request.curveKey, signingKey: signingKey, rights: grant.rights,
                priority: grant.priority, weight: grant.weight, jobQuota: grant.jobQuota, byteQuota: grant.byteQuota)
            try enrol([client], now: now)
        case (.worker, let signingKey?, let wrappingKey?):
            let certificate = WorkerCertificate(
                name: request.name, roles: grant.roles, curveKey: request.curveKey, signingKey: signingKey,
                wrappingKey: wrappingKey, validity: validity)
            try write(certificate.statement, as: .worker, to: "\(Layout.workers)/\(request.name)\(Layout.suffix)")
        case (.broker, _, _):
            let certificate = BrokerCertificate(name: request.name, curveKey: request.curveKey, validity: validity)
            try write(certificate.statement, as: .broker, to: "\(Layout.brokers)/\(request.name)\(Layout.suffix)")
        default:
            throw TrustError(.malformed, "the request of \(request.kind.rawValue) \(request.name) lacks a key")
        }
    }

    /// Puts many clients into the roster at once. The same names again replace them.
    package func enrol(_ clients: [RosterClient], now: UnixTime) throws(TrustError) {
        let roster = try deployment(now).roster
        let names = Set(clients.map(\.name))
        try write(
            Roster(
                epoch: roster.epoch + 1, issued: now,
                clients: roster.clients.filter { !names.contains($0.name) } + clients,
                revokedWorkers: roster.revokedWorkers))
    }

    // MARK: runs and pool keys

    /// - Returns: the run with its id, the hash of exactly the bytes that were signed.
    @discardableResult
    package func certify(run document: RunDocument, now: UnixTime) throws(TrustError) -> CertifiedRun {
        let bytes = document.bytes
        try write(bytes, as: .run, to: "\(Layout.runs)/\(RunID(of: bytes))\(Layout.suffix)")
        return try deployment(now).run(RunID(of: bytes).description)
    }

    /// A new epoch: one new key for each role, its secret wrapped to every worker certified for it and kept nowhere else.
    ///
    /// Jobs sealed under the epochs before are still opened until their keys end.
    ///
    /// - Parameter lifetime: a day at most; clients seal to the key for five sixths of it.
    @discardableResult
    package func makePoolKeys(now: UnixTime, lifetime: UnixTime = .day) throws(TrustError) -> PoolKeys {
        let deployment = try deployment(now)
        let epoch = (deployment.poolKeys?.epoch ?? 0) + 1
        var keys = deployment.poolKeys?.keys.filter { now < $0.openUntil } ?? []
        var wrapped: [WorkerID: TrustWrappedSecrets] = [:]
        let workers = deployment.workers.values.filter {
            !deployment.roster.revokedWorkers.contains($0.id) && now < $0.validity.notAfter
        }
        for worker in workers {
            let url = deploymentFolder.appending(path: Layout.wrapped(for: worker.id))
            var held = TrustWrappedSecrets()
            if Files.exists(url) {
                held = try parse(TrustWrappedSecrets.self, Files.read(url), "file of wrapped pool secrets")
            }
            held.workerID = Data(worker.id.bytes)
            held.secret.removeAll { box in !keys.contains { Data($0.id.bytes) == box.keyID } }
            wrapped[worker.id] = held
        }
        for role in PoolRole.allCases {
            let pair = try asTrustError { () throws(SodiumError) in try X25519KeyPair.generate() }
            let key = try PoolKey(
                role: role, epoch: epoch, key: pair.publicKey, notBefore: now, sealUntil: now + lifetime / 6 * 5,
                openUntil: now + lifetime)
            keys.append(key)
            for worker in workers where worker.roles.contains(role) {
                var box = TrustWrappedSecret()
                box.keyID = Data(key.id.bytes)
                box.box = Data(
                    try asTrustError { () throws(SodiumError) in
                        try SealedBox.seal(pair.secret, to: worker.wrappingKey)
                    })
                wrapped[worker.id]?.secret.append(box)
            }
        }
        // The secrets first: whoever sees the new bundle finds a worker that can open.
        for (worker, secrets) in wrapped {
            try Files.replace(deploymentFolder.appending(path: Layout.wrapped(for: worker)), with: secrets.encoded)
        }
        let bundle = PoolKeys(epoch: epoch, issued: now, keys: keys)
        try write(bundle.statement, as: .poolKeys, to: Layout.pool)
        return bundle
    }

    /// The deployment as it stands, verified.
    package func deployment(_ now: UnixTime) throws(TrustError) -> Deployment {
        try Deployment(opening: deploymentFolder, pinned: root, now: now)
    }

    private func write(_ roster: Roster) throws(TrustError) {
        try write(roster.statement, as: .roster, to: Layout.roster)
    }

    private func write(_ statement: [UInt8], as kind: StatementKind, to path: String) throws(TrustError) {
        let signed = try SignedStatement.sign(statement, as: kind, by: signer, certificate: certificate)
        try Files.replace(deploymentFolder.appending(path: path), with: signed)
    }
}
