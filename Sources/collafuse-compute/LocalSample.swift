import ArgumentParser
import Chain
import CollaFuseClient
import Diffusion
import Foundation
import Safetensors
import Torch

/// `collafuse sample`
struct LocalSample: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample",
        abstract: "Sample a model on this machine, from noise of yours or from a seed.",
        discussion: """
            For looking at a model, and for comparing with Python. Every setting that is not given is what diffusers' scheduler of \
            that name has when it is made with from_pretrained(DIR); only betas that scheduler_config.json leaves out are those of the \
            class that it names. Timesteps are ours, one more than diffusers', from T (noise) to 0 \
            (image).

              collafuse sample --local --model DIR --sampler ddim --steps 50 --noise noise.safetensors --out out.safetensors

            The noise is a safetensors file with

              x_T     [N, C, H, W]            where the samples begin
              noise   [steps, N, C, H, W]     what ddpm, and ddim with --eta, add in each step

            or with one tensor [1 + steps, N, C, H, W] that holds both. In float64 all is computed in float64. The output has `sample` \
            [N, C, H, W]. Euler and Heun take and give x itself, which is diffusers' sample divided by √(σ² + 1).

            With linspace, which is Euler's, Heun's and DPM-Solver++'s unless scheduler_config.json says otherwise, diffusers asks the \
            network at fractions of timesteps (--steps 50: 999, 978.61, …) and interpolates σ there; here every timestep is rounded to a \
            whole one, so the numbers differ a little from step to step. DPM-Solver++ is rounded by diffusers too. For the same \
            numbers take --spacing trailing or leading on both sides.

              s = DDIMScheduler.from_pretrained(DIR); s.set_timesteps(50)          # the same in Python
              for t in s.timesteps: x = s.step(model(x, t).sample, t, x).prev_sample

            A step on its own, from diffusers' timestep 980 to 960:  --from 981 --to 961 --steps 1
            """)

    @Flag(name: .long, help: "On this machine. Through the workers: `collafuse client sample`.")
    var local = false

    @Option(
        name: .long, help: ArgumentHelp("The folder with config.json and the weights.", valueName: "dir"),
        completion: .directory)
    var model: String

    @Option(name: .long, help: "ddpm, ddim, dpm-solver++ (2M), euler or heun.")
    var sampler = "ddim"

    @Option(
        name: .long, help: ArgumentHelp("Steps from the start to the end. Heun asks twice in each.", valueName: "n"))
    var steps = 50

    @Option(name: .long, help: ArgumentHelp("Where samples begin, and what is added on the way.", valueName: "file"))
    var noise: String?

    @Option(name: .long, help: ArgumentHelp("Draws the noise, where no file is given.", valueName: "n"))
    var seed: UInt64 = 0

    @Option(name: .long, help: ArgumentHelp("Samples to draw, where no file is given.", valueName: "n"))
    var count = 1

    @Option(name: .long, help: ArgumentHelp("Where `sample` goes.", valueName: "file"))
    var out: String

    @Option(name: .long, help: ArgumentHelp("ddim: share of ddpm's noise, 0…1.", valueName: "η"))
    var eta: Double?

    @Flag(name: .long, help: "ddim: the noise that is left is that of the thresholded x̂_0, as in diffusers' step().")
    var useClippedModelOutput = false

    @Option(name: .long, help: "leading, trailing or linspace.")
    var spacing: String?

    @Option(name: .long, help: ArgumentHelp("With leading, added to every timestep.", valueName: "n"))
    var stepsOffset: Int?

    @Option(name: .long, help: ArgumentHelp("Where the noise file's x stands, 1…T.", valueName: "t"))
    var from: Int?

    @Option(name: .long, help: ArgumentHelp("Where to stop: 0, or a cut.", valueName: "t"))
    var to = 0

    @Option(
        name: .long, help: ArgumentHelp("Classes or prompts: one for all samples, or one for each.", valueName: "3,7-9")
    )
    var labels: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Embeddings of prompts, `encoder_hidden_states` [P, S, D], for a UNet2DConditionModel; the last is the empty prompt if there is --guidance.",
            valueName: "file"))
    var text: String?

    @Option(name: .long, help: ArgumentHelp("Weight of classifier-free guidance; 0 and 1 are none.", valueName: "w"))
    var guidance = 1.0

    @Option(
        name: .long,
        help: ArgumentHelp(
            "What is done to x̂_0: none, clip, clip:BOUND, or dynamic:QUANTILE:MAXIMUM.", valueName: "how"))
    var threshold: String?

    @Option(name: .long, help: "What the network predicts: epsilon, v_prediction or sample.")
    var prediction: String?

    @Option(name: .long, help: ArgumentHelp("`cpu`, `cuda` or `cuda:1`.", valueName: "device"))
    var device = DeviceName.cpu

    @Option(name: .long, help: ArgumentHelp("Threads that one tensor operation may use.", valueName: "n"))
    var threads = 1

    func validate() throws {
        guard local else {
            throw ValidationError(
                "This samples on this machine: add --local. Through the workers: collafuse client sample")
        }
        guard (1...1024).contains(threads) else { throw ValidationError("--threads lies in 1…1024") }
        try device.check()
        guard (1...4096).contains(count) else { throw ValidationError("--count lies in 1…4096") }
        try checkThatOptionsAgree()
    }

    /// What would be without effect is refused: who gave it meant something by it.
    private func checkThatOptionsAgree() throws {
        guard let name = try? Sampler.Name(spelled: sampler) else { return }
        if name != .ddim, eta != nil || useClippedModelOutput {
            throw ValidationError(
                "\(eta != nil ? "--eta" : "--use-clipped-model-output") is ddim's, and \(name.rawValue) has none: leave it out, or take --sampler ddim"
            )
        }
        if let spacing { try checkOffset(spacing) }
    }

    private func checkOffset(_ spacing: String) throws {
        guard stepsOffset == nil || spacing == TimestepSpacing.leading.rawValue else {
            throw ValidationError(
                "--steps-offset moves the timesteps of leading, and the spacing is \(spacing): leave it out, or take --spacing leading"
            )
        }
    }

    func run() throws {
        Runtime.threads = threads
        try SafetensorsArchive.check(writable: URL(filePath: out))
        let settings = try settings()
        let given = try noise.map { try GivenNoise(SafetensorsArchive(contentsOf: URL(filePath: $0))) }
        let model = try ModelDirectory(
            contentsOf: URL(filePath: model), dtype: given?.start.dtype == .float64 ? .float64 : .float32,
            device: device.device)
        try checkOffset((settings.spacing ?? model.scheduler.sampling.spacing(for: settings.sampler)).rawValue)
        let sampling = try LocalSampling(model, settings)
        let bar = ProgressBar("samples, per cent")
        func show(_ share: Double) { bar.show(ClientProgress(done: Int(share * 100), total: 100)) }
        let samples =
            if let given {
                try sampling.samples(given, progress: show)
            } else {
                try sampling.samples(seed: seed, count: count, progress: show)
            }
        var archive = SafetensorsArchive(metadata: ["format": "pt"])
        try archive.append(samples.entry(named: "sample"))
        try archive.write(to: URL(filePath: out))
    }

    private func settings() throws -> LocalSampling.Settings {
        var settings = LocalSampling.Settings()
        settings.sampler = try Sampler.Name(spelled: sampler)
        settings.steps = steps
        settings.eta = eta ?? 0
        settings.usesClippedOutput = useClippedModelOutput
        settings.spacing = try spacing.map { try choice($0, "--spacing") }
        settings.stepsOffset = stepsOffset
        settings.threshold = try threshold.map { try Threshold(spelled: $0) }
        settings.prediction = try prediction.map { try choice($0, "--prediction") }
        settings.from = from
        settings.to = to
        settings.guidance = guidance
        settings.labels = try labelNumbers(labels)
        settings.prompts = try text.map {
            try Tensor(SafetensorsArchive(contentsOf: URL(filePath: $0)).entry("encoder_hidden_states"))
        }
        return settings
    }

    private func choice<Value: RawRepresentable<String> & CaseIterable>(_ word: String, _ option: String) throws
        -> Value
    {
        guard let value = Value(rawValue: word) else {
            let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("\(option) is one of \(known), not `\(word)`")
        }
        return value
    }
}
