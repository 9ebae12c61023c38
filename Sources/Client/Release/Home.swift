internal import Disk
internal import Foundation
internal import Trust
internal import Wire

/// A client's home on disk, before it is opened.
enum Home {
    static func key(_ home: URL) -> URL { home.appending(path: "masking.key") }
    static func ledger(_ home: URL) -> URL { home.appending(path: "ledger") }

    /// Whether there is a home: whole, or one of which something is missing.
    static func exists(_ home: URL) -> Bool {
        [key(home), ledger(home)].contains { FileManager.default.fileExists(atPath: $0.path) }
            || Spool.exists(in: home)
    }

    /// Removes what a process that was killed left half written: a copy of what is private here. The caller holds the home.
    static func sweep(_ home: URL) throws(ClientError) {
        let heads = home.appending(path: "heads")
        let runs = (try? FileManager.default.contentsOfDirectory(atPath: heads.path)) ?? []
        do throws(DiskError) {
            for folder in [home] + runs.map({ heads.appending(path: $0) }) { try Drafts.remove(in: folder) }
        } catch {
            throw ClientError(.storage, error.message)
        }
    }

    static func isMissing(_ home: URL) -> ClientError {
        ClientError(
            .badSettings,
            "there is no home \(home.path): name the one that `collafuse client publish` made. A new one would know nothing of what "
                + "has left this client")
    }

    /// - Parameter kit: the fingerprint of the home that the client's kit names.
    static func isAnother(_ home: URL, _ kit: [UInt8]?) -> ClientError {
        ClientError(
            .badSettings,
            "\(home.path) is not this client's home, which has the fingerprint \((kit ?? []).prefix(4).hex): name that one. In another "
                + "home the same images get other masks, which show more together, and no ledger knows of both. If that home is lost "
                + "for good, remove \(KitHome.name) from the client's kit, and a new one is made")
    }
}
