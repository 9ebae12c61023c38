public import ArgumentParser
public import CollaFuseClient
import Foundation

/// `collafuse client sample`
struct SampleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample",
        abstract: "Draw images: the workers denoise to the cut, this client's head finishes.",
        discussion: """
            Labels that the head was trained on are finished under their label. Any other label of the run can be asked for too: \
            the workers learned it from other clients, and the head finishes such samples without a label.

              collafuse client sample … --images digits.safetensors --labels 0,1,2,3 --cut 500 --per-label 50 --out pictures

            Writes samples.safetensors, unseen.safetensors, and grid.png (real · masked as the server sees it · server's x_ζ · final). \
            What the workers sent is kept until all that is written: after an interruption the same command goes on from there.
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var client: HomeOptions
    @OptionGroup var source: ImageOptions

    @Option(name: .long, help: ArgumentHelp("ζ, where the head takes over.", valueName: "timestep"))
    var cut: Int

    @Option(name: .long, help: ArgumentHelp("Samples of each label that this client holds.", valueName: "n"))
    var perLabel = 10

    @Option(name: .long, help: ArgumentHelp("Samples of each label that it does not hold.", valueName: "n"))
    var unseenPerLabel = 0

    @Option(name: .long, help: ArgumentHelp("Steps over the whole chain, workers' and client's.", valueName: "n"))
    var steps = 50

    @Option(name: .long, help: "ddpm, ddim, dpm-solver++, euler, or heun, which asks the networks twice a step.")
    var sampler = SamplerChoice.ddim

    @Option(
        name: .long,
        help: ArgumentHelp("How much of DDPM's noise DDIM adds on the way, 0 to 1.", valueName: "η"))
    var eta = 0.0

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Weight of classifier-free guidance; 0 and 1 are none, others cost twice the time.", valueName: "w")
    )
    var guidance = 1.0

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Embeddings of prompts, `encoder_hidden_states` [P, S, D], where the backbone looks at text: --per-label samples of each. The last is the empty prompt if there is --guidance. Workers see them, the broker does not.",
            valueName: "file"))
    var text: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The same seed draws the same images from the same models and home. Drawn, and said, when left out.",
            valueName: "n"))
    var seed: UInt64?

    @Option(
        name: .long, help: ArgumentHelp("Wait until the backbone has been trained on so many images.", valueName: "n"))
    var waitForImages = 0

    @Option(
        name: .long,
        help: ArgumentHelp(
            "After every so many steps, write what the workers take the samples for into previews/.", valueName: "k"))
    var previewEvery = 0

    @Option(
        name: .long,
        help: ArgumentHelp("The workers leave it if they cannot be through by then.", valueName: "seconds"))
    var within: Double?

    @Option(name: .long, help: ArgumentHelp("Where the pictures go.", valueName: "dir"), completion: .directory)
    var out: String

    @Option(name: .long, help: ArgumentHelp("Threads that one tensor operation may use.", valueName: "n"))
    var threads = 1

    func validate() throws {
        guard (0...100).contains(guidance) else {
            throw ValidationError("--guidance is a weight in 0…100, where 0 and 1 are none: not \(guidance)")
        }
        guard (0...1).contains(eta), eta == 0 || sampler == .ddim else {
            throw ValidationError("--eta is a share of noise in 0…1, of --sampler ddim")
        }
        guard waitForImages >= 0 else { throw ValidationError("--wait-for-images is a number of images, 0 or more") }
        guard perLabel >= 0, unseenPerLabel >= 0, perLabel + unseenPerLabel > 0, steps > 1, threads > 0 else {
            throw ValidationError("Ask for at least one sample, at least two steps and at least one thread")
        }
        guard previewEvery >= 0, within.map({ $0 > 0 && $0 <= 1e9 }) ?? true else {
            throw ValidationError("--preview-every and --within must be above 0")
        }
    }

    func run() async throws {
        let folder = URL(filePath: out)
        // Before hours of work, not after.
        try SampleSet.check(writable: folder)
        let client = try client.open(node)
        defer { client.close() }
        let images = try source.load(client)
        if waitForImages > 0 {
            let bar = ProgressBar("waiting for the backbone: training images")
            try await client.waitForBackbone(images: waitForImages, progress: bar.show)
        }
        let bar = ProgressBar("samples")
        let samples = try await client.sample(
            SampleRequest(
                held: images.labels, perLabel: perLabel, unseenPerLabel: unseenPerLabel, cut: cut, steps: steps,
                sampler: sampler, eta: eta,
                guidance: guidance, seed: seed, previewEvery: previewEvery, within: within,
                text: try text.map { try PromptEmbeddings(contentsOf: URL(filePath: $0)) }, threads: threads),
            progress: bar.show, preview: previewEvery > 0 ? try Previews(in: folder).show : nil
        ) { [cut] samples in
            try samples.write(to: folder)
            try await client.writeGrid(samples, beside: images, cut: cut, to: folder.appending(path: "grid.png"))
        }
        print("\(samples.count) samples in \(out); --seed \(samples.seed) draws them again")
    }
}

extension SamplerChoice: ExpressibleByArgument {}

/// `previews/` in the folder of pictures: one file for each preview that comes.
private struct Previews {
    private let folder: URL

    init(in out: URL) throws {
        folder = out.appending(path: "previews")
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    @Sendable func show(_ preview: SamplePreview) {
        let name = String(format: "step-%04d-sample-%04d.png", preview.step, preview.samples.first ?? 0)
        do { try preview.write(to: folder.appending(path: name)) } catch {
            FileHandle.standardError.write(Data("a preview cannot be written: \(error)\n".utf8))
        }
    }
}
