import Testing
import Wire

@testable import Exchange

@Suite struct IngestCoreTests {
    private func publication(
        _ number: Int, client: Int = 1, cut: Int = 500, label: Int = 0, isFresh: Bool = false, hash: Int = 0
    ) -> IngestCore.Publication {
        IngestCore.Publication(
            key: IngestCore.Key(client: identifier(client), publication: identifier(number)), hash: identifier(hash),
            cut: cut, label: label, isFresh: isFresh, slot: number)
    }

    @Test func aPublicationIsTrainedOnAsOneHoweverOftenItComes() throws {
        var ingest = IngestCore(timesteps: 1000)
        let first = publication(1, hash: 5)
        #expect(ingest.judge(first.key, hash: first.hash) == .new)
        try ingest.insert(first)
        try ingest.insert(first)
        #expect(ingest.judge(first.key, hash: first.hash) == .duplicate)
        #expect(ingest.judge(first.key, hash: identifier(6)) == .replaced)
        #expect(ingest.available == 1)
        // Another client's publication of the same id is another one.
        #expect(ingest.judge(publication(1, client: 2).key, hash: identifier(6)) == .new)
    }

    @Test(arguments: [0, 1000, 1001, -3]) func cutsOutsideTheChainAreRefused(cut: Int) {
        var ingest = IngestCore(timesteps: 1000)
        #expect(throws: ExchangeError.self) { try ingest.insert(publication(1, cut: cut)) }
        #expect(ingest.available == 0)
    }

    @Test func nothingComesFromAnEmptyIndex() {
        var ingest = IngestCore(timesteps: 1000)
        var random = SplitMix64(seed: 1)
        let draw = ingest.draw(using: &random)
        #expect(draw == nil)
    }

    /// t uniform over 201 … 1000; below 701 only client 1 can help, above both do, half each, though one has nine times the
    /// images.
    @Test func drawsFollowTheStatedLaw() throws {
        var ingest = IngestCore(timesteps: 1000)
        for number in 0..<10 { try ingest.insert(publication(number, client: 1, cut: 200)) }
        for number in 0..<90 { try ingest.insert(publication(number, client: 2, cut: 700)) }
        var random = SplitMix64(seed: 3)
        let draws = 40_000
        var high = [0, 0]
        var images: [Int: Int] = [:]
        var sum = 0
        for _ in 0..<draws {
            guard let draw = ingest.draw(using: &random) else { break }
            #expect(draw.publication.cut < draw.timestep && (201...1000).contains(draw.timestep))
            sum += draw.timestep
            let isFirst = draw.publication.key.client == identifier(1)
            if draw.timestep > 700 { high[isFirst ? 0 : 1] += 1 }
            if isFirst { images[draw.publication.slot, default: 0] += 1 }
        }
        // Standard errors: mean of t 1.2; share of t > 700 0.0025; client's share 0.004; an image's share 0.0019 of .8125.
        #expect(abs(Double(sum) / Double(draws) - 600.5) < 6)
        #expect(abs(Double(high[0] + high[1]) / Double(draws) - 0.375) < 0.0125)
        #expect(abs(Double(high[0]) / Double(high[0] + high[1]) - 0.5) < 0.02)
        #expect(images.count == 10)
        for count in images.values { #expect(abs(Double(count) / Double(draws) - 0.08125) < 0.007) }
    }

    @Test func oneClientsImagesAtTwoCutsAreBothUsedWhereTheyMay() throws {
        var ingest = IngestCore(timesteps: 100)
        try ingest.insert(publication(1, cut: 20))
        try ingest.insert(publication(2, cut: 80))
        var random = SplitMix64(seed: 4)
        var above: Set<Int> = []
        for _ in 0..<2_000 {
            guard let draw = ingest.draw(using: &random) else { break }
            if draw.timestep <= 80 { #expect(draw.publication.slot == 1) } else { above.insert(draw.publication.slot) }
        }
        #expect(above == [1, 2])
    }

    @Test func freshPublicationsAreUsedOnce() throws {
        var ingest = IngestCore(timesteps: 100)
        for number in 0..<50 {
            try ingest.insert(publication(number, client: number % 3, cut: 10 + number, isFresh: true))
        }
        var random = SplitMix64(seed: 5)
        var seen: Set<Int> = []
        while let draw = ingest.draw(using: &random) {
            #expect(seen.insert(draw.publication.slot).inserted)
            #expect(draw.publication.cut < draw.timestep)
        }
        #expect(seen.count == 50)
        // Known still, so that the same delivery again is no second use.
        #expect(ingest.judge(publication(7, client: 1).key, hash: identifier(0)) == .duplicate)
    }

    @Test func whatWasUsedBeforeARestartIsNotUsedAgain() throws {
        var ingest = IngestCore(timesteps: 100)
        try ingest.insert(publication(1, cut: 10, isFresh: true), isUsed: true)
        try ingest.insert(publication(2, cut: 50, label: 3))
        var random = SplitMix64(seed: 6)
        for _ in 0..<100 {
            let draw = ingest.draw(using: &random)
            #expect(draw?.publication.slot == 2)
        }
        #expect(ingest.coverage == IngestCore.Coverage(lowestCut: 10, labels: [0, 3], publications: 2))
    }

    @Test func aBatchIsSpreadOverTheChain() throws {
        var ingest = IngestCore(timesteps: 1000)
        try ingest.insert(publication(1, cut: 500))
        var random = SplitMix64(seed: 7)
        for _ in 0..<100 {
            let timesteps = ingest.batch(10, using: &random).map(\.timestep)
            #expect(timesteps.map { ($0 - 501) / 50 } == Array(0..<10))
        }
    }
}
