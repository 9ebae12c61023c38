package import Foundation

/// The folder that everything of a run on this machine goes to.
///
///     keys/            the operator's folder (Trust), kits in keys/nodes/NAME, the deployment in keys/public
///     logs/NAME.log    what each node said
///     models/          numbered backbones, from the trainer to the denoising workers
///     clients/NAME/    a client's home: masking key, ledger, spool, head
///     samples/NAME/    what a client sampled
///     broker/          the broker's journal: jobs and results
///     metrics/         measurements, a file a node
///     plan.json        what was to be done; nodes.json: what each node took
///     …                pictures, figures and the page, from the closing report
package struct RunFolder {
    package let url: URL
    /// Held locked as long as this value lives.
    private let lock: Lock

    /// Its presence says that the folder is a run's and may be emptied for the next.
    private static let marker = ".collafuse-run"

    package var keys: URL { url.appending(path: "keys") }
    package var logs: URL { url.appending(path: "logs") }
    package var models: URL { url.appending(path: "models") }
    package var plan: URL { url.appending(path: "plan.json") }
    package var nodes: URL { url.appending(path: "nodes.json") }
    package func journal(_ broker: String) -> URL { url.appending(path: "\(broker)/journal.sqlite") }
    /// Where a broker listens.
    package func endpoints(_ broker: String) -> URL {
        url.appending(path: broker == "broker" ? "endpoints.json" : "endpoints-\(broker).json")
    }
    package func home(_ client: String) -> URL { url.appending(path: "clients/\(client)") }
    package func samples(_ client: String) -> URL { url.appending(path: "samples/\(client)") }
    package func state(_ worker: String) -> URL { url.appending(path: "workers/\(worker)") }
    package func metrics(_ node: String) -> URL { url.appending(path: "metrics/\(node).jsonl") }

    /// Makes the folder, or empties the one that an earlier run made.
    ///
    /// - Throws: `.folder` when it holds anything else, or a run is using it.
    package init(emptying url: URL) throws(LaunchError) {
        self.url = url.standardizedFileURL
        let manager = FileManager.default
        do {
            let marker = url.appending(path: Self.marker)
            if let found = try? manager.contentsOfDirectory(atPath: url.path), !found.isEmpty,
                !manager.fileExists(atPath: marker.path)
            {
                throw LaunchError(
                    .folder,
                    "\(url.path) holds files that no run of collafuse made: remove them, or name another folder with --out"
                )
            }
            try manager.createDirectory(at: url, withIntermediateDirectories: true)
            lock = try Lock(marker)
            for name in try manager.contentsOfDirectory(atPath: url.path) where name != Self.marker {
                try manager.removeItem(at: url.appending(path: name))
            }
            for name in ["metrics", "logs", "samples", "workers", "clients"] {
                try manager.createDirectory(at: url.appending(path: name), withIntermediateDirectories: true)
            }
        } catch let error as LaunchError {
            throw error
        } catch {
            throw LaunchError(.folder, "\(url.path) cannot be used: \(error.localizedDescription)")
        }
    }

    /// The same folder, untouched: to say what would be done there.
    package init(planning url: URL) {
        self.url = url.standardizedFileURL
        lock = Lock()
    }

    /// An advisory lock on a file; the system drops it when the process ends, however it does.
    private final class Lock {
        private let descriptor: Int32

        init() { descriptor = -1 }

        init(_ file: URL) throws(LaunchError) {
            descriptor = open(file.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else {
                throw LaunchError(.folder, "\(file.path) cannot be made: \(String(cString: strerror(errno)))")
            }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                throw LaunchError(.folder, "another run is using \(file.deletingLastPathComponent().path)")
            }
        }

        deinit { if descriptor >= 0 { close(descriptor) } }
    }
}
