import ArgumentParser
import CollaFuseClient
import Observability

/// `collafuse client publish`
struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Noise images to the cut and send them to the trainer.",
        discussion: """
            Each image is masked once and kept by the server, which can train on it for ever (`--policy once`). Publishing again \
            sends the same bytes. With `--policy fresh --epochs n` each image is masked n times: each is one more release, and the \
            ledger adds them up. Epochs that were published before are not published again. \
            Past the owner's limit (--limit-db, kept in the home until another is given) nothing leaves.

            The first publication makes the home. It is the client's only one from then on: in another the same images would get \
            other masks, and no ledger would know of both.

              collafuse client publish --deployment public --kit nodes/north --broker tcp://broker:7701 --home north \\
                  --images digits.safetensors --labels 0,1,2,3 --cut 500
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var client: HomeOptions
    @OptionGroup var source: ImageOptions

    @Option(name: .long, help: ArgumentHelp("ζ, the timestep that images are noised to.", valueName: "timestep"))
    var cut: Int

    @Option(name: .long, help: "`once` or `fresh`.")
    var policy = Policy.once

    @Option(name: .long, help: ArgumentHelp("fresh: mask every image anew for so many epochs.", valueName: "n"))
    var epochs = 1

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The most that one image's releases may show together, as a signal-to-noise ratio in decibels.",
            valueName: "dB"))
    var limitDb: Double?

    @Option(name: .long, help: ArgumentHelp("Images in one job.", valueName: "n"))
    var chunk = 64

    enum Policy: String, ExpressibleByArgument, CaseIterable {
        case once, fresh
    }

    func validate() throws {
        guard chunk > 0, epochs > 0 else { throw ValidationError("--chunk and --epochs must be above 0") }
        if let limitDb, !(abs(limitDb) <= 200) {
            throw ValidationError("--limit-db is a number of decibels in −200…200, such as 3: not \(limitDb)")
        }
    }

    func run() async throws {
        let client = try client.open(node, makesHome: true, limit: limitDb)
        defer { client.close() }
        let bar = ProgressBar("published")
        let summary = try await client.publish(
            source.load(client), cut: cut, policy: policy == .once ? .once : .fresh(epochs: epochs), chunk: chunk,
            progress: bar.show)
        try node.metricsLog()?.write(
            "exposure",
            [
                "published": .integer(summary.images), "worst_releases": .integer(summary.exposure.worstReleases),
                "effective_cut": .integer(summary.exposure.effectiveCut), "mu": .number(summary.exposure.mu),
                "epsilon": .number(summary.exposure.epsilon),
            ])
        Supervision.state("published", summary.exposure.releases)
        print(summary.text)
    }
}
