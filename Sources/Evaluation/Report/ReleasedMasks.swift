internal import CollaFuseClient
internal import Foundation
internal import Launch
internal import Torch
internal import Trust

/// The masked images that the clients of a run really published, made again from their homes: from masking keys and ledgers.
///
/// Only the closing report of a run on one machine can do this; what it measures on them is what a worker could.
struct ReleasedMasks: Sendable {
    /// Images of one client that were masked equally often.
    struct Group: Sendable {
        let client: String
        /// ζ of every mask.
        let cut: Int
        /// Rows of the run's training images.
        let rows: [Int]
        /// One after another: the images' masks, each `rows.count` × C × H × W.
        let masks: [[Float]]
    }

    let groups: [Group]

    /// - Parameters:
    ///   - folder: the run's.
    ///   - now: when the run was, in milliseconds of Unix time: its certificates may be over by now.
    init(folder: URL, plan: PlanRecord, images: RunImages, now: UnixTime) throws {
        var groups: [Group] = []
        for client in plan.clients where client.masks > 0 {
            let rows = images.holder.indices.filter { images.holder[$0] == client.name }
            guard !rows.isEmpty else { continue }
            let home = try Self.open(client.name, in: folder, now: now)
            let own = images.training.selecting(rows)
            let owned = try OwnImages(values: own.images.floats, shape: plan.image, labels: own.labels)
            // For each image the masks that its ledger names.
            var masks = rows.map { _ in [[Float]]() }
            for mask in 0..<client.masks {
                for (row, values) in try home.masked(owned, at: client.cut, mask: UInt32(mask)).enumerated() {
                    if let values { masks[row].append(values) }
                }
            }
            for (count, places) in Dictionary(grouping: masks.indices, by: { masks[$0].count }).sorted(by: {
                $0.key < $1.key
            })
            where count > 0 {
                groups.append(
                    Group(
                        client: client.name, cut: client.cut, rows: places.map { rows[$0] },
                        masks: (0..<count).map { mask in places.flatMap { masks[$0][mask] } }))
            }
        }
        self.groups = groups
    }

    /// Looks only: what is not there stays so.
    private static func open(_ client: String, in folder: URL, now: UnixTime) throws -> PublishedMasks {
        let kit = try NodeKit(opening: folder.appending(path: "keys/nodes/\(client)"))
        let deployment = try Deployment(
            opening: folder.appending(path: "keys/public"), pinned: kit.pinnedRoot(), now: now)
        guard deployment.roster.clients.contains(where: { $0.name == kit.name }) else {
            throw EvaluationError(.mismatch, "the roster in \(folder.path) does not name \(client)")
        }
        return try PublishedMasks(of: folder.appending(path: "clients/\(client)"), run: deployment.run(nil))
    }
}
