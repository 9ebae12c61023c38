package import Wire

/// The trainer's index: which publications there are, and which image is trained on next, at which timestep.
///
/// It holds no tensor. The store keeps the values under the `slot` that `insert` was given; after a restart the index is built
/// again by inserting all that is stored.
///
/// Sampling (docs/maths.md): t first, uniform over (lowest cut) + 1 … T; then a client, uniform among those that have an
/// image with a cut below t; then one of those images, uniform. So every client counts the same at every t it can help with,
/// however many images it has. Costs O(log clients + cuts of the client) a draw.
package struct IngestCore: Sendable {
    package struct Key: Hashable, Sendable {
        package let client: ClientID
        package let publication: PublicationID

        package init(client: ClientID, publication: PublicationID) {
            self.client = client
            self.publication = publication
        }
    }

    package struct Publication: Hashable, Sendable {
        package let key: Key
        /// Over the publication's values, label and cut.
        package let hash: Digest
        package let cut: Int
        package let label: Int
        /// Used once.
        package let isFresh: Bool
        /// Where the store keeps it.
        package let slot: Int

        package init(key: Key, hash: Digest, cut: Int, label: Int, isFresh: Bool, slot: Int) {
            self.key = key
            self.hash = hash
            self.cut = cut
            self.label = label
            self.isFresh = isFresh
            self.slot = slot
        }
    }

    package enum Verdict: Hashable, Sendable {
        /// Store it, then `insert` it.
        case new
        /// Stored already: the receipt can be given again.
        case duplicate
        /// This id stands for other values: the job fails with REPLACED.
        case replaced
    }

    package struct Draw: Hashable, Sendable {
        package let timestep: Int
        package let publication: Publication
    }

    /// What was taken in, drawn or not. A backbone may claim only what was drawn.
    package struct Coverage: Hashable, Sendable {
        /// nil: nothing yet.
        package var lowestCut: Int?
        package var labels: Set<Int> = []
        package var publications = 0
    }

    private struct Client: Sendable {
        let id: ClientID
        /// Images to draw from, by rising cut.
        var shelves: [Shelf] = []

        var lowestCut: Int { shelves.first?.cut ?? Int.max }
    }

    private struct Shelf: Sendable {
        let cut: Int
        var publications: [Publication] = []
    }

    /// T
    package let timesteps: Int
    package private(set) var coverage = Coverage()
    private var hashes: [Key: Digest] = [:]
    private var clients: [Client] = []
    private var places: [ClientID: Int] = [:]
    /// Places of the clients that have images to draw from, by rising lowest cut.
    private var order: [Int] = []

    package init(timesteps: Int) {
        self.timesteps = timesteps
    }

    /// Images that can be drawn.
    package var available: Int { clients.reduce(0) { $0 + $1.shelves.reduce(0) { $0 + $1.publications.count } } }

    package func judge(_ key: Key, hash: Digest) -> Verdict {
        guard let known = hashes[key] else { return .new }
        return known == hash ? .duplicate : .replaced
    }

    /// - Parameter isUsed: a fresh publication that was drawn before a restart: known, and not drawn again.
    /// - Throws: `badCut` outside 1 … T − 1. A key that is known already changes nothing.
    package mutating func insert(_ publication: Publication, isUsed: Bool = false) throws(ExchangeError) {
        guard (1..<timesteps).contains(publication.cut) else {
            throw ExchangeError(.badCut, "a cut lies in 1 … \(timesteps - 1), not at \(publication.cut)")
        }
        guard hashes[publication.key] == nil else { return }
        hashes[publication.key] = publication.hash
        coverage.lowestCut = min(coverage.lowestCut ?? publication.cut, publication.cut)
        coverage.labels.insert(publication.label)
        coverage.publications += 1
        guard !isUsed else { return }
        let place = place(of: publication.key.client)
        let lowest = clients[place].lowestCut
        let index = clients[place].shelves.firstIndex { $0.cut >= publication.cut } ?? clients[place].shelves.count
        if index == clients[place].shelves.count || clients[place].shelves[index].cut != publication.cut {
            clients[place].shelves.insert(Shelf(cut: publication.cut), at: index)
        }
        clients[place].shelves[index].publications.append(publication)
        if clients[place].lowestCut != lowest { reorder(place) }
    }

    /// The next training example; nil: there is nothing to train on. A fresh publication is used up by it.
    package mutating func draw(using random: inout some RandomNumberGenerator) -> Draw? {
        batch(1, using: &random).first
    }

    /// Examples whose timesteps are spread evenly over the chain, one in each of `count` equal parts: the same distribution as
    /// `count` single draws with less variance. Fewer when fresh publications run out.
    package mutating func batch(_ count: Int, using random: inout some RandomNumberGenerator) -> [Draw] {
        var draws: [Draw] = []
        draws.reserveCapacity(count)
        for part in 0..<count {
            guard let first = order.first else { break }
            let lowest = clients[first].lowestCut
            let position = (Double(part) + Double.random(in: 0..<1, using: &random)) / Double(count)
            let timestep = min(timesteps, lowest + 1 + Int(position * Double(timesteps - lowest)))
            draws.append(draw(at: timestep, using: &random))
        }
        return draws
    }

    /// - Precondition: some client has an image with a cut below `timestep`.
    private mutating func draw(at timestep: Int, using random: inout some RandomNumberGenerator) -> Draw {
        let place = order[Int.random(in: 0..<eligible(at: timestep), using: &random)]
        let shelves = clients[place].shelves.prefix { $0.cut < timestep }
        var choice = Int.random(in: 0..<shelves.reduce(0) { $0 + $1.publications.count }, using: &random)
        var shelf = 0
        while choice >= shelves[shelf].publications.count {
            choice -= shelves[shelf].publications.count
            shelf += 1
        }
        let publication = shelves[shelf].publications[choice]
        if publication.isFresh { remove(place, shelf, choice) }
        return Draw(timestep: timestep, publication: publication)
    }

    /// How many clients, from the start of `order`, have an image with a cut below `timestep`.
    private func eligible(at timestep: Int) -> Int {
        var low = 0
        var high = order.count
        while low < high {
            let middle = (low + high) / 2
            if clients[order[middle]].lowestCut < timestep { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func remove(_ place: Int, _ shelf: Int, _ choice: Int) {
        let last = clients[place].shelves[shelf].publications.count - 1
        clients[place].shelves[shelf].publications.swapAt(choice, last)
        clients[place].shelves[shelf].publications.removeLast()
        guard last == 0 else { return }
        clients[place].shelves.remove(at: shelf)
        if shelf == 0 { reorder(place) }
    }

    /// Rare: when a client's lowest cut changed.
    private mutating func reorder(_ place: Int) {
        order.removeAll { $0 == place }
        guard !clients[place].shelves.isEmpty else { return }
        order.insert(place, at: eligible(at: clients[place].lowestCut))
    }

    private mutating func place(of client: ClientID) -> Int {
        if let place = places[client] { return place }
        clients.append(Client(id: client))
        places[client] = clients.count - 1
        return clients.count - 1
    }
}
