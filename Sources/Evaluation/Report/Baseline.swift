internal import Chain
internal import Diffusion
package import Foundation
internal import Images
internal import Launch
internal import Observability
internal import Safetensors
internal import Torch

/// What each client would have had alone: a model of its own for the whole chain, trained on its own images for as many CPU seconds as
/// the client spent in the run, and judged like the run.
package struct Baseline: Codable, Sendable {
    /// One side of the comparison.
    package struct Side: Codable, Sendable {
        /// Share of the samples of labels it holds that the classifier calls by their label.
        package var heldAccuracy: Double
        /// The same for labels it never held.
        package var unseenAccuracy: Double?
        /// Fréchet distance of its samples of held labels to the held-out images of those labels, by pixels.
        package var heldFrechet: Double
        /// Fréchet distance of equally many samples of every label to all held-out images.
        package var allFrechet: Double?
        /// Median distance of its samples to the nearest of its training images, and of as many held-out ones.
        package var nearestTraining: Double
        package var nearestHeldOut: Double
        package var shareNearerTraining: Double
        package var samples: Int
    }

    package struct Client: Codable, Sendable {
        package var name: String
        package var cpuSeconds: Double
        /// Images that its own model was shown in that time.
        package var imagesAlone: Int
        package var alone: Side
        package var together: Side
    }

    package var clients: [Client]
    /// Over the samples of all clients.
    package var alone: Side
    package var together: Side

    package var text: String {
        func row(_ name: String, _ way: String, _ side: Side) -> [String] {
            [
                name, way, "\(side.samples)", side.heldAccuracy.percent, side.unseenAccuracy.percent,
                side.heldFrechet.formatted(1),
                side.allFrechet.formatted(1), side.nearestTraining.formatted(3), side.nearestHeldOut.formatted(3),
                side.shareNearerTraining.percent,
            ]
        }
        let head = [
            "client", "trained", "samples", "held labels", "never held", "Fréchet held", "Fréchet all", "to training",
            "to held-out",
            "nearer training",
        ]
        let rows =
            clients.flatMap { [row($0.name, "alone", $0.alone), row("", "together", $0.together)] }
            + [row("over all", "alone", alone), row("", "together", together)]
        return
            (TextTable.lines(head, rows)
            + clients.map {
                "\($0.name) alone: \($0.imagesAlone) images in \($0.cpuSeconds.formatted(1)) CPU seconds, as many as it spent in the run"
            })
            .joined(separator: "\n")
    }
}

/// Trains the baseline of a run and compares.
package struct BaselineTrial {
    private let folder: URL
    private let plan: PlanRecord
    private let record: RunRecord

    private static let seed: UInt64 = 2

    package init(folder: URL) throws {
        self.folder = folder
        let files = try RunFiles(folder: folder)
        plan = files.plan
        record = files.record
    }

    /// - Parameter progress: told what is being done.
    package func run(progress: (String) -> Void) throws -> Baseline {
        let images = try RunImages(plan)
        let classifier = ClassifierTraining(seed: Self.seed).train(on: images.training)
        let judge = Judge(images: images, classifier: classifier, seed: Self.seed)
        var clients: [Baseline.Client] = []
        var sets: (alone: [SamplesOf], together: [SamplesOf]) = ([], [])
        for (place, client) in plan.clients.enumerated() {
            let labels = client.labels ?? Array(plan.labels.indices)
            let seconds = record.nodes.first { $0.name == client.name }?.cpuSeconds ?? 0
            progress("\(client.name) alone: training for \(seconds.formatted(1)) CPU seconds")
            let (samples, shown) = try alone(client, labels, seconds, images, seed: Self.seed + UInt64(place))
            let own = images.training.selecting(images.holder.indices.filter { images.holder[$0] == client.name })
            let alone = SamplesOf(labels: labels, samples: samples, training: own)
            let together = SamplesOf(labels: labels, samples: try drawn(client.name), training: own)
            clients.append(
                Baseline.Client(
                    name: client.name, cpuSeconds: seconds, imagesAlone: shown, alone: try judge.side([alone]),
                    together: try judge.side([together])))
            sets.alone.append(alone)
            sets.together.append(together)
        }
        let result = Baseline(
            clients: clients, alone: try judge.side(sets.alone), together: try judge.side(sets.together))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(result).write(to: folder.appending(path: "baseline.json"))
        return result
    }

    /// What the client drew in the run.
    private func drawn(_ client: String) throws -> LabelledImages {
        let folder = folder.appending(path: "samples/\(client)")
        let parts = try ["samples", "unseen"].compactMap {
            try LabelledImages(samples: folder.appending(path: "\($0).safetensors"), classes: plan.labels.count)
        }
        guard !parts.isEmpty else {
            throw EvaluationError(.tooFew, "\(client) has drawn nothing in this run: there is nothing to compare with.")
        }
        return try LabelledImages(
            images: .concatenated(parts.map(\.images), 0), labels: parts.flatMap(\.labels), classes: plan.labels.count)
    }

    /// A model for the whole chain, of the backbone's structure and settings, on this client's images alone; its samples, as many as
    /// the client drew in the run.
    private func alone(
        _ client: PlanRecord.Client, _ labels: [Int], _ seconds: Double, _ images: RunImages, seed: UInt64
    ) throws -> (samples: LabelledImages, shown: Int) {
        let model = try newestBackbone()
        let schedule = model.schedule
        let top = try Cut(schedule.timesteps - 1, on: schedule)
        let rows = images.holder.indices.filter { images.holder[$0] == client.name }
        let own = images.training.selecting(rows)
        let hidden = try PrivateImages(own.images.floats, shape: own.images.shape)
        var source = ParameterSource(seed: seed), zeros = ParameterSource.zeros()
        var options = TrainerOptions()
        options.batch = client.batch
        options.learningRate = client.learningRate
        var trainer = Trainer(
            try Denoiser(
                UNet(model.network.configuration, &source), on: schedule, predicting: model.prediction,
                labels: plan.labels.count),
            average: UNet(model.network.configuration, &zeros), options, seed: seed)
        let began = ThreadClock.seconds
        while ThreadClock.seconds - began < seconds { _ = trainer.trainHead(hidden, labels: own.labels, cut: top) }
        let wanted =
            labels.flatMap { Array(repeating: $0, count: plan.perLabel) }
            + plan.labels.indices.filter { !labels.contains($0) }.flatMap {
                Array(repeating: $0, count: plan.unseenPerLabel)
            }
        let timesteps = try TimestepList(from: top.timestep, to: 0, steps: plan.steps)
        var values: [Float] = []
        for start in stride(from: 0, to: wanted.count, by: 128) {
            let part = wanted[start..<min(start + 128, wanted.count)]
            let plans = part.enumerated().map { index, label in
                SamplePlan(
                    seed: seed, number: UInt32(start + index), label: label, timesteps: timesteps,
                    sampler: Sampler.Name(rawValue: plan.sampler).map { Sampler($0) } ?? .ddim(),
                    guidance: plan.guidance)
            }
            let noise = ChainState(
                noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: plan.image, on: schedule)
            let begin = try ChainState(
                received: noise.x, at: plans.map { _ in top.timestep }, imageShape: plan.image)
            values += trainer.averaged.sample(from: begin, plans).state.x.clamped(-1, 1).floats
        }
        return (
            try LabelledImages(
                images: Tensor(values, shape: [wanted.count] + plan.image), labels: wanted, classes: plan.labels.count),
            trainer.images
        )
    }

    private func newestBackbone() throws -> ModelDirectory {
        let models = folder.appending(path: "models")
        guard let name = try FileManager.default.contentsOfDirectory(atPath: models.path).sorted().last else {
            throw EvaluationError(.tooFew, "\(models.path) holds no backbone: run the demo first.")
        }
        return try ModelDirectory(contentsOf: models.appending(path: name))
    }
}

/// Samples of one client, with what it holds.
private struct SamplesOf {
    let labels: [Int]
    let samples: LabelledImages
    let training: LabelledImages

    var held: LabelledImages { samples.of(labels) }
    var unseen: LabelledImages {
        samples.selecting(samples.labels.indices.filter { !labels.contains(samples.labels[$0]) })
    }
}

private struct Judge {
    let images: RunImages
    let classifier: ImageClassifier
    let seed: UInt64

    /// One client's samples, or those of several as one set.
    func side(_ sets: [SamplesOf]) throws -> Baseline.Side {
        let held = try joined(sets.map(\.held)), unseen = sets.map(\.unseen).filter { $0.count > 0 }
        let labels = sets.flatMap(\.labels)
        let memory = try Memorisation(
            samples: held.images, training: joined(sets.map(\.training)).images,
            heldOut: images.heldOut.of(labels).images, seed: seed)
        return Baseline.Side(
            heldAccuracy: classifier.accuracy(on: held),
            unseenAccuracy: unseen.isEmpty ? nil : classifier.accuracy(on: try joined(unseen)),
            heldFrechet: try FrechetSummary.pixels(held.images).distance(to: .pixels(images.heldOut.of(labels).images)),
            allFrechet: try balanced(sets.map(\.samples)).map {
                try FrechetSummary.pixels($0.images).distance(to: .pixels(images.heldOut.images))
            },
            nearestTraining: memory.nearestTraining, nearestHeldOut: memory.nearestHeldOut,
            shareNearerTraining: memory.shareNearerTraining, samples: sets.reduce(0) { $0 + $1.samples.count })
    }

    private func joined(_ sets: [LabelledImages]) throws -> LabelledImages {
        try LabelledImages(
            images: .concatenated(sets.map(\.images), 0), labels: sets.flatMap(\.labels),
            classes: images.training.classes)
    }

    /// From each client's samples equally many of every label; nil where some label is missing.
    private func balanced(_ sets: [LabelledImages]) throws -> LabelledImages? {
        var parts: [LabelledImages] = []
        for set in sets {
            let rows = Dictionary(grouping: set.labels.indices) { set.labels[$0] }
            guard rows.count == set.classes, let least = rows.values.map(\.count).min() else { return nil }
            parts.append(set.selecting(rows.keys.sorted().flatMap { rows[$0]?.prefix(least) ?? [] }))
        }
        return try joined(parts)
    }
}

/// CPU time of this thread.
private enum ThreadClock {
    static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
