internal import Disk
package import Foundation
package import Sodium
internal import Trust
package import Wire
package import Workbench

/// What clients have published, on disk: one file for each publish request, encrypted, written whole or not at all.
///
/// A publication is acknowledged only after its file is durable, so a file's name and place are the promise that was given. It is
/// named by what it holds: a job id that comes again with other images replaces nothing. (The name gives nothing away: ids and
/// masks in it are random.)
/// The key is this worker's own: pool secrets are destroyed at their end, and stored publications outlive them.
package struct PublicationStore: Sendable {
    package struct Record: Sendable {
        package let client: ClientID
        /// The serialized `Payload` of the publish request.
        package let payload: [UInt8]
    }

    private let directory: URL
    private let key: SecretBytes

    /// - Throws: `badStore` when the folder cannot be made.
    package init(directory: URL, key: SecretBytes) throws(WorkerError) {
        self.directory = directory
        self.key = key
        do {
            try FileManager.default.createDirectory(
                at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw WorkerError(
                .badStore, "the publication store \(directory.path) cannot be made: \(error.localizedDescription)")
        }
    }

    /// Returns when the record will survive a loss of power. Storing the same again changes nothing.
    package func store(_ record: Record) throws(WorkerError) {
        let name = Self.name(record)
        do {
            let nonce = try SecureRandom().bytes(XChaCha20Poly1305.nonceLength)
            let sealed = try XChaCha20Poly1305.seal(
                record.payload, nonce: nonce, associatedData: Array(name.utf8), key: key)
            try DurableFile.write(nonce + sealed, to: directory.appending(path: name))
        } catch {
            throw WorkerError(.badStore, "a publication cannot be stored in \(directory.path): \(error)")
        }
    }

    /// Everything that was stored, in the order of names. Files that cannot be opened are named in `damaged` and left where they are.
    package func recover() throws(WorkerError) -> (records: [Record], damaged: [String]) {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() } catch {
            throw WorkerError(
                .badStore, "the publication store \(directory.path) cannot be read: \(error.localizedDescription)")
        }
        var records: [Record] = [], damaged: [String] = []
        for name in names where name.hasSuffix(Self.suffix) {
            if let record = open(name) { records.append(record) } else { damaged.append(name) }
        }
        return (records, damaged)
    }

    private func open(_ name: String) -> Record? {
        let ids = name.dropLast(Self.suffix.count).split(separator: "-")
        guard ids.count == 2, let client = [UInt8](hex: ids[0]).flatMap(ClientID.init),
            let file = try? Data(contentsOf: directory.appending(path: name)),
            file.count > XChaCha20Poly1305.nonceLength,
            let payload = try? XChaCha20Poly1305.open(
                Array(file.dropFirst(XChaCha20Poly1305.nonceLength)),
                nonce: Array(file.prefix(XChaCha20Poly1305.nonceLength)),
                associatedData: Array(name.utf8), key: key)
        else { return nil }
        return Record(client: client, payload: payload)
    }

    private static let suffix = ".sealed"

    private static func name(_ record: Record) -> String {
        "\(record.client)-\(Digest(of: record.payload))\(suffix)"
    }
}
