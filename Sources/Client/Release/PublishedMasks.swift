internal import Chain
package import Foundation
package import Trust

/// A client's home that is only looked at: nothing in it is made, locked or changed.
package struct PublishedMasks: Sendable {
    private let masks: Masks

    /// - Throws: `.badSettings` when there is no home; `.storage` for one that is damaged.
    package init(of home: URL, run: CertifiedRun) throws(ClientError) {
        guard Home.exists(home) else { throw Home.isMissing(home) }
        let key = try MaskingKey.open(in: home, mayMake: false)
        let content = try LedgerFile.read(Home.ledger(home), fingerprint: key.fingerprint)
        masks = Masks(run: run, key: key, book: try LedgerBook(content.lines))
    }

    /// What the server has of these images, made again from the ledger.
    ///
    /// - Returns: for each image x at the cut; nil where nothing was released there.
    package func masked(_ images: OwnImages, at timestep: Int, mask: UInt32) throws(ClientError) -> [[Float]?] {
        try masks.published(images, at: timestep, mask: mask)
    }
}
