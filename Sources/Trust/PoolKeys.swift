internal import Foundation
package import Sodium
internal import SwiftProtobuf
package import Wire

/// A role's public key for one epoch: what jobs are sealed to.
package struct PoolKey: Hashable, Sendable {
    package let role: PoolRole
    package let epoch: UInt64
    package let id: PoolKeyID
    /// X25519, 32 bytes.
    package let key: [UInt8]
    package let notBefore: UnixTime
    package let sealUntil: UnixTime
    package let openUntil: UnixTime

    package init(
        role: PoolRole, epoch: UInt64, key: [UInt8], notBefore: UnixTime, sealUntil: UnixTime, openUntil: UnixTime
    ) throws(TrustError) {
        guard notBefore < sealUntil, sealUntil <= openUntil, openUntil - notBefore <= .day else {
            throw TrustError(
                .malformed, "a pool key is valid for a day at most, and sealed to no longer than it is opened")
        }
        self.role = role
        self.epoch = epoch
        self.id = PoolKeyID(of: key)
        self.key = key
        self.notBefore = notBefore
        self.sealUntil = sealUntil
        self.openUntil = openUntil
    }
}

/// The pool-key bundle: the public keys of all roles, of the newest epoch and of those that may still be opened.
package struct PoolKeys: Hashable, Sendable {
    package let epoch: UInt64
    package let issued: UnixTime
    package let keys: [PoolKey]

    package init(epoch: UInt64, issued: UnixTime, keys: [PoolKey]) {
        self.epoch = epoch
        self.issued = issued
        self.keys = keys
    }

    package subscript(id: PoolKeyID) -> PoolKey? { keys.first { $0.id == id } }

    /// The newest key that jobs for this role are sealed to now.
    ///
    /// - Throws: `.expired` when there is none, or the clock of this machine is wrong.
    package func sealingKey(for role: PoolRole, at now: UnixTime) throws(TrustError) -> PoolKey {
        let held = keys.filter { $0.role == role }
        let usable = held.filter { $0.notBefore <= now + Validity.clockTolerance && now < $0.sealUntil }
        guard let newest = usable.max(by: { $0.epoch < $1.epoch }) else {
            let last = held.map(\.sealUntil).max().map { "the last one ended at \($0.asDate)" } ?? "there was never one"
            throw TrustError(
                .expired,
                "the pool has no \(role.rawValue) key to seal to now: \(last), and it is \(now.asDate) here. "
                    + "The operator makes one with `collafuse keys pool`")
        }
        return newest
    }

    package var statement: [UInt8] {
        var message = TrustPoolKeys()
        message.epoch = epoch
        message.issuedMs = issued
        message.key = keys.map { key in
            var entry = TrustPoolKey()
            entry.role = key.role.rawValue
            entry.epoch = key.epoch
            entry.keyID = Data(key.id.bytes)
            entry.key = Data(key.key)
            entry.notBeforeMs = key.notBefore
            entry.sealUntilMs = key.sealUntil
            entry.openUntilMs = key.openUntil
            return entry
        }
        return message.encoded
    }

    /// - Parameter epoch: of the bundle that was accepted before.
    /// - Throws: what ``SignedStatement/verify(_:as:root:now:)`` throws; `.malformed`; `.olderEpoch`.
    package init(
        verifying bytes: [UInt8], root: Ed25519PublicKey, now: UnixTime, atLeast epoch: UInt64 = 0
    ) throws(TrustError) {
        let message = try parse(
            TrustPoolKeys.self, SignedStatement.verify(bytes, as: .poolKeys, root: root, now: now), "pool-key bundle")
        guard message.epoch >= epoch else {
            throw TrustError(
                .olderEpoch,
                "the pool keys are of epoch \(message.epoch), and \(epoch) was seen before: "
                    + "a broker or a copied folder is out of date")
        }
        var keys: [PoolKey] = []
        for entry in message.key {
            guard let role = PoolRole(rawValue: entry.role) else { continue }  // a later protocol's
            let key = try PoolKey(
                role: role, epoch: entry.epoch, key: publicKey(entry.key, "pool key"), notBefore: entry.notBeforeMs,
                sealUntil: entry.sealUntilMs, openUntil: entry.openUntilMs)
            guard Data(key.id.bytes) == entry.keyID, entry.epoch <= message.epoch else {
                throw TrustError(
                    .malformed, "a pool key's id is not its hash, or its epoch is not the bundle's or an older one")
            }
            keys.append(key)
        }
        self.init(epoch: message.epoch, issued: message.issuedMs, keys: keys)
    }
}

/// The pool secrets that a worker holds, by key id. A worker picks by id, never by trial.
package struct PoolSecrets: Sendable {
    private var secrets: [PoolKeyID: (key: PoolKey, pair: X25519KeyPair)] = [:]

    package init() {}

    /// Unwraps what the operator wrapped to this worker, and checks each secret against the signed public key.
    ///
    /// Secrets of keys that are not in the bundle, or past their end, are left alone.
    ///
    /// - Throws: `.malformed`; `.untrusted` when a box is another worker's or its secret does not make the key.
    package init(
        wrapped bytes: [UInt8], to keys: X25519KeyPair, bundle: PoolKeys, now: UnixTime
    ) throws(TrustError) {
        let message = try parse(TrustWrappedSecrets.self, bytes, "file of wrapped pool secrets")
        for entry in message.secret {
            let id: PoolKeyID = try identifier(entry.keyID, "key_id")
            guard let key = bundle[id], now < key.openUntil else { continue }
            let pair: X25519KeyPair
            do { pair = try X25519KeyPair(secret: SealedBox.open(Array(entry.box), with: keys)) } catch {
                throw TrustError(
                    .untrusted,
                    "the pool secret \(id.short) is not wrapped to this worker: was its kit made anew? "
                        + "The operator certifies it again and runs `collafuse keys pool`")
            }
            try add(pair, for: key)
        }
    }

    package mutating func add(_ pair: X25519KeyPair, for key: PoolKey) throws(TrustError) {
        guard pair.publicKey == key.key else {
            throw TrustError(
                .untrusted, "the pool secret \(key.id.short) does not make the key that the operator signed")
        }
        secrets[key.id] = (key, pair)
    }

    /// What READY names.
    package var keyIDs: [PoolKeyID] {
        secrets.values.sorted { ($0.key.epoch, $0.key.role.rawValue) < ($1.key.epoch, $1.key.role.rawValue) }.map(
            \.key.id)
    }

    /// - Throws: `.unknown` or `.expired`.
    package func pair(for id: PoolKeyID, at now: UnixTime) throws(TrustError) -> (key: PoolKey, pair: X25519KeyPair) {
        guard let held = secrets[id] else {
            throw TrustError(.unknown, "this worker does not hold the pool secret \(id.short)")
        }
        try Validity(notBefore: held.key.notBefore, notAfter: held.key.openUntil).check(
            "the pool secret \(id.short)", at: now, remedy: "the client has to seal the job anew")
        return held
    }

    /// Destroys what may no longer be opened; the memory is overwritten.
    package mutating func discardExpired(at now: UnixTime) {
        secrets = secrets.filter { now < $0.value.key.openUntil }
    }
}
