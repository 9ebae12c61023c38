internal import Chain
internal import Diffusion
internal import Disk
package import Foundation
internal import Images
internal import Launch
internal import Safetensors
internal import Torch
internal import Trust

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
    private let images: RunImages

    /// The classifier and the attacks draw from this; it has nothing to do with any model of the run.
    private static let seed: UInt64 = 1

    package init(folder: URL) throws {
        self.folder = folder
        let files = try RunFiles(folder: folder)
        plan = files.plan
        record = files.record
        metrics = try RunMetrics(folder: folder.appending(path: "metrics"))
        schedule = try plan.chain()
        images = try RunImages(plan)
    }

    /// Writes all files.
    package func write() throws -> RunSummary {
        let released = try ReleasedMasks(
            folder: folder, plan: plan, images: images, now: UnixTime(record.started * 1000))
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
            "samples": "samples.safetensors", "samples of labels never held": "unseen.safetensors",
            "picture for a page": "picture.svg",
        ]
        for client in plan.clients { files["pictures of \(client.name)"] = "\(client.name).png" }
        let summary = RunSummary(
            run: .init(
                name: plan.run, timesteps: plan.timesteps, schedule: plan.scheduleName, cut: plan.cut,
                snrDecibels: schedule.decibels(plan.cut), seconds: record.seconds),
            clients: try plan.clients.enumerated().map {
                try client($1, drawn[$0].held, drawn[$0].unseen, classifier)
            },
            disclosure: try disclosure(released),
            quality: try quality(drawn.compactMap(\.held), classifier), backbone: backbone,
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
        _ client: PlanRecord.Client, _ held: LabelledImages?, _ unseen: LabelledImages?,
        _ classifier: ImageClassifier
    ) throws -> RunSummary.Client {
        let labels = client.labels ?? Array(plan.labels.indices)
        let exposure = metrics.of("exposure", node: client.name).last
        let traffic = metrics.traffic(of: client.name)
        let node = record.nodes.first { $0.name == client.name }
        let head = metrics.of("head", node: client.name).last
        return RunSummary.Client(
            name: client.name, holds: labels.map { plan.labels[$0] },
            imagesHeld: images.holder.count { $0 == client.name },
            imagesPublished: exposure?.published ?? 0, releases: exposure?.worstReleases ?? 0,
            effectiveCut: exposure?.effectiveCut ?? plan.timesteps, mu: exposure?.mu ?? 0,
            epsilon: exposure?.epsilon ?? 0,
            bytesSent: traffic.from, bytesReceived: traffic.to, headImages: head?.images ?? 0,
            headLoss: head?.loss, samples: held?.count ?? 0, accuracy: held.map { classifier.accuracy(on: $0) },
            unseenSamples: unseen?.count ?? 0, unseenAccuracy: unseen.map { classifier.accuracy(on: $0) },
            frechet: try held.map {
                try FrechetSummary.pixels($0.images).distance(to: .pixels(images.heldOut.of(labels).images))
            },
            cpuSeconds: node?.cpuSeconds ?? 0, peakMegabytes: node?.peakMegabytes ?? 0)
    }

    /// The attacks on what was published, all masks of an image together, and on masks made for comparison.
    private func disclosure(_ released: ReleasedMasks) throws -> [RunSummary.Disclosure] {
        struct Kind: Hashable {
            let cut: Int
            let masks: Int
        }
        var rows: [RunSummary.Disclosure] = []
        // Clients that published alike are attacked together.
        for (kind, groups) in Dictionary(grouping: released.groups, by: { Kind(cut: $0.cut, masks: $0.masks.count) }) {
            let members = groups.flatMap(\.rows)
            let shape = [members.count] + plan.image
            let masks = (0..<kind.masks).map { mask in
                (x: Tensor(groups.flatMap { $0.masks[mask] }, shape: shape), signal: schedule.alphaBar(kind.cut))
            }
            let (x, signal) = try Disclosure.combined(masks)
            rows.append(
                try attack(
                    images.training.selecting(members).mapImages { _ in x }, originals: members, signal: signal,
                    cut: kind.cut, masks: kind.masks, publishers: groups.map(\.client)))
        }
        for cut in plan.attackCuts where !rows.contains(where: { $0.cut == cut && $0.masks == 1 }) {
            let signal = schedule.alphaBar(cut)
            let noise = CounterRandom(seed: Self.seed).noise(
                like: images.training.images, on: schedule, timestep: UInt32(cut), purpose: .evaluation)
            let masked = images.training.mapImages {
                $0 * signal.squareRoot() + noise * (1 - signal).squareRoot()
            }
            rows.append(
                try attack(
                    masked, originals: Array(0..<masked.count), signal: signal, cut: cut, masks: 1, publishers: []))
        }
        return rows.sorted { ($0.cut, $0.masks) < ($1.cut, $1.masks) }
    }

    private func attack(
        _ masked: LabelledImages, originals: [Int], signal: Double, cut: Int, masks: Int, publishers: [String]
    ) throws -> RunSummary.Disclosure {
        let result = try Disclosure.measure(
            masked: masked, originals: originals,
            candidates: .concatenated([images.training.images, images.heldOut.images], 0),
            // The attacker has images of its own of the same kind: those that nobody published.
            attacker: images.heldOut, signal: signal, seed: Self.seed)
        let ratio = signal / (1 - signal)
        return .init(
            cut: cut, publishers: publishers, masks: masks,
            effectiveCut: masks == 1 ? cut : schedule.timestep(atLeast: ratio), snrDecibels: 10 * log10(ratio),
            labelAccuracy: result.labelAccuracy, labelChance: result.labelChance,
            reidentification: result.reidentification, candidates: result.candidates)
    }

    private func quality(
        _ sets: [LabelledImages], _ classifier: ImageClassifier
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
        let lines = metrics.of("backbone"), images = lines.last?.images ?? 0
        let folders =
            (try? FileManager.default.contentsOfDirectory(atPath: folder.appending(path: "models").path)) ?? []
        // Over the last fifth of training: a report is made every few seconds, and the very last may be on one batch.
        let last = RunMetrics.pooled(lines.filter { 5 * ($0.images ?? 0) > 4 * images })
        return .init(
            versions: folders.compactMap { Int($0.dropFirst()) }.max() ?? 0, imagesSeen: images,
            buckets: last.map { .init(from: $0.from, to: $0.to, loss: $0.loss, floor: $0.floor, excess: $0.excess) })
    }

    // MARK: files

    private func write(
        _ summary: RunSummary, _ drawn: [(client: String, held: LabelledImages?, unseen: LabelledImages?)]
    ) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try write(encoder.encode(summary), "summary.json")
        try write(Data(metrics.text.utf8), "metrics.jsonl")
        try write(archive(drawn.map(\.held)).encoded(), "samples.safetensors")
        try write(archive(drawn.map(\.unseen)).encoded(), "unseen.safetensors")
        var pictures: [RunPicture] = []
        for (client, held, unseen) in drawn {
            let grid = folder.appending(path: "samples/\(client)/grid.png")
            guard let png = try? Data(contentsOf: grid) else { continue }
            try write(png, "\(client).png")
            func names(_ set: LabelledImages?) -> [String] { Set(set?.labels ?? []).sorted().map { plan.labels[$0] } }
            let cut = plan.clients.first { $0.name == client }?.cut ?? plan.cut
            guard
                let picture = RunPicture(
                    client: client, cut: cut, held: names(held), unseen: names(unseen), png: Array(png))
            else { continue }
            pictures.append(picture)
        }
        if let first = pictures.first { try write(Data(first.svg.utf8), "picture.svg") }
        try write(Data(ReportPage(summary, charts: charts, pictures: pictures).html.utf8), "report.html")
    }

    /// For the eyes of the caller only: clients' images are among it.
    private func write(_ content: Data, _ name: String) throws {
        try DurableFile.write(content, to: folder.appending(path: name))
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
        let lines = metrics.of("backbone")
        // Few points, each of several reports: one report is mostly chance.
        let together = max(1, lines.count / 25)
        let points = stride(from: 0, to: lines.count, by: together).map { start in
            let part = lines[start..<min(start + together, lines.count)]
            return (images: Double(part.last?.images ?? 0), buckets: RunMetrics.pooled(part))
        }
        return [
            LineChart(
                title: "Backbone (workers): loss above its floor, by timestep", xTitle: "training images",
                series: RunMetrics.pooled(lines).map { range in
                    .init(
                        name: "t = \(range.from)–\(range.to)",
                        points: points.compactMap { images, buckets in
                            buckets.first { $0.from == range.from }?.excess.map { (images, max(0, $0)) }
                        })
                }),
            LineChart(
                title: "Heads (clients): loss of predicting the noise, t = 1–ζ", xTitle: "training images",
                series: plan.clients.map { client in
                    .init(
                        name: client.name,
                        points: metrics.of("head", node: client.name).compactMap { line in
                            line.images.flatMap { images in line.loss.map { (Double(images), $0) } }
                        })
                }),
        ]
    }
}
