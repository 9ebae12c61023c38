package import Foundation

/// What a model's folder says about it beyond diffusers' own files: `collafuse.json`.
package struct ModelRecord: Hashable, Sendable, Codable {
    package enum Role: String, Sendable, Codable {
        case backbone, head
    }

    package var role: Role
    /// Counts up within a run; a denoise job pins one.
    package var version: UInt64
    /// The run's id in hexadecimal; empty: of no run.
    package var run: String
    /// Images seen in training, repeats included.
    package var imagesSeen: UInt64
    /// The timesteps it was trained at. A backbone's begin above the lowest cut of all that were published, a head's end at its own.
    package var firstTimestep: Int
    package var lastTimestep: Int
    /// C, and which of 0 ..< C occurred in training.
    package var labels: Int
    package var trainedLabels: [Int]

    package init(
        role: Role, version: UInt64, run: String = "", imagesSeen: UInt64, timesteps: ClosedRange<Int>, labels: Int,
        trainedLabels: [Int]
    ) {
        self.role = role
        self.version = version
        self.run = run
        self.imagesSeen = imagesSeen
        firstTimestep = timesteps.lowerBound
        lastTimestep = timesteps.upperBound
        self.labels = labels
        self.trainedLabels = trainedLabels
    }

    /// The lowest cut that a backbone can denoise to.
    package var lowestCut: Int { firstTimestep - 1 }

    /// The record of a model's folder, without its weights.
    ///
    /// - Throws: `badDirectory` when there is none, or it cannot be read.
    package init(contentsOf folder: URL) throws(DiffusionError) {
        let json: Data
        do { json = try Data(contentsOf: folder.appending(path: ModelDirectory.recordFile)) } catch {
            throw DiffusionError(.badDirectory, "\(folder.path) has no \(ModelDirectory.recordFile)")
        }
        try self.init(json: json)
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        // Text and whole numbers only: this cannot fail.
        return String(decoding: (try? encoder.encode(self)) ?? Data(), as: UTF8.self) + "\n"
    }

    init(json: Data) throws(DiffusionError) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do { self = try decoder.decode(ModelRecord.self, from: json) } catch {
            throw DiffusionError(
                .badDirectory, "\(ModelDirectory.recordFile) is no record of a model: write it anew, or remove it")
        }
        guard firstTimestep >= 1, lastTimestep >= firstTimestep, (0...1_000_000).contains(labels),
            trainedLabels.allSatisfy({ (0..<max(1, labels)).contains($0) })
        else {
            throw DiffusionError(.badDirectory, "\(ModelDirectory.recordFile) names timesteps or labels that cannot be")
        }
    }
}
