internal import Foundation
package import Sodium
internal import SwiftProtobuf
package import Wire

/// A client as the operator knows it.
package struct RosterClient: Hashable, Sendable {
    package struct Rights: Hashable, Sendable {
        package var publish: Bool
        package var denoise: Bool

        package init(publish: Bool = true, denoise: Bool = true) {
            self.publish = publish
            self.denoise = denoise
        }

        package func allow(_ role: PoolRole) -> Bool {
            switch role {
            case .train: publish
            case .denoise: denoise
            }
        }
    }

    package let id: ClientID
    package let name: NodeName
    package let curveKey: [UInt8]
    package let signingKey: Ed25519PublicKey
    package var rights: Rights
    /// Served before lower ones.
    package var priority: UInt32
    /// Share within its priority, at least 1.
    package var weight: UInt32
    /// Jobs at a broker at a time; 0: the broker's default.
    package var jobQuota: UInt32
    /// Bytes at a broker at a time; 0: the broker's default.
    package var byteQuota: UInt64
    package var isRevoked: Bool

    package init(
        name: NodeName, curveKey: [UInt8], signingKey: Ed25519PublicKey, rights: Rights = Rights(),
        priority: UInt32 = 0,
        weight: UInt32 = 1, jobQuota: UInt32 = 0, byteQuota: UInt64 = 0, isRevoked: Bool = false
    ) {
        self.id = ClientID(of: signingKey)
        self.name = name
        self.curveKey = curveKey
        self.signingKey = signingKey
        self.rights = rights
        self.priority = priority
        self.weight = max(1, weight)
        self.jobQuota = jobQuota
        self.byteQuota = byteQuota
        self.isRevoked = isRevoked
    }
}

/// The clients of a deployment, and the workers that are no longer trusted.
package struct Roster: Hashable, Sendable {
    package let epoch: UInt64
    package let issued: UnixTime
    package let clients: [RosterClient]
    package let revokedWorkers: Set<WorkerID>
    private let places: [ClientID: Int]

    /// - Throws: `.malformed` when two clients share a name, an id or a CURVE key.
    package init(
        epoch: UInt64, issued: UnixTime, clients: [RosterClient], revokedWorkers: Set<WorkerID> = []
    ) throws(TrustError) {
        self.epoch = epoch
        self.issued = issued
        self.clients = clients
        self.revokedWorkers = revokedWorkers
        var places: [ClientID: Int] = [:]
        for (place, client) in clients.enumerated() { places[client.id] = place }
        guard places.count == clients.count, Set(clients.map(\.name)).count == clients.count,
            Set(clients.map(\.curveKey)).count == clients.count
        else { throw TrustError(.malformed, "two clients of the roster share a name or a key") }
        self.places = places
    }

    package subscript(id: ClientID) -> RosterClient? { places[id].map { clients[$0] } }

    /// The client that may send this kind of job.
    ///
    /// - Throws: `.unknown`, `.revoked`, `.notPermitted`.
    package func client(_ id: ClientID, for role: PoolRole) throws(TrustError) -> RosterClient {
        guard let client = self[id] else {
            throw TrustError(
                .unknown, "client \(id.short) is not in the roster of epoch \(epoch): the operator has to add it")
        }
        guard !client.isRevoked else { throw TrustError(.revoked, "client \(client.name) was revoked by the operator") }
        guard client.rights.allow(role) else {
            throw TrustError(
                .notPermitted, "client \(client.name) has no right to \(role == .train ? "publish" : "denoise")")
        }
        return client
    }
}

extension Roster {
    package var statement: [UInt8] {
        var message = TrustRoster()
        message.epoch = epoch
        message.issuedMs = issued
        message.client = clients.map { client in
            var entry = TrustClient()
            entry.clientID = Data(client.id.bytes)
            entry.name = client.name.description
            entry.curveKey = Data(client.curveKey)
            entry.signingKey = Data(client.signingKey.bytes)
            entry.mayPublish = client.rights.publish
            entry.mayDenoise = client.rights.denoise
            entry.priority = client.priority
            entry.weight = client.weight
            entry.jobQuota = client.jobQuota
            entry.byteQuota = client.byteQuota
            entry.revoked = client.isRevoked
            return entry
        }
        message.revokedWorkerID = revokedWorkers.map { Data($0.bytes) }.sorted { $0.lexicographicallyPrecedes($1) }
        return message.encoded
    }

    /// - Throws: what ``SignedStatement/verify(_:as:root:now:)`` throws; `.malformed`; `.olderEpoch`.
    package init(
        verifying bytes: [UInt8], root: Ed25519PublicKey, now: UnixTime, atLeast epoch: UInt64 = 0
    ) throws(TrustError) {
        let message = try parse(
            TrustRoster.self, SignedStatement.verify(bytes, as: .roster, root: root, now: now), "roster")
        guard message.epoch >= epoch else {
            throw TrustError(
                .olderEpoch, "the roster is of epoch \(message.epoch), and \(epoch) was seen before: copy it anew")
        }
        var clients: [RosterClient] = []
        for entry in message.client {
            let client = RosterClient(
                name: try NodeName(entry.name), curveKey: try publicKey(entry.curveKey, "CURVE key"),
                signingKey: try asTrustError { () throws(SodiumError) in try Ed25519PublicKey(entry.signingKey) },
                rights: .init(publish: entry.mayPublish, denoise: entry.mayDenoise), priority: entry.priority,
                weight: entry.weight, jobQuota: entry.jobQuota, byteQuota: entry.byteQuota, isRevoked: entry.revoked)
            guard Data(client.id.bytes) == entry.clientID else {
                throw TrustError(.malformed, "the id of client \(client.name) is not the hash of its key")
            }
            clients.append(client)
        }
        var revoked: Set<WorkerID> = []
        for id in message.revokedWorkerID { revoked.insert(try identifier(id, "revoked_worker_id")) }
        try self.init(epoch: message.epoch, issued: message.issuedMs, clients: clients, revokedWorkers: revoked)
    }
}

/// A 32-byte public key of a statement.
func publicKey(_ field: Data, _ what: String) throws(TrustError) -> [UInt8] {
    guard field.count == 32 else { throw TrustError(.malformed, "a \(what) has 32 bytes, not \(field.count)") }
    return Array(field)
}

func identifier<K: IdentifierKind>(_ field: Data, _ name: String) throws(TrustError) -> Identifier<K> {
    do { return try Identifier<K>(field: field, name) } catch { throw TrustError(error) }
}
