import Chain
import Testing
import Wire

@Suite struct SamplerKindTests {
    @Test func everySamplerHasItsNumberOnTheWire() {
        // payload.proto
        let numbers: [Sampler.Name: Int] = [.ddpm: 1, .ddim: 2, .dpmSolver: 3, .euler: 4, .heun: 5]
        #expect(Set(numbers.keys) == Set(Sampler.Name.allCases))
        for (name, number) in numbers {
            #expect(WireSamplerKind(name).rawValue == number)
            #expect(WireSamplerKind(rawValue: number)?.name == name)
        }
        #expect(WireSamplerKind.unspecified.name == nil && WireSamplerKind(rawValue: 99)?.name == nil)
    }
}
