internal import Chain
internal import Diffusion
internal import Disk
internal import Foundation
internal import Safetensors

/// Where a client's heads lie: one folder for each run and cut, with where its training stands beside it. A model may remember what it was
/// trained on, so only the owner may read them.
struct HeadHome {
    private let folder: URL
    private let runID: String

    init(home: URL, runID: String) {
        self.runID = runID
        folder = home.appending(path: "heads/\(runID.prefix(16))")
    }

    private func head(_ cut: Cut) -> URL { folder.appending(path: "cut-\(cut)") }
    private func state(_ cut: Cut) -> URL { folder.appending(path: "cut-\(cut).training.safetensors") }

    /// Where training stopped; nil: it has not begun.
    func training(_ cut: Cut) throws -> SafetensorsArchive? {
        guard FileManager.default.fileExists(atPath: state(cut).path) else { return nil }
        return try SafetensorsArchive(contentsOf: state(cut))
    }

    func save(training: SafetensorsArchive, _ cut: Cut) throws {
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try DurableFile.write(training.encoded(), to: state(cut))
    }

    func save(_ model: ModelDirectory, _ cut: Cut) throws {
        try model.write(to: head(cut), replacing: true, isPrivate: true)
    }

    /// - Throws: `noHead` when none was trained for this cut.
    func load(_ cut: Cut) throws -> ModelDirectory {
        guard FileManager.default.fileExists(atPath: head(cut).path) else {
            throw ClientError(
                .noHead, "there is no head for ζ = \(cut) yet: train one with `collafuse client train --cut \(cut)`")
        }
        let model = try ModelDirectory(contentsOf: head(cut))
        guard model.record?.run == runID else {
            throw ClientError(.noHead, "\(head(cut).path) is a head of another run")
        }
        return model
    }
}
