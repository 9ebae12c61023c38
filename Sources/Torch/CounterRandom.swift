import Foundation

/// Random numbers that depend on what they are for and on nothing else: not on what was drawn before, not on the batch,
/// not on the process.
///
///     let random = CounterRandom(seed: job.seed)
///     let noise = random.normals(192, sample: 7, timestep: 420, purpose: .samplerNoise)
///
/// One Philox4x32-10 per seed; the counter says what the numbers are for:
///
///     key       [ seed low 32 | seed high 32 ]
///     counter   [ block | timestep | sample | purpose ]      32 bits each
///
/// Block b gives the numbers 4b … 4b + 3. So two draws share numbers only if seed, sample, timestep and purpose all
/// agree.
///
/// Not for secrets: whoever knows some of the output can find the seed by search. Masks come from a cryptographic
/// generator.
package struct CounterRandom: Hashable, Sendable {
    /// What numbers are drawn for. The raw values are part of what a job's seed means: never reuse one.
    package struct Purpose: RawRepresentable, Hashable, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        /// x_T, where a sample begins.
        package static let start = Purpose(rawValue: 1)
        /// The noise a sampler adds on its way to a timestep.
        package static let samplerNoise = Purpose(rawValue: 2)
        /// First values of a network's parameters; the sample is the parameter's number.
        package static let parameters = Purpose(rawValue: 3)
        /// Which examples, labels and timesteps a training step takes.
        package static let training = Purpose(rawValue: 4)
        /// The noise u or ε of a training step.
        package static let trainingNoise = Purpose(rawValue: 5)
        /// Splits, shuffles and attacks of an evaluation.
        package static let evaluation = Purpose(rawValue: 6)
    }

    package let seed: UInt64

    package init(seed: UInt64) { self.seed = seed }

    private var philox: Philox {
        Philox(key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    }

    /// Uniform in (0, 1), never 0 and never 1: the middle of one of 2²³ equal steps, each an exact Float.
    package func uniforms(_ count: Int, sample: UInt32 = 0, timestep: UInt32 = 0, purpose: Purpose) -> [Float] {
        fill(count, sample, timestep, purpose) { words, out in
            out = SIMD4(unit(words.0), unit(words.1), unit(words.2), unit(words.3))
        }
    }

    /// Standard normals by Box and Muller: from two words, √(−2 ln u₁)·cos 2πu₂ and √(−2 ln u₁)·sin 2πu₂, in Double,
    /// rounded once. With u₁ ≥ 2⁻³³ none exceeds 6.8 in size.
    package func normals(_ count: Int, sample: UInt32 = 0, timestep: UInt32 = 0, purpose: Purpose) -> [Float] {
        fill(count, sample, timestep, purpose) { words, out in
            let (a, b) = boxMuller(words.0, words.1)
            let (c, d) = boxMuller(words.2, words.3)
            out = SIMD4(a, b, c, d)
        }
    }

    /// A sequence of words for the standard library's `random(in:using:)` and `shuffle(using:)`.
    package func sequence(sample: UInt32 = 0, timestep: UInt32 = 0, purpose: Purpose) -> Words {
        Words(philox: philox, counter: (0, timestep, sample, purpose.rawValue))
    }

    /// See `sequence(sample:timestep:purpose:)`.
    package struct Words: RandomNumberGenerator {
        let philox: Philox
        var counter: Philox.Counter
        private var spare: UInt64?

        init(philox: Philox, counter: Philox.Counter) {
            self.philox = philox
            self.counter = counter
        }

        package mutating func next() -> UInt64 {
            if let word = spare {
                spare = nil
                return word
            }
            let words = philox(counter)
            counter.0 += 1
            spare = UInt64(words.3) << 32 | UInt64(words.2)
            return UInt64(words.1) << 32 | UInt64(words.0)
        }
    }

    private func fill(
        _ count: Int, _ sample: UInt32, _ timestep: UInt32, _ purpose: Purpose,
        _ convert: (Philox.Counter, inout SIMD4<Float>) -> Void
    ) -> [Float] {
        precondition(count >= 0 && count <= 4 << 32, "a draw has at most 2³⁴ numbers")
        let philox = philox
        return [Float](unsafeUninitializedCapacity: count) { buffer, filled in
            var four = SIMD4<Float>()
            var position = 0
            var block: UInt32 = 0
            while position < count {
                convert(philox((block, timestep, sample, purpose.rawValue)), &four)
                for lane in 0..<min(4, count - position) { buffer[position + lane] = four[lane] }
                position += 4
                block &+= 1
            }
            filled = count
        }
    }
}

/// The word's upper 23 bits, and half a step.
@inline(__always)
private func unit(_ word: UInt32) -> Float { (Float(word >> 9) + 0.5) * 0x1p-23 }

@inline(__always)
private func boxMuller(_ first: UInt32, _ second: UInt32) -> (Float, Float) {
    let u1 = (Double(first) + 0.5) * 0x1p-32
    let u2 = (Double(second) + 0.5) * 0x1p-32
    let radius = (-2 * log(u1)).squareRoot()
    let angle = 2 * Double.pi * u2
    return (Float(radius * cos(angle)), Float(radius * sin(angle)))
}
