internal import Foundation
package import Sodium
internal import SwiftProtobuf
internal import Wire

/// The kinds of statements. The name is part of what is signed.
package enum StatementKind: String, Sendable {
    case signer
    case roster
    case worker
    case broker
    case poolKeys = "pool-keys"
    case run

    fileprivate func signedBytes(_ statement: [UInt8]) -> [UInt8] {
        Array("collafuse-trust-1/\(rawValue)".utf8) + [0] + statement
    }
}

/// An online signer: certified by the root for a while, signs everything else.
package struct Signer: Hashable, Sendable {
    package let name: String
    package let key: Ed25519PublicKey
    package let validity: Validity

    package init(name: String, key: Ed25519PublicKey, validity: Validity) {
        self.name = name
        self.key = key
        self.validity = validity
    }
}

/// Signed statements: made by root and signers, checked by everybody against the root that they pinned.
package enum SignedStatement {
    /// A statement is at most this long: a roster of a hundred thousand clients.
    package static let maximumLength = 16 << 20

    /// The root's word on a signer.
    package static func certify(signer: Signer, by root: Ed25519KeyPair) throws(TrustError) -> [UInt8] {
        var message = TrustSigner()
        message.name = signer.name
        message.key = Data(signer.key.bytes)
        message.notBeforeMs = signer.validity.notBefore
        message.notAfterMs = signer.validity.notAfter
        return try sign(message.encoded, as: .signer, by: root, certificate: [])
    }

    package static func sign(
        _ statement: [UInt8], as kind: StatementKind, by key: Ed25519KeyPair, certificate: [UInt8]
    ) throws(TrustError) -> [UInt8] {
        var signed = TrustSigned()
        signed.statement = Data(statement)
        signed.signature = Data(
            try asTrustError { () throws(SodiumError) in try key.sign(kind.signedBytes(statement)) })
        signed.signerCertificate = Data(certificate)
        return signed.encoded
    }

    /// The statement's bytes, once root, signer, signature and the signer's validity are found right.
    ///
    /// - Throws: `.malformed`, `.untrusted`, `.notYetValid`, `.expired`.
    package static func verify(
        _ bytes: [UInt8], as kind: StatementKind, root: Ed25519PublicKey, now: UnixTime
    ) throws(TrustError) -> [UInt8] {
        let signed = try decode(bytes, kind)
        let signer = try verifySigner(Array(signed.signerCertificate), root: root, now: now)
        let statement = Array(signed.statement)
        guard signer.key.accepts(Array(signed.signature), of: kind.signedBytes(statement)) else {
            throw TrustError(
                .untrusted,
                "the \(kind.rawValue) statement is not signed by the signer “\(signer.name)” that it names: "
                    + "copy the deployment folder anew from the operator")
        }
        return statement
    }

    package static func verifySigner(
        _ certificate: [UInt8], root: Ed25519PublicKey, now: UnixTime
    ) throws(TrustError) -> Signer {
        let signed = try decode(certificate, .signer)
        let statement = Array(signed.statement)
        guard root.accepts(Array(signed.signature), of: StatementKind.signer.signedBytes(statement)) else {
            throw TrustError(
                .untrusted,
                "the signer's certificate is not by this operator's root \(root.short): "
                    + "is this deployment folder another operator's?")
        }
        let message = try parse(TrustSigner.self, statement, "signer's certificate")
        let signer = Signer(
            name: message.name, key: try asTrustError { () throws(SodiumError) in try Ed25519PublicKey(message.key) },
            validity: Validity(notBefore: message.notBeforeMs, notAfter: message.notAfterMs))
        try signer.validity.check(
            "the certificate of the signer “\(signer.name)”", at: now,
            remedy: "the operator has to certify a new signer")
        return signer
    }

    private static func decode(_ bytes: [UInt8], _ kind: StatementKind) throws(TrustError) -> TrustSigned {
        guard bytes.count <= maximumLength else {
            throw TrustError(.malformed, "the \(kind.rawValue) statement is too long")
        }
        return try parse(TrustSigned.self, bytes, "\(kind.rawValue) statement")
    }
}

/// Parses a message of this room.
func parse<M: Message>(_ type: M.Type, _ bytes: [UInt8], _ what: String) throws(TrustError) -> M {
    do { return try M(decoding: bytes, as: what) } catch { throw TrustError(error) }
}

extension Ed25519PublicKey {
    /// The first eight hexadecimal digits: enough for people.
    package var short: String { String(text.prefix(8)) }

    /// All of it in hexadecimal digits: what people read out to one another.
    package var text: String { bytes.hex }
}
