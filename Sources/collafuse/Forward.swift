import ArgumentParser
import Foundation

/// A subcommand of `collafuse-compute`, the binary beside this one: it takes this process over, arguments, help and all.
protocol Forward: ParsableCommand {
    /// The words that name it there.
    static var path: [String] { get }
    var arguments: [String] { get }
}

extension Forward {
    static var path: [String] { [configuration.commandName ?? ""] }

    func run() throws { try forward() }

    /// Returns only by throwing.
    func forward() throws {
        let compute = try ComputeBinary.url()
        let words = [compute.path] + Self.path + arguments
        var pointers = words.map { strdup($0) } + [nil]
        execv(compute.path, &pointers)
        // Only reached when the binary could not be started.
        throw ValidationError("\(compute.path) cannot be started: \(String(cString: strerror(errno)))")
    }
}

/// Where the half that links libtorch is.
enum ComputeBinary {
    static var own: URL { URL(filePath: "/proc/self/exe").resolvingSymlinksInPath() }

    /// - Throws: a `ValidationError` when it does not lie beside this binary.
    static func url() throws -> URL {
        let compute = own.deletingLastPathComponent().appending(path: "collafuse-compute")
        guard FileManager.default.isExecutableFile(atPath: compute.path) else {
            throw ValidationError("\(compute.path) is missing: build it with `make build`")
        }
        return compute
    }
}

private func configuration(_ name: String, _ abstract: String) -> CommandConfiguration {
    // No help names: `--help` belongs to the other binary.
    CommandConfiguration(commandName: name, abstract: abstract, helpNames: [])
}

/// A worker that computes nothing runs here: it links no libtorch.
struct WorkerForward: AsyncParsableCommand, Forward {
    static let configuration = collafuse.configuration("worker", "Denoise for clients, or train the backbone.")
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() async throws {
        guard StubName.isAsked(in: arguments) else { return try forward() }
        let stub: StubWork
        do { stub = try StubWork.parse(arguments) } catch { StubWork.exit(withError: error) }
        try await stub.run()
    }
}

struct ClientForward: Forward {
    static let configuration = collafuse.configuration("client", "Publish masked images, train the head, sample.")
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}

struct ModelForward: Forward {
    static let configuration = collafuse.configuration("model", "Look at models and convert them.")
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}

struct SampleForward: Forward {
    static let configuration = collafuse.configuration("sample", "Sample a model on this machine.")
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}

struct ReportForward: Forward {
    static let configuration = collafuse.configuration("report", "Judge a run and draw its pictures and its page.")
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}

struct BaselineForward: Forward {
    static let configuration = collafuse.configuration("baseline", "Train each client alone, to compare a run with.")
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}

struct DenoiseBenchForward: Forward {
    static let configuration = collafuse.configuration(
        "denoise", "Measure denoising and training against PyTorch and diffusers on this machine.")
    static let path = ["bench", "denoise"]
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}

struct DeviceCheckForward: Forward {
    static let configuration = collafuse.configuration(
        "device", "Check that a device computes what the CPU computes, and measure it.")
    static let path = ["bench", "device"]
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}
