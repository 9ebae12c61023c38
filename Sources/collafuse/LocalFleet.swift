import ArgumentParser
import Chain
import Foundation
import Launch
import LoadTest

/// A broker and stub workers on this machine, for one load test: ordinary processes, started as anybody would start them.
struct LocalFleet {
    private let companions = Companions()
    private let folder: URL
    private let announce: URL
    private let target: LoadTarget

    /// Makes the keys, or renews them, and starts the broker.
    init(_ target: LoadTarget, clients: Int) throws {
        self.target = target
        folder = URL(filePath: target.keysFolder)
        announce = folder.appending(path: "broker.json")
        try LoadKeys.make(
            .init(
                clients: clients, workers: target.workers,
                image: ImageSize(channels: 3, height: 32, width: 32).shape()), in: folder, now: Keys.now)
        try? FileManager.default.removeItem(at: announce)
        start(
            "broker",
            [
                "broker", "--kit", folder.appending(path: "nodes/broker").path, "--clients", "tcp://127.0.0.1:*",
                "--workers", "tcp://127.0.0.1:*", "--announce", announce.path,
            ])
    }

    private struct Announcement: Decodable {
        let clients: String
        let workers: String
    }

    /// Starts the workers once the broker says where it listens.
    ///
    /// - Returns: where clients connect.
    func endpoints() async throws -> [String] {
        for _ in 0..<200 {
            if let data = try? Data(contentsOf: announce),
                let said = try? JSONDecoder().decode(Announcement.self, from: data)
            {
                start(
                    "workers",
                    [
                        "worker", "--engine", target.engine, "--slots", "\(target.slots)", "--workers",
                        "\(target.workers)", "--kit", folder.appending(path: "nodes/worker").path, "--broker",
                        said.workers,
                    ])
                return [said.clients]
            }
            if let fault { throw CommandFailure(fault) }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw CommandFailure("the broker does not start: see \(folder.appending(path: "broker.log").path)")
    }

    var fault: String? { companions.fault }

    func stop() { companions.stop() }

    private func start(_ name: String, _ arguments: [String]) {
        companions.start(
            .init(
                name: name, executable: ComputeBinary.own,
                arguments: arguments + ["--deployment", folder.appending(path: "public").path],
                log: folder.appending(path: "\(name).log")))
    }
}
