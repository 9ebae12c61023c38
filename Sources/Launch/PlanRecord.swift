package import Chain
package import Foundation
package import Topology

/// What was to be done: `plan.json`, from which the closing report learns who held what.
package struct PlanRecord: Codable, Sendable {
    package struct Client: Codable, Sendable {
        package var name: String
        /// Absolute.
        package var images: String
        /// Numbers of the run's labels; nil: all.
        package var labels: [Int]?
        package var cut: Int
        /// How often each image is masked at the cut; 0: this client publishes nothing.
        package var masks: Int
        package var headImages: Int
        package var batch: Int
        package var learningRate: Double
        package var threads: Int
    }

    package var run: String
    package var timesteps: Int
    package var schedule: Topology.Run.Schedule
    package var offsetNoise: Double
    package var cut: Int
    /// Channels, height, width.
    package var image: [Int]
    package var labels: [String]
    package var clients: [Client]
    /// Where the attacks on masked images are measured.
    package var attackCuts: [Int]
    package var perLabel: Int
    package var unseenPerLabel: Int
    /// Of the whole chain.
    package var steps: Int
    package var sampler: String
    package var guidance: Double

    package init(_ topology: Topology, topologyFolder: URL) {
        run = topology.run.name
        timesteps = topology.run.timesteps
        schedule = topology.run.schedule
        offsetNoise = topology.run.offsetNoise
        cut = topology.run.cut
        image = [topology.run.image.channels, topology.run.image.height, topology.run.image.width]
        labels = topology.run.labels
        clients = topology.clients.map { client in
            Client(
                name: client.name,
                images: URL(filePath: client.images, relativeTo: topologyFolder).standardizedFileURL.path,
                labels: client.labels, cut: client.cut, masks: client.tasks.contains(.publish) ? client.epochs : 0,
                headImages: client.head.images, batch: client.head.batch,
                learningRate: client.head.learningRate, threads: client.threads)
        }
        attackCuts = topology.report.cuts
        perLabel = topology.sample.perLabel
        unseenPerLabel = topology.sample.unseenPerLabel
        steps = topology.sample.steps
        sampler = topology.sample.sampler.rawValue
        guidance = topology.sample.guidance
    }

    /// What the schedule is called in a topology.
    package var scheduleName: String { schedule.kind.rawValue }

    package func chain() throws(ChainError) -> Schedule {
        try Schedule(schedule, timesteps: timesteps, offsetNoise: offsetNoise)
    }

    /// Reads the plan of a run that was made before.
    package init(contentsOf url: URL) throws(LaunchError) {
        do { self = try JSONDecoder().decode(PlanRecord.self, from: Data(contentsOf: url)) } catch {
            throw LaunchError(
                .folder,
                "\(url.path) cannot be read: its folder holds no run, or one of another version of collafuse. Make one with `collafuse up`"
            )
        }
    }

    package func write(to url: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(self).write(to: url, options: .atomic)
    }
}
