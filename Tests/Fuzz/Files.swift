import Foundation
import Safetensors
import Topology

func fuzzSafetensors(_ input: [UInt8]) {
    guard let archive = try? SafetensorsArchive(decoding: Data(input)) else { return }
    precondition(archive.entries.reduce(0) { $0 + $1.bytes.count } <= input.count)
    guard let again = try? SafetensorsArchive(decoding: archive.encoded()) else {
        fatalError("an archive that was read can't be read again")
    }
    // Empty tensors may change places.
    precondition(Set(again.entries) == Set(archive.entries) && again.metadata == archive.metadata)
}

/// The first byte picks topology or load plan.
func fuzzYAML(_ input: [UInt8]) {
    guard let kind = input.first else { return }
    let text = String(decoding: input.dropFirst(), as: UTF8.self)
    if kind % 2 == 0 {
        _ = try? Topology(yaml: text, file: "fuzz.yaml")
    } else {
        _ = try? LoadPlan(yaml: text, file: "fuzz.yaml")
    }
}
