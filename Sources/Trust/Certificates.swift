package import Chain
internal import Foundation
package import Sodium
internal import SwiftProtobuf
package import Wire

/// A worker as the operator certifies it.
package struct WorkerCertificate: Hashable, Sendable {
    package let id: WorkerID
    package let name: NodeName
    package let roles: Set<PoolRole>
    package let curveKey: [UInt8]
    /// Signs results.
    package let signingKey: Ed25519PublicKey
    /// X25519: pool secrets are wrapped to it.
    package let wrappingKey: [UInt8]
    package let validity: Validity

    package init(
        name: NodeName, roles: Set<PoolRole>, curveKey: [UInt8], signingKey: Ed25519PublicKey, wrappingKey: [UInt8],
        validity: Validity
    ) {
        self.id = WorkerID(of: signingKey)
        self.name = name
        self.roles = roles
        self.curveKey = curveKey
        self.signingKey = signingKey
        self.wrappingKey = wrappingKey
        self.validity = validity
    }

    package var statement: [UInt8] {
        var message = TrustWorker()
        message.workerID = Data(id.bytes)
        message.name = name.description
        message.role = roles.map(\.rawValue).sorted()
        message.curveKey = Data(curveKey)
        message.signingKey = Data(signingKey.bytes)
        message.wrappingKey = Data(wrappingKey)
        message.notBeforeMs = validity.notBefore
        message.notAfterMs = validity.notAfter
        return message.encoded
    }

    /// The validity is checked where the certificate is used, since it may end while a node runs.
    ///
    /// - Throws: what ``SignedStatement/verify(_:as:root:now:)`` throws; `.malformed`.
    package init(verifying bytes: [UInt8], root: Ed25519PublicKey, now: UnixTime) throws(TrustError) {
        let message = try parse(
            TrustWorker.self, SignedStatement.verify(bytes, as: .worker, root: root, now: now), "worker's certificate")
        // A role of a later protocol is none that this side could ask for.
        self.init(
            name: try NodeName(message.name), roles: Set(message.role.compactMap(PoolRole.init(rawValue:))),
            curveKey: try publicKey(message.curveKey, "CURVE key"),
            signingKey: try asTrustError { () throws(SodiumError) in try Ed25519PublicKey(message.signingKey) },
            wrappingKey: try publicKey(message.wrappingKey, "wrapping key"),
            validity: Validity(notBefore: message.notBeforeMs, notAfter: message.notAfterMs))
        guard Data(id.bytes) == message.workerID else {
            throw TrustError(.malformed, "the id of worker \(name) is not the hash of its key")
        }
    }
}

/// A broker as the operator certifies it: whom the others' CURVE connections must reach.
package struct BrokerCertificate: Hashable, Sendable {
    package let name: NodeName
    package let curveKey: [UInt8]
    package let validity: Validity

    package init(name: NodeName, curveKey: [UInt8], validity: Validity) {
        self.name = name
        self.curveKey = curveKey
        self.validity = validity
    }

    package var statement: [UInt8] {
        var message = TrustBroker()
        message.name = name.description
        message.curveKey = Data(curveKey)
        message.notBeforeMs = validity.notBefore
        message.notAfterMs = validity.notAfter
        return message.encoded
    }

    /// - Throws: what ``SignedStatement/verify(_:as:root:now:)`` throws; `.malformed`.
    package init(verifying bytes: [UInt8], root: Ed25519PublicKey, now: UnixTime) throws(TrustError) {
        let message = try parse(
            TrustBroker.self, SignedStatement.verify(bytes, as: .broker, root: root, now: now), "broker's certificate")
        self.init(
            name: try NodeName(message.name), curveKey: try publicKey(message.curveKey, "CURVE key"),
            validity: Validity(notBefore: message.notBeforeMs, notAfter: message.notAfterMs))
    }
}

/// A run descriptor with the signer's word on it.
package struct CertifiedRun: Hashable, Sendable {
    package let id: RunID
    package let document: RunDocument

    package var descriptor: RunDescriptor { document.descriptor }

    /// - Throws: what ``SignedStatement/verify(_:as:root:now:)`` throws; `.malformed`.
    package init(verifying bytes: [UInt8], root: Ed25519PublicKey, now: UnixTime) throws(TrustError) {
        let statement = try SignedStatement.verify(bytes, as: .run, root: root, now: now)
        self.id = RunID(of: statement)
        do { document = try RunDocument(bytes: statement) } catch { throw TrustError(error) }
    }
}
