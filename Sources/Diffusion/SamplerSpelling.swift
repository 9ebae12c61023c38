package import Chain

extension Sampler.Name {
    /// A sampler as people write it: capitals do not matter, and DPM-Solver++ 2M goes by several names.
    ///
    /// - Throws: `badSampler`, with the name that was most likely meant.
    package init(spelled word: String) throws(ChainError) {
        let plain = word.lowercased().replacing("-", with: "").replacing("_", with: "").replacing(" ", with: "")
        switch plain {
        case "dpmsolver++", "dpmsolver++2m", "dpm++", "dpm++2m", "dpmpp", "dpmpp2m", "dpmsolver": self = .dpmSolver
        default:
            guard let name = Self(rawValue: plain) else {
                let known = Self.allCases.map(\.rawValue)
                let meant = closest(to: word.lowercased(), among: Set(known)).map { "; did you mean \($0)?" } ?? ""
                throw ChainError(
                    .badSampler, "'\(word)' is no sampler: there are \(known.joined(separator: ", "))\(meant)")
            }
            self = name
        }
    }
}

extension Threshold {
    /// `none`, `clip`, `clip:1.5`, or `dynamic:0.995:2`.
    ///
    /// - Throws: `badSampler`
    package init(spelled word: String) throws(ChainError) {
        let parts = word.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.dropFirst().compactMap { Double($0) }
        switch (parts.first, parts.count - 1, numbers.count) {
        case ("none", 0, 0): self = .none
        case ("clip", 0, 0): self = .clip(1)
        case ("clip", 1, 1): self = .clip(numbers[0])
        case ("dynamic", 2, 2): self = .dynamic(quantile: numbers[0], maximum: numbers[1])
        default:
            throw ChainError(
                .badSampler, "'\(word)' is no threshold: write none, clip, clip:BOUND or dynamic:QUANTILE:MAXIMUM")
        }
        try check()
    }
}
