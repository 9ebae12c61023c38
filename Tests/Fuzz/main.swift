// libFuzzer over one decoder: collafuse-fuzz envelope CORPUS -runs=1000000. What follows the name is libFuzzer's.
import CFuzzer
import Foundation

if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "seeds" {
    try Seeds.write(to: URL(filePath: CommandLine.arguments[2]))
    exit(0)
}

let names = Decoder.allCases.map(\.rawValue).joined(separator: ", ")
guard CommandLine.arguments.count > 1, let decoder = Decoder(rawValue: CommandLine.arguments[1]) else {
    FileHandle.standardError.write(Data("name what to fuzz: \(names); or: seeds FOLDER\n".utf8))
    exit(2)
}

/// A C function carries no context, so what it is to call lies here.
nonisolated(unsafe) let decode = try decoder.harness()

var arguments = ([CommandLine.arguments[0]] + CommandLine.arguments.dropFirst(2)).map { strdup($0) } + [nil]
exit(
    arguments.withUnsafeMutableBufferPointer { all in
        var count = CInt(all.count - 1)
        var start = all.baseAddress
        return LLVMFuzzerRunDriver(&count, &start) { bytes, count in
            decode(Array(UnsafeBufferPointer(start: bytes, count: count)))
            return 0
        }
    })
