package import Foundation
package import Sodium
internal import SwiftProtobuf
internal import Wire

/// What a node is.
package enum NodeKind: String, CaseIterable, Sendable {
    case client, worker, broker

    fileprivate var purpose: SecretFile.Purpose {
        switch self {
        case .client: .client
        case .worker: .worker
        case .broker: .broker
        }
    }
}

/// The public half of a kit: what the operator certifies.
package struct NodeRequest: Sendable {
    package let kind: NodeKind
    package let name: NodeName
    package let curveKey: [UInt8]
    /// Of clients and workers.
    package let signingKey: Ed25519PublicKey?
    /// Of workers.
    package let wrappingKey: [UInt8]?

    package var bytes: [UInt8] {
        var message = TrustNodeRequest()
        message.kind = kind.rawValue
        message.name = name.description
        message.curveKey = Data(curveKey)
        message.signingKey = Data(signingKey?.bytes ?? [])
        message.wrappingKey = Data(wrappingKey ?? [])
        return message.encoded
    }
}

extension NodeRequest {
    package init(bytes: [UInt8]) throws(TrustError) {
        let message = try parse(TrustNodeRequest.self, bytes, "node's request")
        guard let kind = NodeKind(rawValue: message.kind) else {
            throw TrustError(.malformed, "a node is a client, worker or broker, not “\(message.kind.prefix(40))”")
        }
        self.kind = kind
        name = try NodeName(message.name)
        curveKey = try publicKey(message.curveKey, "CURVE key")
        signingKey =
            kind == .broker
            ? nil : try asTrustError { () throws(SodiumError) in try Ed25519PublicKey(message.signingKey) }
        wrappingKey = kind == .worker ? try publicKey(message.wrappingKey, "wrapping key") : nil
    }
}

/// A node's secrets, made where the node runs: `secret.key`, `node.request` and the pinned `root.pub` in a folder.
///
///     let kit = try NodeKit.generate(.client, name: NodeName("hospital-a"), in: folder)
///     // carry folder/node.request to the operator, who answers with the deployment folder
///     let again = try NodeKit(opening: folder)
package struct NodeKit: Sendable {
    package let kind: NodeKind
    package let name: NodeName
    /// Of its ZeroMQ connections.
    package let curve: X25519KeyPair
    /// Signs jobs (clients) or results (workers); brokers sign nothing.
    package let signing: Ed25519KeyPair?
    /// Unwraps pool secrets: workers only.
    package let wrapping: X25519KeyPair?
    /// The operator root that this node trusts, once pinned.
    package let root: Ed25519PublicKey?

    static let secretName = "secret.key"
    static let requestName = "node.request"

    package var request: NodeRequest {
        NodeRequest(
            kind: kind, name: name, curveKey: curve.publicKey, signingKey: signing?.publicKey,
            wrappingKey: wrapping?.publicKey)
    }

    /// Makes keys and writes them.
    ///
    /// - Throws: `.fileExists` when the folder holds a kit.
    package static func generate(
        _ kind: NodeKind, name: NodeName, in folder: URL, root: Ed25519PublicKey? = nil
    ) throws(TrustError) -> NodeKit {
        try Files.makeFolder(folder, mode: 0o700)
        let secrets = try asTrustError { () throws(SodiumError) in
            var secrets: [SecretBytes] = []
            for _ in 0..<kind.purpose.count { secrets.append(try SecretBytes.random(count: 32)) }
            return secrets
        }
        try SecretFile.write(secrets, for: kind.purpose, to: folder.appending(path: secretName))
        let kit = try NodeKit(kind: kind, name: name, secrets: secrets, root: root)
        try Files.replace(folder.appending(path: requestName), with: kit.request.bytes)
        if let root { try RootFile.write(root, in: folder) }
        return kit
    }

    /// - Throws: what ``SecretFile/read(_:from:)`` throws; `.malformed` when the request is not the secrets' own.
    package init(opening folder: URL) throws(TrustError) {
        let request = try NodeRequest(bytes: Files.read(folder.appending(path: Self.requestName), atMost: 4096))
        let secrets = try SecretFile.read(request.kind.purpose, from: folder.appending(path: Self.secretName))
        let root = Files.exists(RootFile.url(in: folder)) ? try RootFile.read(in: folder) : nil
        try self.init(kind: request.kind, name: request.name, secrets: secrets, root: root)
        guard self.request.bytes == request.bytes else {
            throw TrustError(.malformed, "\(folder.path): node.request and secret.key do not belong together")
        }
    }

    /// The root that this node trusts; a node does not begin to work without one.
    ///
    /// - Throws: `.untrusted` when none is pinned yet.
    package func pinnedRoot() throws(TrustError) -> Ed25519PublicKey {
        guard let root else {
            throw TrustError(
                .untrusted,
                "the kit of \(name) has pinned no root yet: compare it with what the operator reads out, then "
                    + "collafuse keys pin DEPLOYMENT --kit KIT --root ROOT")
        }
        return root
    }

    /// Pins the operator's root, once people have compared it. A kit that the operator made is pinned already.
    ///
    /// - Throws: `.untrusted` when another root is pinned.
    package func pin(_ root: Ed25519PublicKey, in folder: URL) throws(TrustError) {
        guard self.root == nil || self.root == root else {
            throw TrustError(
                .untrusted,
                "\(name) pinned the operator root \(self.root?.short ?? "-") before, not \(root.short): "
                    + "remove root.pub from its kit only if the operator says that the root has changed")
        }
        try RootFile.write(root, in: folder)
    }

    private init(
        kind: NodeKind, name: NodeName, secrets: [SecretBytes], root: Ed25519PublicKey?
    ) throws(TrustError) {
        self.kind = kind
        self.name = name
        self.root = root
        curve = try asTrustError { () throws(SodiumError) in try X25519KeyPair(secret: secrets[0]) }
        signing =
            kind == .broker
            ? nil : try asTrustError { () throws(SodiumError) in try Ed25519KeyPair(seed: secrets[1]) }
        wrapping =
            kind == .worker
            ? try asTrustError { () throws(SodiumError) in try X25519KeyPair(secret: secrets[2]) } : nil
    }
}

/// `root.pub`: one line of text, so that people can compare it over the telephone.
enum RootFile {
    static func url(in folder: URL) -> URL { folder.appending(path: "root.pub") }

    static func write(_ root: Ed25519PublicKey, in folder: URL) throws(TrustError) {
        try Files.replace(url(in: folder), with: Array("collafuse-root-1 \(root.bytes.hex)\n".utf8))
    }

    static func read(in folder: URL) throws(TrustError) -> Ed25519PublicKey {
        let file = url(in: folder)
        let text = String(decoding: try Files.read(file, atMost: 200), as: UTF8.self)
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, words[0] == "collafuse-root-1", let bytes = [UInt8](hex: words[1]), bytes.count == 32
        else {
            throw TrustError(.malformed, "\(file.path) must be one line: collafuse-root-1 and 64 hexadecimal digits")
        }
        return try asTrustError { () throws(SodiumError) in try Ed25519PublicKey(bytes) }
    }
}
