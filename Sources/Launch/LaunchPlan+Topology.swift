package import Foundation
package import Topology

extension LaunchPlan {
    /// Which binaries carry the plan out.
    package struct Binaries: Sendable {
        package let collafuse: URL
        /// The one that links libtorch.
        package let compute: URL

        package init(collafuse: URL, compute: URL) {
            self.collafuse = collafuse
            self.compute = compute
        }
    }

    /// Under which a client states how many masked images it has published in all.
    package static let published = "published"

    /// The processes of a topology.
    ///
    /// - Parameters:
    ///   - topologyFolder: what image paths are relative to.
    ///   - deployment: the operator's public folder.
    ///   - kit: the folder of a node's kit.
    package init(
        _ topology: Topology, topologyFolder: URL, folder: RunFolder, deployment: URL, kit: @escaping (String) -> URL,
        binaries: Binaries
    ) {
        let planner = Planner(
            topology: topology, topologyFolder: topologyFolder, folder: folder, deployment: deployment, kit: kit,
            binaries: binaries)
        self.init(
            nodes: topology.brokers.map(planner.broker) + topology.workers.map(planner.worker)
                + topology.clients.map(planner.client),
            closing: [planner.report])
    }
}

private struct Planner {
    let topology: Topology
    let topologyFolder: URL
    let folder: RunFolder
    let deployment: URL
    let kit: (String) -> URL
    let binaries: LaunchPlan.Binaries

    func broker(_ broker: Topology.Broker) -> LaunchPlan.Node {
        let name = broker.name, endpoints = folder.endpoints(name)
        return LaunchPlan.Node(
            name: name, role: "broker", life: .service(mayEnd: false),
            stages: [
                LaunchPlan.Stage(
                    name: "broker", executable: binaries.collafuse.path,
                    arguments: arguments(
                        ["broker", "--deployment", text(deployment), "--kit", text(kit(name))],
                        // After a crash the same ports again: nobody has to look for the broker anew.
                        ["--clients", .value(node: name, key: "clients", before: broker.clients)],
                        ["--workers", .value(node: name, key: "workers", before: broker.workers)],
                        ["--journal", journal(of: broker)],
                        // More than its limits come to: see docs/operations.md.
                        ["--memory", "4096"],
                        ["--announce", text(endpoints), "--metrics", text(folder.metrics(name))]))
            ],
            readyFile: endpoints.path)
    }

    private func journal(of broker: Topology.Broker) -> LaunchPlan.Argument {
        switch broker.journal {
        case .memory: "memory"
        case .sqlite: .text("sqlite:\(folder.journal(broker.name).path)")
        }
    }

    func worker(_ worker: Topology.Worker) -> LaunchPlan.Node {
        var own: [LaunchPlan.Argument] = []
        if let training = worker.training {
            own = arguments(
                [
                    "--state", text(folder.state(worker.name)), "--images", text(training.images),
                ],
                self.training(training))
        }
        return LaunchPlan.Node(
            name: worker.name, role: worker.role.rawValue, life: .service(mayEnd: worker.training != nil),
            stages: [
                stage(
                    worker.role.rawValue,
                    arguments(
                        ["worker", "--role", text(worker.role.rawValue), "--registry", text(folder.models)],
                        common(worker.name, side: "workers"), own, ["--threads", text(worker.threads)]),
                    threads: worker.threads)
            ])
    }

    /// What trainer and head are told alike.
    private func training(_ training: Topology.Training) -> [LaunchPlan.Argument] {
        ["--batch", text(training.batch), "--learning-rate", text(training.learningRate)]
            + ["--precision", text(training.precision.rawValue)]
            + (training.minSNR.map { ["--min-snr", text($0)] } ?? [])
    }

    func client(_ client: Topology.Client) -> LaunchPlan.Node {
        LaunchPlan.Node(
            name: client.name, role: "client", life: .job, stages: client.tasks.map { stage(of: client, $0) })
    }

    private func stage(of client: Topology.Client, _ task: Topology.Client.Task) -> LaunchPlan.Stage {
        var own: [LaunchPlan.Argument]
        var needs: [LaunchPlan.Need] = []
        switch task {
        case .publish:
            own = arguments(
                ["--policy", text(client.release.rawValue)],
                client.release == .fresh ? ["--epochs", text(client.epochs)] : [],
                client.limitDecibels.map { ["--limit-db", text($0)] } ?? [])
        case .train:
            own = arguments(
                ["--for", text(client.head.images), "--threads", text(client.threads)], training(client.head))
        case .sample:
            let sample = topology.sample
            let backbone = finishedBackbone
            needs = backbone.needs
            own = arguments(
                ["--per-label", text(sample.perLabel), "--unseen-per-label", text(sample.unseenPerLabel)],
                [
                    "--steps", text(sample.steps), "--sampler", text(sample.sampler.rawValue), "--guidance",
                    text(sample.guidance),
                ],
                backbone.images.map { [.text("--wait-for-images"), $0] } ?? [],
                ["--out", text(folder.samples(client.name)), "--threads", text(client.threads)])
        }
        let labels = client.labels.map { [.text("--labels"), text($0.map(String.init).joined(separator: ","))] } ?? []
        let images = URL(filePath: client.images, relativeTo: topologyFolder).standardizedFileURL
        return stage(
            task.rawValue,
            arguments(
                ["client", text(task.rawValue)], common(client.name, side: "clients"),
                ["--home", text(folder.home(client.name)), "--images", text(images)], labels,
                ["--cut", text(client.cut)], own),
            threads: client.threads, needs: needs)
    }

    /// How many images the backbone has seen when its training is over, and what must have happened before that is known.
    private var finishedBackbone: (images: LaunchPlan.Argument?, needs: [LaunchPlan.Need]) {
        // The first trainer's: others train the same backbone.
        guard let training = topology.workers.lazy.compactMap(\.training).first else { return (nil, []) }
        let publishers = topology.clients.filter { $0.tasks.contains(.publish) }
        guard !publishers.isEmpty, publishers.allSatisfy({ $0.release == .fresh }) else {
            return (text(training.images), [])
        }
        // Fresh masks are used once: training is over when all that were published are used up.
        let names = publishers.map(\.name)
        return (
            .sum(nodes: names, key: LaunchPlan.published, most: training.images),
            names.map { .stated($0, key: LaunchPlan.published) }
        )
    }

    var report: LaunchPlan.Stage {
        LaunchPlan.Stage(
            name: "report", executable: binaries.compute.path,
            arguments: ["report", "--folder", text(folder.url)])
    }

    // MARK: parts of command lines

    private func stage(
        _ name: String, _ arguments: [LaunchPlan.Argument], threads: Int, needs: [LaunchPlan.Need] = []
    ) -> LaunchPlan.Stage {
        LaunchPlan.Stage(
            name: name, executable: binaries.compute.path, arguments: arguments,
            // libtorch reads the first when it loads; the second makes progress a line that the supervisor understands.
            environment: ["OMP_NUM_THREADS": String(threads), "COLLAFUSE_PROGRESS": "lines"],
            needs: topology.brokers.map { .ready($0.name) } + needs)
    }

    private func common(_ node: String, side: String) -> [LaunchPlan.Argument] {
        arguments(
            ["--deployment", text(deployment), "--kit", text(kit(node))], brokers(side),
            ["--metrics", text(folder.metrics(node))])
    }

    private func brokers(_ side: String) -> [LaunchPlan.Argument] {
        let names = topology.brokers.map(\.name)
        guard names.count > 1 else { return ["--broker", .value(node: names[0], key: side, before: "")] }
        return names.flatMap { ["--broker", .address(node: $0, key: side)] }
    }

    private func arguments(_ parts: [LaunchPlan.Argument]...) -> [LaunchPlan.Argument] { parts.flatMap(\.self) }
    private func text(_ url: URL) -> LaunchPlan.Argument { .text(url.path) }
    private func text(_ value: some LosslessStringConvertible) -> LaunchPlan.Argument { .text(String(value)) }
}
