/// Which masked image the backbone trains on next, and at which timestep.
///
/// Only clients with ζ < t can teach the backbone anything about t, so t is drawn first, then a client among those that can,
/// then one of its images at such a cut: all clients weigh the same at each t, however many images each has published.
///
///     let draw = try TrainingDraw(clients: [[500: 1200], [200: 80, 500: 80]], timesteps: 1000)
///     let pick = draw.next(using: &generator)     // t, client, cut, index among that client's images of that cut
package struct TrainingDraw: Sendable {
    package struct Pick: Hashable, Sendable {
        /// t, above `cut`
        package let timestep: Int
        /// Position in `clients`.
        package let client: Int
        package let cut: Int
        /// Which of the client's images at that cut.
        package let image: Int
    }

    private struct Shelf { let cut: Int, count: Int }

    /// Each client's cuts and how many images it has at each, by rising cut.
    private let shelves: [[Shelf]]
    /// The lowest cut of all: the backbone's coverage.
    package let lowestCut: Int
    private let timesteps: Int

    /// - Parameter clients: for each client, its number of images by cut.
    /// - Throws: `nothingToDraw` when no client has an image, `cutOutOfRange` for a cut that is not in 1…T−1.
    package init(clients: [[Int: Int]], timesteps: Int) throws(ChainError) {
        var shelves: [[Shelf]] = []
        for client in clients {
            shelves.append(
                client.filter { $0.value > 0 }.map { Shelf(cut: $0.key, count: $0.value) }.sorted { $0.cut < $1.cut })
        }
        guard let lowest = shelves.compactMap(\.first?.cut).min(), let highest = shelves.compactMap(\.last?.cut).max()
        else {
            throw ChainError(.nothingToDraw, "there is no masked image to train on yet")
        }
        guard lowest >= 1, highest < timesteps else {
            throw ChainError(.cutOutOfRange, "masked images have cuts in 1…\(timesteps - 1)")
        }
        self.shelves = shelves
        self.lowestCut = lowest
        self.timesteps = timesteps
    }

    package func next(using generator: inout some RandomNumberGenerator) -> Pick {
        pick(at: Int.random(in: lowestCut + 1...timesteps, using: &generator), using: &generator)
    }

    /// `count` picks whose timesteps are spread evenly over the chain: one in each of `count` equal parts.
    package func batch(_ count: Int, using generator: inout some RandomNumberGenerator) -> [Pick] {
        let span = Double(timesteps - lowestCut)
        return (0..<count).map { part in
            let position = (Double(part) + Double.random(in: 0..<1, using: &generator)) / Double(count)
            return pick(at: min(timesteps, lowestCut + 1 + Int(position * span)), using: &generator)
        }
    }

    private func pick(at timestep: Int, using generator: inout some RandomNumberGenerator) -> Pick {
        let eligible = shelves.indices.filter { shelves[$0].first.map { $0.cut < timestep } ?? false }
        // Not empty: the client with the lowest cut is always among them.
        let client = eligible[Int.random(in: 0..<eligible.count, using: &generator)]
        let open = shelves[client].prefix { $0.cut < timestep }
        var image = Int.random(in: 0..<open.reduce(0) { $0 + $1.count }, using: &generator)
        for shelf in open {
            if image < shelf.count { return Pick(timestep: timestep, client: client, cut: shelf.cut, image: image) }
            image -= shelf.count
        }
        preconditionFailure("the images were counted above")
    }
}
