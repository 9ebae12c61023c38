// libFuzzer over one decoder: collafuse-fuzz envelope CORPUS -runs=1000000. What follows the name is libFuzzer's.
import CFuzzer
import Foundation

if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "seeds" {
    try Seeds.write(to: URL(filePath: CommandLine.arguments[2]))
    exit(0)
}

let names = Decoder.allCases.map(\.rawValue).joined(separator: ", ")
// libFuzzer starts itself again to merge, and leaves the name out: then it is in the environment.
let variable = "COLLAFUSE_FUZZ_DECODER"
let inherited = ProcessInfo.processInfo.environment[variable]
guard let decoder = (inherited ?? CommandLine.arguments.dropFirst().first).flatMap(Decoder.init(rawValue:)) else {
    FileHandle.standardError.write(Data("name what to fuzz: \(names); or: seeds FOLDER\n".utf8))
    exit(2)
}

/// A C function carries no context, so what it is to call lies here.
nonisolated(unsafe) let decode = try decoder.harness()

setenv(variable, decoder.rawValue, 1)
let passed = CommandLine.arguments.dropFirst(inherited == nil ? 2 : 1)
var arguments = ([CommandLine.arguments[0]] + passed).map { strdup($0) } + [nil]
exit(
    arguments.withUnsafeMutableBufferPointer { all in
        var count = CInt(all.count - 1)
        var start = all.baseAddress
        return LLVMFuzzerRunDriver(&count, &start) { bytes, count in
            decode(Array(UnsafeBufferPointer(start: bytes, count: count)))
            return 0
        }
    })
