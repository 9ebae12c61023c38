import Foundation
import Safetensors
import Testing

@testable import Torch

@Suite struct CounterRandomTests {
    /// The known answers published with Random123 (`kat_vectors`, philox4x32 with 10 rounds).
    @Test(
        arguments: [
            ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff], [0xffff_ffff, 0xffff_ffff],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
            ),
        ] as [([UInt32], [UInt32], [UInt32])])
    func philoxGivesTheKnownAnswers(_ counter: [UInt32], _ key: [UInt32], _ answer: [UInt32]) {
        let words = Philox(key: (key[0], key[1]))((counter[0], counter[1], counter[2], counter[3]))
        #expect([words.0, words.1, words.2, words.3] == answer)
    }

    @Test func drawsAgreeWithASecondImplementation() throws {
        let file = try golden("torch_normals")
        let random = CounterRandom(seed: 0x0123_4567_89AB_CDEF)
        let normals = random.normals(32, sample: 7, timestep: 420, purpose: .samplerNoise)
        #expect(try difference(normals.map(Double.init), file.doubles("normals")) < 1e-6)
        let uniforms = random.uniforms(32, sample: 7, timestep: 420, purpose: .samplerNoise)
        #expect(try difference(uniforms.map(Double.init), file.doubles("uniforms")) == 0)
    }

    @Test func aDrawDependsOnWhatItIsForAlone() {
        let random = CounterRandom(seed: 1)
        let draw = random.normals(10, sample: 2, timestep: 3, purpose: .start)
        #expect(random.normals(7, sample: 2, timestep: 3, purpose: .start) == Array(draw.prefix(7)))
        #expect(random.normals(10, sample: 3, timestep: 3, purpose: .start) != draw)
        #expect(random.normals(10, sample: 2, timestep: 4, purpose: .start) != draw)
        #expect(random.normals(10, sample: 2, timestep: 3, purpose: .samplerNoise) != draw)
        #expect(CounterRandom(seed: 1 << 32).normals(10, sample: 2, timestep: 3, purpose: .start) != draw)
    }

    @Test func normalsAreStandardNormals() {
        let count = 100_000
        let draws = CounterRandom(seed: 9).normals(count, purpose: .trainingNoise).map(Double.init).sorted()
        let mean = draws.reduce(0, +) / Double(count)
        let variance = draws.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
        #expect(abs(mean) < 4 / Double(count).squareRoot())
        #expect(abs(variance - 1) < 4 * (2 / Double(count)).squareRoot())
        // Kolmogorov–Smirnov: the largest distance between the two distribution functions; 1.95/√n has probability
        // .001.
        let distance = draws.enumerated().reduce(0) { worst, next in
            let expected = 0.5 * erfc(-next.element / 2.0.squareRoot())
            return max(worst, abs(expected - (Double(next.offset) + 0.5) / Double(count)))
        }
        #expect(distance < 1.95 / Double(count).squareRoot())
    }

    @Test func uniformsStayInside() {
        let draws = CounterRandom(seed: 4).uniforms(10_001, purpose: .training)
        #expect(draws.count == 10_001)
        #expect(draws.allSatisfy { $0 > 0 && $0 < 1 })
        #expect(abs(draws.reduce(0, +) / 10_001 - 0.5) < 0.012)
    }

    @Test func wordsServeTheStandardLibrary() {
        var words = CounterRandom(seed: 5).sequence(sample: 1, purpose: .training)
        var again = CounterRandom(seed: 5).sequence(sample: 1, purpose: .training)
        let order = Array(0..<100).shuffled(using: &words)
        #expect(order == Array(0..<100).shuffled(using: &again))
        #expect(order.sorted() == Array(0..<100) && order != Array(0..<100))
    }
}
