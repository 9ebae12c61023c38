import Chain
import Exchange
import Foundation
import Logging
import Sodium
import Testing
import Wire

@testable import Workbench
@testable import Worker

struct PublicationTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-publications-\(UUID())")
    private let key: SecretBytes
    private let run: RunDescriptor

    init() throws {
        key = try SecretBytes.random(count: 32)
        run = try Scene.run()
    }

    private func store(_ key: SecretBytes? = nil) throws -> PublicationStore {
        try PublicationStore(directory: folder, key: key ?? self.key)
    }

    private func client(_ number: UInt8) throws -> ClientID {
        try #require(ClientID([UInt8](repeating: number, count: 16)))
    }

    private func job(_ client: UInt8, _ job: UInt8) throws -> JobKey {
        JobKey(
            client: try self.client(client),
            job: try #require(JobID([UInt8](repeating: job, count: 16))))
    }

    private func shelf(used: [IngestCore.Key] = []) throws -> PublicationShelf {
        try PublicationShelf(run: run, store: store(), used: used, logger: Logger(label: "test"))
    }

    private func files() throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).sorted {
            $0.path < $1.path
        }
    }

    // MARK: the store

    @Test func survivesReopening() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for (number, payload) in [(1, [1, 2, 3]), (2, []), (1, [1, 2, 3]), (2, [1, 2, 3])] as [(UInt8, [UInt8])] {
            try store().store(.init(client: client(number), payload: payload))
        }
        let (records, damaged) = try store().recover()
        #expect(damaged.isEmpty)
        #expect(records.count == 3)
        #expect(try records.filter { try $0.client == client(1) }.map(\.payload) == [[1, 2, 3]])
        #expect(try Set(records.filter { try $0.client == client(2) }.map(\.payload)) == [[], [1, 2, 3]])
    }

    @Test func nothingIsReadableOnDisk() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let secret = Array("a very private masked image".utf8)
        try store().store(.init(client: client(1), payload: secret + [UInt8](repeating: 0, count: 1000)))
        let file = try #require(files().first)
        let bytes = [UInt8](try Data(contentsOf: file))
        #expect(bytes.count > 1000)
        for start in 0...(secret.count - 4) { #expect(!bytes.holds(secret[start..<start + 4])) }
        // A thousand zeroes leave no trace either: every byte value about as often as any other.
        #expect(Set(bytes).count > 200)
        let attributes = try FileManager.default.attributesOfItem(atPath: file.path)
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
    }

    @Test func damagedFilesAndWrongKeysAreNamedAndLeftAlone() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for number in 1...5 {
            let payload = [UInt8](repeating: UInt8(number), count: 100)
            try store().store(.init(client: client(UInt8(number)), payload: payload))
        }
        let files = try files()
        var flipped = try Data(contentsOf: files[0])
        flipped[40] ^= 1
        try flipped.write(to: files[0])
        try Data(contentsOf: files[1]).dropLast().write(to: files[1])
        try Data().write(to: files[2])
        // A whole file under another client's name is not that client's.
        let moved = folder.appending(
            path: files[3].lastPathComponent.replacingOccurrences(of: "04040404", with: "09090909"))
        try FileManager.default.moveItem(at: files[3], to: moved)
        try Data([1]).write(to: folder.appending(path: "stray.sealed"))
        try Data([1]).write(to: folder.appending(path: ".draft.sealed.tmp"))
        let before = try self.files().map { try Data(contentsOf: $0) }
        let (records, damaged) = try store().recover()
        #expect(try records.map(\.client) == [client(5)])
        #expect(Set(damaged) == Set((files[0...2] + [moved]).map(\.lastPathComponent) + ["stray.sealed"]))
        #expect(try store(SecretBytes.random(count: 32)).recover().records.isEmpty)
        #expect(try store(SecretBytes.random(count: 32)).recover().damaged.count == 6)
        #expect(try self.files().map { try Data(contentsOf: $0) } == before)
    }

    @Test func aFolderThatCannotBeIsNamed() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appending(path: "file")
        try Data().write(to: file)
        #expect { try PublicationStore(directory: file.appending(path: "store"), key: key) } throws: {
            ($0 as? WorkerError)?.code == .badStore && "\($0)".contains(file.path)
        }
    }

    // MARK: the shelf

    /// BLAKE2b-256 of publication id ‖ the masked values as they were sent (f32, little-endian): payload.proto.
    private func documentedHash(_ id: UInt8, _ values: [Float]) -> Data {
        var bytes = [UInt8](repeating: id, count: 16)
        for value in values {
            for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(shift))) }
        }
        return Data(BLAKE2b.hash(bytes, length: 32))
    }

    @Test func theReceiptIsTheDocumentedHash() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var shelf = try shelf()
        let receipt = try shelf.take(.publication([9, 4], value: -1.5), from: job(1, 1)).publishReceipt
        #expect(receipt.publicationID == [Data(repeating: 9, count: 16), Data(repeating: 4, count: 16)])
        #expect(
            receipt.storedHash == [
                documentedHash(9, [Float](repeating: -1.5, count: 16)),
                documentedHash(4, [Float](repeating: -1.49, count: 16)),
            ])
    }

    @Test func theSamePublicationTwiceIsOne() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var shelf = try shelf()
        let first = try shelf.take(.publication([1, 2]), from: job(1, 1))
        #expect(try shelf.take(.publication([1, 2]), from: job(1, 1)) == first)
        // In another job, among new ones.
        let more = try shelf.take(.publication([1, 2, 3]), from: job(1, 2))
        #expect(Array(more.publishReceipt.storedHash.prefix(2)) == first.publishReceipt.storedHash)
        #expect(shelf.coverage.publications == 3)
        // A publication id is a client's own.
        _ = try shelf.take(.publication([1, 2], value: 5), from: job(2, 1))
        #expect(shelf.coverage.publications == 5)
        #expect(try self.shelf().coverage == shelf.coverage)
    }

    @Test("a job id that comes again with other images replaces nothing: the receipts hold")
    func jobThatComesAgain() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var shelf = try shelf()
        _ = try shelf.take(.publication([1, 2]), from: job(1, 1))
        _ = try shelf.take(.publication([3]), from: job(1, 1))
        #expect(shelf.coverage.publications == 3)
        #expect(try self.shelf().coverage == shelf.coverage)
    }

    @Test func anIdWithOtherValuesIsReplaced() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var shelf = try shelf()
        _ = try shelf.take(.publication([1, 2]), from: job(1, 1))
        let others: [WirePayload] = try [
            .publication([2, 1]), .publication([1, 2], value: 0.5), .publication([1], cut: 51),
            .publication([1], labels: [0]),
            .publication([7, 1], value: 1),
        ]
        for (number, other) in others.enumerated() {
            #expect { try shelf.take(other, from: job(1, UInt8(10 + number))) } throws: {
                ($0 as? RequestError)?.code == .replaced && "\($0)".contains("new id")
            }
        }
        // Nothing of a refused job is kept, not even what was new in it.
        #expect(shelf.coverage.publications == 2)
        #expect(try self.shelf().coverage.publications == 2)
    }

    @Test func whatIsDrawnIsWhatWasPublished() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var shelf = try shelf()
        #expect(shelf.isEmpty)
        _ = try shelf.take(.publication([1, 2], cut: 30, labels: [0, 1], value: 1), from: job(1, 1))
        _ = try shelf.take(.publication([3], cut: 80, labels: [2], value: 3), from: job(2, 1))
        #expect(!shelf.isEmpty)
        #expect(shelf.coverage.lowestCut == 30 && shelf.coverage.labels == [0, 1, 2])
        func check(_ shelf: inout PublicationShelf) {
            var random = SystemRandomNumberGenerator()
            let batch = shelf.draw(400, using: &random)
            #expect(batch.count == 400)
            for example in batch {
                #expect(example.timestep > example.cut && example.timestep <= 100)
                let value: Float = [0: 1, 1: 1.01, 2: 3][example.label] ?? .nan
                #expect(example.cut == (example.label == 2 ? 80 : 30))
                #expect(Array(example.values) == [Float](repeating: value, count: 16))
            }
            #expect(Set(batch.map(\.label)) == [0, 1, 2])
        }
        check(&shelf)
        var recovered = try self.shelf()
        check(&recovered)
    }

    @Test func freshOnesAreUsedOnceOverARestartToo() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var shelf = try shelf()
        _ = try shelf.take(.publication([1, 2, 3, 4, 5], policy: .fresh), from: job(1, 1))
        var random = SystemRandomNumberGenerator()
        let first = shelf.draw(3, using: &random).map { $0.values.first }
        #expect(first.count == 3 && shelf.used.count == 3)
        var again = try self.shelf(used: shelf.used)
        // Known, though used.
        #expect(again.coverage == shelf.coverage)
        let receipt = try again.take(.publication([1, 2, 3, 4, 5], policy: .fresh), from: job(1, 2))
        #expect(receipt.publishReceipt.storedHash.count == 5)
        let second = again.draw(9, using: &random).map { $0.values.first }
        #expect(second.count == 2 && Set(first + second).count == 5)
        #expect(again.isEmpty && again.draw(1, using: &random).isEmpty)
        // Those of policy `once` stay.
        _ = try again.take(.publication([6]), from: job(1, 3))
        #expect(again.draw(50, using: &random).count == 50)
    }

    @Test("an image without a label is refused where the backbone has no row for it")
    func noneWithoutARow() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var shelf = try PublicationShelf(
            run: Scene.run(rows: 2), store: store(), used: [], logger: Logger(label: "test"))
        _ = try shelf.take(.publication([1, 2]), from: job(1, 1))
        #expect { try shelf.take(.publication([3], labels: [2]), from: job(1, 2)) } throws: {
            ($0 as? RequestError)?.code == .badRequest && "\($0)".contains("name a label")
        }
        #expect(try files().count == 1)
    }

    @Test func publicationsOfAnotherRunAreLeftOut() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var shelf = try shelf()
        _ = try shelf.take(.publication([1], cut: 30), from: job(1, 1))
        _ = try shelf.take(.publication([2], cut: 40), from: job(1, 2))
        let narrower = try PublicationShelf(
            run: Scene.run(cuts: [40]), store: store(), used: [], logger: Logger(label: "test"))
        #expect(narrower.coverage.publications == 1 && narrower.coverage.lowestCut == 40)
    }
}

extension [UInt8] {
    fileprivate func holds(_ part: ArraySlice<UInt8>) -> Bool {
        indices.contains { self[$0...].starts(with: part) }
    }
}
