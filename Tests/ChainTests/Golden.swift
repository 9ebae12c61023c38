import Foundation

/// What `Tests/Goldens/chain.py` wrote.
struct Golden: Decodable {
    struct Step: Decodable {
        let sampler: String, eta: Double, schedule: String, t: Int, s: Int, clip: Bool, prediction: String
        let x: [Double], output: [Double], z: [Double], result: [Double]
    }
    struct Privacy: Decodable { let mu: Double, delta: Double, epsilon: Double }

    let probes: [Int]
    let schedules: [String: [Double]]
    let steps: [Step]
    let privacy: [Privacy]

    static func load() throws -> Golden {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Goldens/chain.json")
        return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: file))
    }
}

func relativeError(_ value: Double, _ truth: Double) -> Double { abs(value - truth) / max(abs(truth), 1e-300) }

/// A small generator whose numbers never change (Steele, Lea & Flood 2014).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
