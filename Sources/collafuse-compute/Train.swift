import ArgumentParser
import CollaFuseClient
import Diffusion
import Observability

/// `collafuse client train`
struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train this client's head on its own images.",
        discussion: """
            The head denoises the last ζ steps. It is trained here, on images that stay here, and needs no broker to be up. \
            Training that was interrupted goes on; --for counts from the first.
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var client: HomeOptions
    @OptionGroup var source: ImageOptions

    @Option(name: .long, help: ArgumentHelp("ζ, where the head takes over.", valueName: "timestep"))
    var cut: Int

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("Train on so many images, counted as often as they are shown.", valueName: "n"))
    var total: Int

    @Option(name: .long, help: ArgumentHelp("Images in a training step.", valueName: "n"))
    var batch = 64

    @Option(name: .long, help: ArgumentHelp("AdamW's step size.", valueName: "η"))
    var learningRate = 2e-3

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Timesteps weigh min(1, γ/SNR), so that the cleanest do not outweigh the others; 5 is usual. None when left out.",
            valueName: "γ"))
    var minSnr: Double?

    @Option(
        name: .long,
        help: "What a step computes in. `mixed`: convolutions and products in bfloat16, parameters in float32.")
    var precision = TrainerOptions.Precision.single

    @Option(name: .long, help: ArgumentHelp("Threads that one tensor operation may use.", valueName: "n"))
    var threads = 1

    @Option(name: .long, help: ArgumentHelp("Seed of the head's first parameters and of training.", valueName: "n"))
    var seed: UInt64 = 0

    func validate() throws {
        guard total > 0, batch > 0, threads > 0, learningRate > 0, learningRate.isFinite else {
            throw ValidationError("--for, --batch, --threads and --learning-rate must be above 0")
        }
    }

    func run() async throws {
        let client = try client.open(node, makesHome: true)
        defer { client.close() }
        let metrics = try node.metricsLog()
        let bar = ProgressBar("head")
        let summary = try await client.trainHead(
            on: source.load(client), cut: cut,
            settings: HeadTraining(
                images: total, batch: batch, learningRate: learningRate, minSNR: minSnr,
                isMixed: precision == .mixed, threads: threads, seed: seed),
            measured: { metrics?.write("head", ["images": .integer($0.images), "loss": .number($0.loss)]) },
            progress: bar.show)
        print(summary.text)
    }
}
