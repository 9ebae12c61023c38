internal import Chain
internal import Exchange
internal import Fabric
internal import Foundation
internal import LoadTest
internal import Sodium
internal import Trust
internal import Wire

/// The keys of a measurement and what is said with them. Nothing is sealed: no client or worker here opens anything.
struct BenchKeys: Sendable {
    private let folder: URL
    private let keys: LoadKeys
    private let poolKey: PoolKeyID
    private let now: Int64
    /// Of the deployment's clients: that which is number 0 here.
    private let first: Int

    /// Makes a deployment with a broker, so many clients and workers.
    init(in folder: URL, clients: Int, workers: Int) throws {
        try LoadKeys.make(
            .init(clients: clients, workers: workers, image: .init(channels: 3, height: 32, width: 32)), in: folder,
            now: Self.clock())
        try self.init(opening: folder)
    }

    /// Of a measurement that another process makes.
    init(opening folder: URL, first: Int = 0) throws {
        self.folder = folder
        self.first = first
        now = Self.clock()
        keys = try LoadKeys(opening: folder, now: now)
        poolKey = try keys.deployment.sealingKey(for: .denoise, at: now).id
    }

    private static func clock() -> Int64 { UnixTime(Date().timeIntervalSince1970 * 1000) }

    func address(_ endpoint: String) throws -> BrokerAddress {
        guard let address = try BrokerAddress.list([endpoint], of: keys.deployment, at: now).first else {
            throw BenchFault("the deployment has no broker")
        }
        return address
    }

    func client(_ number: Int) throws -> ClientID { try keys.id(first + number) }

    func curve(_ number: Int) throws -> CurveIdentity { try keys.curve(first + number) }

    func envelope(_ client: ClientID, _ job: JobID) -> Envelope {
        Envelope(
            client: client, job: job, kind: .denoise, run: keys.run.id, costCeiling: 1_000, created: now,
            expires: now + 3_600_000, poolKey: poolKey, clientEphemeralKey: [UInt8](repeating: 7, count: 32))
    }

    func worker(_ number: Int) throws -> (id: WorkerID, curve: CurveIdentity) {
        let kit = try NodeKit(opening: folder.appending(path: "nodes/worker-\(number + 1)"))
        guard let signing = kit.signing else { throw BenchFault("a worker's kit has no signing key") }
        return (WorkerID(of: signing.publicKey), CurveIdentity(kit.curve))
    }

    func ready(slots: Int) -> WireReady {
        var ready = WireReady()
        ready.role = ["denoise"]
        ready.slots = UInt32(slots)
        ready.poolKeyID = [Data(poolKey.bytes)]
        ready.runID = Data(keys.run.id.bytes)
        return ready
    }

    /// The hash of the envelope is left out: only who opens a result looks at it.
    func header(_ ref: WireJobRef, of worker: WorkerID) throws -> ResultHeader {
        guard let client = ClientID(ref.clientID), let job = JobID(ref.jobID),
            let hash = Digest([UInt8](repeating: 0, count: 32))
        else { throw BenchFault("the broker names a job that cannot be") }
        return ResultHeader(
            client: client, job: job, envelopeHash: hash, fence: try Fence(ref.fence), status: .done, worker: worker)
    }
}
