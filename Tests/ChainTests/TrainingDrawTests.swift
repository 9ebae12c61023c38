import Chain
import Testing

struct TrainingDrawTests {
    @Test func onlyCleanerImagesTeachATimestep() throws {
        let draw = try TrainingDraw(clients: [[500: 10], [200: 5, 800: 50], [:], [500: 1000]], timesteps: 1000)
        #expect(draw.lowestCut == 200)
        var generator = SplitMix(state: 3)
        var late: [Int: Int] = [:]
        for _ in 0..<20_000 {
            let pick = draw.next(using: &generator)
            #expect(pick.cut < pick.timestep && (201...1000).contains(pick.timestep))
            if pick.timestep <= 500 { #expect(pick.client == 1 && pick.cut == 200 && pick.image < 5) }
            if pick.timestep > 800 { late[pick.client, default: 0] += 1 }
        }
        // Above every cut the three clients weigh the same, although one has published a hundred times more.
        let total = Double(late.values.reduce(0, +))
        #expect(late.keys.sorted() == [0, 1, 3])
        for count in late.values { #expect(abs(Double(count) / total - 1 / 3.0) < 0.03) }
    }

    @Test func aBatchIsSpreadOverTheChain() throws {
        let draw = try TrainingDraw(clients: [[500: 10]], timesteps: 1000)
        var generator = SplitMix(state: 3)
        let batch = draw.batch(50, using: &generator)
        for (part, pick) in batch.enumerated() { #expect((501 + part * 10...510 + part * 10).contains(pick.timestep)) }
    }

    @Test func refusesEmptyShelvesAndForeignCuts() {
        #expect { try TrainingDraw(clients: [[:], [500: 0]], timesteps: 1000) } throws: {
            ($0 as? ChainError)?.code == .nothingToDraw
        }
        #expect { try TrainingDraw(clients: [[1000: 3]], timesteps: 1000) } throws: {
            ($0 as? ChainError)?.code == .cutOutOfRange
        }
    }
}
