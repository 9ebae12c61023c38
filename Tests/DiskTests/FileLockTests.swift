import Foundation
import Testing

@testable import Disk

/// One process at a time, and whoever looks is in nobody's way.
@Suite struct FileLockTests {
    private let url = FileManager.default.temporaryDirectory.appending(path: "lock-\(UUID())")

    @Test func oneHasItAndSaysWhoItIs() throws {
        defer { try? FileManager.default.removeItem(at: url) }
        #expect(try FileLock.holder(of: url) == nil)
        #expect(!FileManager.default.fileExists(atPath: url.path), "a look makes nothing")
        do {
            let lock = try FileLock(url, as: "broker")
            let holder = FileLock.Holder(process: "\(getpid())", role: "broker")
            #expect(try FileLock.holder(of: url) == holder)
            #expect(throws: FileLock.Refusal.held(by: "\(getpid())")) { try FileLock(url) }
            // Neither has changed it.
            #expect(try FileLock.holder(of: url) == holder)
            withExtendedLifetime(lock) {}
        }
        #expect(try FileLock.holder(of: url) == nil)
        let other = try FileLock(url)
        #expect(try FileLock.holder(of: url) == FileLock.Holder(process: "\(getpid())", role: ""))
        withExtendedLifetime(other) {}
    }

    /// Two who look a thousand times a second each, and one who takes it again and again.
    @Test func aLookIsNoRefusal() async throws {
        defer { try? FileManager.default.removeItem(at: url) }
        let lookers = (0..<2).map { _ in
            Task { [url] in
                var looks = 0
                while !Task.isCancelled {
                    _ = try FileLock.holder(of: url)
                    looks += 1
                    try? await Task.sleep(for: .milliseconds(1))
                }
                return looks
            }
        }
        for _ in 0..<50 {
            let lock = try FileLock(url, as: "broker")
            #expect(try FileLock.holder(of: url)?.role == "broker")
            withExtendedLifetime(lock) {}
            try await Task.sleep(for: .milliseconds(1))
        }
        for looker in lookers {
            looker.cancel()
            #expect(try await looker.value > 3)
        }
    }
}
