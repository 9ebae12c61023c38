internal import Chain
internal import Foundation
internal import Wire

/// Every release of every image, durably, and the owner's limit on them.
///
/// A release is entered before anything of it is sealed. Entering it again changes nothing: after a crash the same release
/// is found here, made of the same noise, and not charged twice.
final class Ledger {
    private let file: LedgerFile
    private let steps: StorageSteps
    private(set) var book: LedgerBook
    /// The limit before it was opened with another one; nil: it is what it was.
    let formerLimit: SNRFloor?

    /// The exposure of each image, and the limit; the arithmetic is Chain's.
    var exposure: ExposureLedger<ImageID> { book.exposure }

    /// - Parameter limit: nil keeps the one in the file, or 3 dB in a new one.
    init(
        opening url: URL, fingerprint: [UInt8], limit: SNRFloor?, steps: StorageSteps
    ) throws(ClientError) {
        let (file, lines) = try LedgerFile.open(url, fingerprint: fingerprint)
        self.file = file
        self.steps = steps
        book = try LedgerBook(lines)
        let former = book.limit, wanted = limit ?? former
        formerLimit = wanted == former ? nil : former
        if !book.hasLimit || wanted != former { try append([.limit(wanted.snr)]) }
    }

    func isStored(_ publication: PublicationID) -> Bool { book.stored.contains(publication) }

    /// Enters those of the releases that are not there yet, all or none.
    ///
    /// A release at a later cut than one that is there noises that one on, and is not charged.
    ///
    /// - Returns: the record of each, in order.
    /// - Throws: `.limitReached`; `.storage`.
    func enter(_ names: [ReleaseName], on schedule: Schedule) throws(ClientError) -> [ReleaseRecord] {
        var trial = exposure
        var new: [ReleaseName: ReleaseRecord] = [:]
        var result: [ReleaseRecord] = []
        for name in names {
            if let known = book.record(name) ?? new[name] {
                result.append(known)
                continue
            }
            let earlier = book.lastRelease(before: name)
            let record = ReleaseRecord(
                name: name, parent: earlier.map { .init(cut: $0.name.cut, mask: $0.name.mask) },
                snr: schedule.snr(name.cut))
            if record.parent == nil {
                guard trial.admits(name.image, snr: record.snr) else {
                    throw Self.limitReached(trial, name, record.snr, schedule)
                }
                do { try trial.record(name.image, snr: record.snr) } catch {
                    throw ClientError(.limitReached, error.message)
                }
            }
            new[name] = record
            result.append(record)
        }
        if !new.isEmpty { try append(result.filter { new[$0.name] != nil }.uniqued().map(LedgerLine.release)) }
        return result
    }

    /// A worker's signed receipt came for these.
    func markStored(_ publications: [PublicationID]) throws(ClientError) {
        let new = publications.filter { !book.stored.contains($0) }
        if !new.isEmpty { try append(new.map(LedgerLine.stored)) }
    }

    private func append(_ lines: [LedgerLine]) throws(ClientError) {
        try steps.reach(.ledgerAppend)
        try file.append(lines)
        lines.forEach { book.apply($0) }
        try steps.reach(.ledgerAppended)
    }

    private static func limitReached(
        _ ledger: ExposureLedger<ImageID>, _ name: ReleaseName, _ snr: Double, _ schedule: Schedule
    ) -> ClientError {
        let held = ledger.exposure(of: name.image)
        let left = ledger.limit.snr - held.totalSNR
        let cut = (try? SNRFloor(snr: left))?.lowestCut(on: schedule)
        let advice = cut.map { "it could be published at cut \($0) or later" } ?? "it cannot be published again"
        return ClientError(
            .limitReached,
            "an image with \(held.releases) releases would show \(decibels(held.totalSNR + snr)) after one more at cut "
                + "\(name.cut), past the owner's limit of \(decibels(ledger.limit.snr)): \(advice), or the owner raises the "
                + "limit (--limit-db; `limit_db` in a topology)")
    }
}

func decibelValue(_ snr: Double) -> Double { 10 * log10(snr) }

func decibels(_ snr: Double) -> String { String(format: "%.1f dB", decibelValue(snr)) }

extension Array where Element: Hashable {
    fileprivate func uniqued() -> [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
