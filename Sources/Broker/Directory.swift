internal import Exchange
internal import Foundation
internal import Logging
internal import Sodium
internal import Trust
internal import Wire
internal import ZeroMQ

/// The deployment folder as the broker uses it: who stands behind a key, which runs and pool keys there are. Read again
/// when the folder changes. It belongs to the broker's thread.
final class Directory {
    private let folder: URL
    private let root: Ed25519PublicKey?
    private let logger: Logger
    private(set) var deployment: Deployment
    /// Names for people, of everybody who ever was in the folder.
    private(set) var names: [CurveKey: String] = [:]
    private var principals: [CurveKey: Principal] = [:]
    private var seen: [Date?]
    /// Of the wall clock: while it lasts, nobody's certificate begins or ends.
    private var period: Range<UnixTime> = 0..<0

    /// - Throws: `TrustError`.
    init(folder: URL, pinned root: Ed25519PublicKey?, now: UnixTime, logger: Logger) throws(TrustError) {
        self.folder = folder
        self.root = root
        self.logger = logger
        seen = Self.changes(in: folder)
        deployment = try Deployment(opening: folder, pinned: root, now: now)
        refresh(at: now)
    }

    func principal(behind key: CurveKey) -> Principal? { principals[key] }

    /// nil: nobody stands behind it (any more).
    func side(of key: CurveKey) -> Side? {
        switch principals[key] {
        case .client: .client
        case .worker: .worker
        case nil: nil
        }
    }

    /// nil: the roster does not name it.
    func rights(of client: ClientID) -> ClientRights? { deployment.roster[client].map { ClientRights($0) } }

    /// Certificates end with time, so this is called now and then. It costs nothing until one does.
    func refresh(at now: UnixTime) {
        guard !period.contains(now) else { return }
        let directory = PeerDirectory(deployment)
        period = directory.period(of: now)
        principals = [:]
        for bytes in directory.curveKeys {
            guard let key = CurveKey(bytes) else { continue }
            // Revoked and expired ones are in the folder too; they stand for nobody.
            switch try? directory.peer(curveKey: bytes, at: now) {
            case .client(let client):
                names[key] = client.name.description
                principals[key] = .client(client.id, ClientRights(client))
            case .worker(let worker):
                names[key] = worker.name.description
                let roles = worker.roles.compactMap { WorkerRole(rawValue: $0.rawValue) }
                principals[key] = .worker(worker.id, roles: Set(roles))
            case nil:
                break
            }
        }
    }

    /// Looks whether the folder has changed, at the cost of a few `stat`s, and reads it again then. What cannot be read
    /// or is older than what is held changes nothing.
    /// - Returns: whether anything changed.
    func reload(at now: UnixTime) -> Bool {
        let changes = Self.changes(in: folder)
        guard changes != seen else { return false }
        seen = changes
        do {
            let newer = try Deployment(opening: folder, pinned: root ?? deployment.root, now: now)
            guard newer.roster.epoch >= deployment.roster.epoch,
                newer.poolKeys?.epoch ?? 0 >= deployment.poolKeys?.epoch ?? 0
            else {
                logger.warning(
                    "The deployment folder went back in time; it is not read", metadata: ["folder": "\(folder.path)"])
                return false
            }
            deployment = newer
        } catch {
            logger.warning(
                "The deployment folder cannot be read; what was read before holds", metadata: ["why": "\(error)"])
            return false
        }
        period = 0..<0
        refresh(at: now)
        logger.info("Read the deployment folder again", metadata: ["peers": "\(principals.count)"])
        return true
    }

    /// Its files are replaced by renaming, which the folders they lie in remember.
    private static func changes(in folder: URL) -> [Date?] {
        ["", "workers", "runs"].map { name in
            let path = folder.appending(path: name).path
            return (try? FileManager.default.attributesOfItem(atPath: path)[.modificationDate]) as? Date
        }
    }
}

extension ClientRights {
    fileprivate init(_ client: RosterClient) {
        self.init(
            publish: client.rights.publish, denoise: client.rights.denoise,
            priority: Int32(clamping: client.priority), weight: client.weight, jobs: Int(client.jobQuota),
            bytes: Int(clamping: client.byteQuota))
    }
}

extension Deployment {
    /// What the state machine needs of the pool keys: whose jobs they are for and how long they can be opened.
    var brokerPoolKeys: [PoolKeyID: BrokerConfiguration.PoolKey] {
        var keys: [PoolKeyID: BrokerConfiguration.PoolKey] = [:]
        for key in poolKeys?.keys ?? [] {
            guard let role = WorkerRole(rawValue: key.role.rawValue) else { continue }
            keys[key.id] = BrokerConfiguration.PoolKey(role: role, openUntil: key.openUntil)
        }
        return keys
    }
}
