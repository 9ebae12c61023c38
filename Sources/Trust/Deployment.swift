internal import Chain
package import Foundation
package import Sodium
package import Wire

/// The deployment folder, read and verified: what every node may know. See README.md for its files.
package struct Deployment: Sendable {
    package let root: Ed25519PublicKey
    package let roster: Roster
    package let workers: [WorkerID: WorkerCertificate]
    package let brokers: [BrokerCertificate]
    /// Nil until the operator has made the first.
    package private(set) var poolKeys: PoolKeys?
    /// `poolKeys` as they were signed: what the broker passes on.
    package private(set) var poolKeyBundle: [UInt8]
    package let runs: [RunID: CertifiedRun]

    /// - Parameter root: the one that this node pinned; nil trusts the folder's own, as the operator's tools do.
    /// - Throws: a `TrustError` that names the file.
    package init(opening folder: URL, pinned root: Ed25519PublicKey?, now: UnixTime) throws(TrustError) {
        let stated = try RootFile.read(in: folder)
        guard root == nil || root == stated else {
            throw TrustError(
                .untrusted,
                "\(folder.path) is of the operator root \(stated.short), and this node pinned \(root?.short ?? "-"): "
                    + "it is another operator's folder, or the kit is")
        }
        self.root = stated
        func file<Value>(
            _ path: String, _ verify: ([UInt8]) throws(TrustError) -> Value
        ) throws(TrustError) -> Value {
            let url = folder.appending(path: path)
            let bytes = try Files.read(url)
            do { return try verify(bytes) } catch { throw TrustError(error.code, "\(url.path): \(error.message)") }
        }
        roster = try file(Layout.roster) { bytes throws(TrustError) in
            try Roster(verifying: bytes, root: stated, now: now)
        }
        var workers: [WorkerID: WorkerCertificate] = [:]
        for name in Files.names(in: folder.appending(path: Layout.workers), suffix: Layout.suffix) {
            let worker = try file("\(Layout.workers)/\(name)") { bytes throws(TrustError) in
                try WorkerCertificate(verifying: bytes, root: stated, now: now)
            }
            workers[worker.id] = worker
        }
        self.workers = workers
        var brokers: [BrokerCertificate] = []
        for name in Files.names(in: folder.appending(path: Layout.brokers), suffix: Layout.suffix) {
            brokers.append(
                try file("\(Layout.brokers)/\(name)") { bytes throws(TrustError) in
                    try BrokerCertificate(verifying: bytes, root: stated, now: now)
                })
        }
        self.brokers = brokers
        var runs: [RunID: CertifiedRun] = [:]
        for name in Files.names(in: folder.appending(path: Layout.runs), suffix: Layout.suffix) {
            let run = try file("\(Layout.runs)/\(name)") { bytes throws(TrustError) in
                try CertifiedRun(verifying: bytes, root: stated, now: now)
            }
            runs[run.id] = run
        }
        self.runs = runs
        poolKeyBundle = []
        if Files.exists(folder.appending(path: Layout.pool)) {
            let (bundle, keys) = try file(Layout.pool) { bytes throws(TrustError) in
                (bytes, try PoolKeys(verifying: bytes, root: stated, now: now))
            }
            poolKeyBundle = bundle
            poolKeys = keys
        }
    }

    /// Takes the bundle that a broker passed on, unless it is older than the one held.
    ///
    /// - Throws: `.olderEpoch`, and what ``SignedStatement/verify(_:as:root:now:)`` throws; then nothing has changed.
    package mutating func accept(poolKeyBundle bytes: [UInt8], now: UnixTime) throws(TrustError) {
        let keys = try PoolKeys(verifying: bytes, root: root, now: now, atLeast: poolKeys?.epoch ?? 0)
        poolKeyBundle = bytes
        poolKeys = keys
    }

    /// - Throws: `.unknown` when the operator has made no pool keys yet; `.expired`.
    package func sealingKey(for role: PoolRole, at now: UnixTime) throws(TrustError) -> PoolKey {
        guard let poolKeys else {
            throw TrustError(
                .unknown, "the deployment has no pool keys: the operator makes them with `collafuse keys pool`")
        }
        return try poolKeys.sealingKey(for: role, at: now)
    }

    /// The worker that may answer for this role.
    ///
    /// - Throws: `.unknown`, `.revoked`, `.notPermitted`, `.expired`.
    package func worker(_ id: WorkerID, for role: PoolRole, at now: UnixTime) throws(TrustError) -> WorkerCertificate {
        guard let worker = workers[id] else {
            throw TrustError(
                .unknown, "worker \(id.short) is not in this deployment folder: copy the folder anew from the operator")
        }
        guard !roster.revokedWorkers.contains(id) else {
            throw TrustError(.revoked, "worker \(worker.name) was revoked by the operator")
        }
        guard worker.roles.contains(role) else {
            throw TrustError(.notPermitted, "worker \(worker.name) is not certified for the role \(role.rawValue)")
        }
        try worker.validity.check(
            "the certificate of worker \(worker.name)", at: now, remedy: "the operator has to certify it again")
        return worker
    }

    /// - Throws: `.unknown`, `.expired`.
    package func broker(_ name: NodeName, at now: UnixTime) throws(TrustError) -> BrokerCertificate {
        guard let broker = brokers.first(where: { $0.name == name }) else {
            let known = brokers.map(\.name.description).joined(separator: ", ")
            throw TrustError(
                .unknown, "the deployment has no broker \(name); it has: \(known.isEmpty ? "none" : known)")
        }
        try broker.validity.check(
            "the certificate of broker \(name)", at: now, remedy: "the operator has to certify it again")
        return broker
    }

    /// The run whose id begins with these hexadecimal digits; the only one when nil.
    ///
    /// - Throws: `.unknown`
    package func run(_ prefix: String? = nil) throws(TrustError) -> CertifiedRun {
        let found = runs.values.filter { $0.id.description.hasPrefix(prefix ?? "") }
        guard found.count == 1, let run = found.first else {
            let known = runs.values.map { "\($0.id.short) (\($0.descriptor.name))" }.sorted().joined(separator: ", ")
            throw TrustError(
                .unknown,
                runs.isEmpty
                    ? "the deployment has no run: the operator signs one with `collafuse keys run`"
                    : "name one run by the first digits of its id; there are: \(known)")
        }
        return run
    }

    /// The pool secrets that were wrapped to this worker.
    ///
    /// - Throws: `.fileMissing` when there are none; what ``PoolSecrets/init(wrapped:to:bundle:now:)`` throws.
    package static func poolSecrets(
        in folder: URL, for kit: NodeKit, bundle: PoolKeys, now: UnixTime
    ) throws(TrustError) -> PoolSecrets {
        guard let signing = kit.signing, let wrapping = kit.wrapping else {
            throw TrustError(.notPermitted, "a \(kit.kind.rawValue) holds no pool secrets")
        }
        let url = folder.appending(path: Layout.wrapped(for: WorkerID(of: signing.publicKey)))
        guard Files.exists(url) else {
            throw TrustError(
                .fileMissing, "no pool secret was made for worker \(kit.name): the operator runs `collafuse keys pool`")
        }
        return try PoolSecrets(wrapped: Files.read(url), to: wrapping, bundle: bundle, now: now)
    }
}

/// Where things lie in the deployment folder.
enum Layout {
    static let suffix = ".signed"
    static let signer = "signer.cert"
    static let roster = "roster.signed"
    static let workers = "workers"
    static let brokers = "brokers"
    static let runs = "runs"
    static let pool = "pool.signed"
    static func wrapped(for worker: WorkerID) -> String { "wrapped/\(worker).pool" }
}
