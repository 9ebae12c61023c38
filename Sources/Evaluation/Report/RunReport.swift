internal import Chain
package import Foundation
internal import Images
internal import Launch
internal import Safetensors
internal import Torch

/// Judges a run that ended and draws its pictures: `summary.json`, `metrics.jsonl`, `samples.safetensors`, `unseen.safetensors`, a grid
/// for each client, `report.html`.
///
/// It reads every client's images, which no party of a real deployment could: it is for runs on one machine.
package struct RunReport {
    private let folder: URL
    private let plan: PlanRecord
    private let record: RunRecord
    private let metrics: RunMetrics
    private let schedule: Schedule

    /// The classifier and the attacks draw from this; it has nothing to do with any model of the run.
    private static let seed: UInt64 = 1

    package init(folder: URL) throws {
        let decoder = JSONDecoder()
        self.folder = folder
        plan = try decoder.decode(PlanRecord.self, from: Data(contentsOf: folder.appending(path: "plan.json")))
        record = try decoder.decode(RunRecord.self, from: Data(contentsOf: folder.appending(path: "nodes.json")))
        metrics = try RunMetrics(folder: folder.appending(path: "metrics"))
        let kind: Schedule.Kind =
            switch plan.schedule {
            case "linear": .linear()
            case "sigmoid": .sigmoid()
            default: .cosine()
            }
        schedule = try Schedule(kind, timesteps: plan.timesteps)
    }

    /// Writes all files.
    package func write() throws -> RunSummary {
        let images = try RunImages(plan)
        let classifier = ClassifierTraining(seed: Self.seed).train(on: images.training)
        var drawn: [(client: String, held: LabelledImages?, unseen: LabelledImages?)] = []
        for client in plan.clients {
            let samples = folder.appending(path: "samples/\(client.name)")
            drawn.append(
                (
                    client.name,
                    try LabelledImages(
                        samples: samples.appending(path: "samples.safetensors"), classes: plan.labels.count),
                    try LabelledImages(
                        samples: samples.appending(path: "unseen.safetensors"), classes: plan.labels.count)
                ))
        }
        var files = [
            "summary": "summary.json", "measurements": "metrics.jsonl", "page": "report.html",
            "samples": "samples.safetensors",
        ]
        for client in plan.clients { files["grid of \(client.name)"] = "\(client.name).png" }
        let summary = RunSummary(
            run: .init(
                name: plan.run, timesteps: plan.timesteps, schedule: plan.schedule, cut: plan.cut,
                snrDecibels: schedule.decibels(plan.cut), seconds: record.seconds),
            clients: try plan.clients.enumerated().map {
                try client($1, drawn[$0].held, drawn[$0].unseen, images, classifier)
            },
            disclosure: try disclosure(images),
            quality: try quality(drawn.compactMap(\.held), images, classifier), backbone: backbone,
            jobs: .init(
                accepted: metrics.broker(\.accepted), finished: metrics.broker(\.finished),
                redelivered: metrics.broker(\.redelivered), deadLetters: metrics.broker(\.deadLetters),
                rejected: metrics.broker(\.rejected)),
            phases: record.phases.map { .init(node: $0.node, name: $0.name, start: $0.start, end: $0.end) },
            nodes: record.nodes.map {
                .init(
                    name: $0.name, role: $0.role, cpuSeconds: $0.cpuSeconds, peakMegabytes: $0.peakMegabytes,
                    restarts: $0.restarts)
            },
            files: files)
        try write(summary, drawn)
        return summary
    }

    // MARK: figures

    private func client(
        _ client: PlanRecord.Client, _ held: LabelledImages?, _ unseen: LabelledImages?, _ images: RunImages,
        _ classifier: ImageClassifier
    ) throws -> RunSummary.Client {
        let labels = client.labels ?? Array(plan.labels.indices)
        let exposure = metrics.of("exposure", node: client.name).last
        let peer = metrics.of("broker").last?.peers?.first { $0.name == client.name }
        let node = record.nodes.first { $0.name == client.name }
        let head = metrics.of("head", node: client.name).last
        return RunSummary.Client(
            name: client.name, holds: labels.map { plan.labels[$0] },
            imagesHeld: images.holder.count { $0 == client.name },
            imagesPublished: exposure?.published ?? 0, releases: exposure?.worstReleases ?? 0,
            effectiveCut: exposure?.effectiveCut ?? plan.timesteps, mu: exposure?.mu ?? 0,
            epsilon: exposure?.epsilon ?? 0,
            bytesSent: peer?.bytesIn ?? 0, bytesReceived: peer?.bytesOut ?? 0, headImages: head?.images ?? 0,
            headLoss: head?.loss, samples: held?.count ?? 0, accuracy: held.map { classifier.accuracy(on: $0) },
            unseenSamples: unseen?.count ?? 0, unseenAccuracy: unseen.map { classifier.accuracy(on: $0) },
            frechet: try held.map {
                try FrechetSummary.pixels($0.images).distance(to: .pixels(images.heldOut.of(labels).images))
            },
            cpuSeconds: node?.cpuSeconds ?? 0, peakMegabytes: node?.peakMegabytes ?? 0)
    }

    private func disclosure(_ images: RunImages) throws -> [RunSummary.Disclosure] {
        // The attacker has images of its own of the same kind: those that nobody published.
        try Set(plan.attackCuts + plan.clients.map(\.cut)).sorted().map { cut in
            let signal = schedule.alphaBar(cut)
            let noise = CounterRandom(seed: Self.seed).normals(
                images.training.images.count, timestep: UInt32(cut), purpose: .evaluation)
            let masked = images.training.mapImages {
                $0 * signal.squareRoot() + Tensor(noise, shape: $0.shape) * (1 - signal).squareRoot()
            }
            let result = try Disclosure.measure(
                masked: masked, originals: Array(0..<masked.count),
                candidates: .concatenated([images.training.images, images.heldOut.images], 0), attacker: images.heldOut,
                signal: signal, seed: Self.seed)
            return .init(
                cut: cut, publishers: plan.clients.filter { $0.cut == cut }.map(\.name),
                snrDecibels: schedule.decibels(cut), labelAccuracy: result.labelAccuracy,
                reidentification: result.reidentification, candidates: result.candidates)
        }
    }

    private func quality(
        _ sets: [LabelledImages], _ images: RunImages, _ classifier: ImageClassifier
    ) throws -> RunSummary.Quality? {
        guard !sets.isEmpty else { return nil }
        let all = try LabelledImages(
            images: .concatenated(sets.map(\.images), 0), labels: sets.flatMap(\.labels), classes: plan.labels.count)
        let byLabel = classifier.accuracyByLabel(on: all)
        let heldOut = try FrechetSummary.pixels(images.heldOut.images)
        // As many real ones as there are samples: the statistic depends on how many there are.
        var words = CounterRandom(seed: Self.seed).sequence(purpose: .evaluation)
        let real = Array((0..<images.training.count).shuffled(using: &words).prefix(all.count))
        return .init(
            samples: all.count, accuracy: classifier.accuracy(on: all),
            accuracyByLabel: Dictionary(
                uniqueKeysWithValues: zip(plan.labels, byLabel).compactMap { name, share in share.map { (name, $0) } }),
            realAccuracy: classifier.accuracy(on: images.heldOut),
            frechet: try FrechetSummary.pixels(all.images).distance(to: heldOut),
            realFrechet: try FrechetSummary.pixels(images.training.selecting(real).images).distance(to: heldOut))
    }

    private var backbone: RunSummary.Backbone {
        let last = metrics.of("backbone").last
        let folders =
            (try? FileManager.default.contentsOfDirectory(atPath: folder.appending(path: "models").path)) ?? []
        return .init(
            versions: folders.compactMap { Int($0.dropFirst()) }.max() ?? 0, imagesSeen: last?.images ?? 0,
            buckets: (last?.buckets ?? []).map {
                .init(from: $0.from, to: $0.to, loss: $0.loss, floor: $0.floor, excess: $0.excess)
            })
    }

    // MARK: files

    private func write(
        _ summary: RunSummary, _ drawn: [(client: String, held: LabelledImages?, unseen: LabelledImages?)]
    ) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(summary).write(to: folder.appending(path: "summary.json"))
        try Data(metrics.text.utf8).write(to: folder.appending(path: "metrics.jsonl"))
        try archive(drawn.map(\.held)).write(to: folder.appending(path: "samples.safetensors"))
        try archive(drawn.map(\.unseen)).write(to: folder.appending(path: "unseen.safetensors"))
        var pictures: [(caption: String, png: [UInt8])] = []
        for client in plan.clients {
            guard let png = try? Data(contentsOf: folder.appending(path: "samples/\(client.name)/grid.png")) else {
                continue
            }
            try png.write(to: folder.appending(path: "\(client.name).png"))
            pictures.append(
                (
                    "\(client.name): real · masked as the server sees it · the server's x_ζ · final. Rows below its own labels are labels "
                        + "that it never held.", Array(png)
                ))
        }
        try Data(ReportPage(summary, charts: charts, pictures: pictures).html.utf8).write(
            to: folder.appending(path: "report.html"))
    }

    /// `images` [N, C, H, W], `labels` [N], `client` [N]: the client's place in the topology.
    private func archive(_ sets: [LabelledImages?]) throws -> SafetensorsArchive {
        var values: [Float] = [], labels: [Int64] = [], clients: [Int64] = []
        for (client, set) in sets.enumerated() {
            guard let set else { continue }
            values += set.images.floats
            labels += set.labels.map(Int64.init)
            clients += set.labels.map { _ in Int64(client) }
        }
        var archive = SafetensorsArchive(metadata: ["clients": plan.clients.map(\.name).joined(separator: ",")])
        try archive.append(.init(name: "images", shape: [labels.count] + plan.image, floats: values))
        try archive.append(.init(name: "labels", shape: [labels.count], int64s: labels))
        try archive.append(.init(name: "client", shape: [labels.count], int64s: clients))
        return archive
    }

    private var charts: [LineChart] {
        func points(_ lines: [RunMetrics.Line], _ value: (RunMetrics.Line) -> Double?) -> [(x: Double, y: Double)] {
            lines.compactMap { line in
                guard let images = line.images, let y = value(line) else { return nil }
                return (Double(images), y)
            }
        }
        let backbone = metrics.of("backbone")
        let ranges = backbone.last?.buckets ?? []
        return [
            LineChart(
                title: "Backbone: loss above its floor, by timestep", xTitle: "training images",
                series: ranges.map { range in
                    .init(
                        name: "t = \(range.from)–\(range.to)",
                        points: points(backbone) { line in line.buckets?.first { $0.from == range.from }?.excess })
                }),
            LineChart(
                title: "Heads: noise-prediction loss over 1…ζ", xTitle: "training images",
                series: plan.clients.map { client in
                    .init(name: client.name, points: points(metrics.of("head", node: client.name), \.loss))
                }),
        ]
    }
}
