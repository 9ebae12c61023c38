import ArgumentParser
import Chain
import Diffusion
import Foundation
import Safetensors
import Torch

/// `collafuse model run`
struct ModelRun: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Call a network once: tensors in, tensor out.",
        discussion: """
            For comparing with Python. The input is a safetensors file with the arguments of diffusers' forward():

              sample                  [N, C, H, W]
              timestep                [N], or one for all; counted as diffusers does, from 0
              class_labels            [N], where the network has classes
              encoder_hidden_states   [N, S, D], where it looks at text: what a text encoder made of the prompts

            The output is a safetensors file with `sample` [N, C, H, W] in float32.

              collafuse model run --model DIR --input in.safetensors --output out.safetensors

              model = UNet2DModel.from_pretrained(DIR).eval()                    # the same in Python
              model(**{k: v for k, v in load_file("in.safetensors").items()}).sample
            """)

    @OptionGroup var model: ModelOption

    @Option(
        name: .long, help: ArgumentHelp("What it is called with.", valueName: "file"),
        completion: .file(extensions: ["safetensors"]))
    var input: String

    @Option(
        name: .long, help: ArgumentHelp("Where `sample` goes.", valueName: "file"),
        completion: .file(extensions: ["safetensors"]))
    var output: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "float32, bfloat16, float16, or `stored` for what the file holds: what it computes in.", valueName: "type"))
    var dtype = WeightType.float32

    @Option(name: .long, help: ArgumentHelp("`cpu`, `cuda` or `cuda:1`.", valueName: "device"))
    var device = DeviceName.cpu

    @Option(name: .long, help: ArgumentHelp("Threads that one tensor operation may use.", valueName: "n"))
    var threads = 1

    func validate() throws {
        guard (1...1024).contains(threads) else { throw ValidationError("--threads lies in 1…1024") }
        try device.check()
    }

    func run() throws {
        Runtime.threads = threads
        try SafetensorsArchive.check(writable: URL(filePath: output))
        let network = try UNet(contentsOf: model.url, dtype: dtype.dtype, device: device.device)
        let inputs = try NetworkInputs(
            SafetensorsArchive(contentsOf: URL(filePath: input)), for: network,
            trainedOn: try? ModelDirectory.scheduler(of: model.url)?.schedule.timesteps)
        for note in inputs.notes { FileHandle.standardError.write(Data("Note: \(note)\n".utf8)) }
        var archive = SafetensorsArchive(metadata: ["format": "pt"])
        try archive.append(inputs.output(of: network).entry(named: "sample"))
        try archive.write(to: URL(filePath: output))
    }
}
