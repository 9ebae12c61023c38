import Foundation
import Logging
import Observability
import ServiceLifecycle
import Synchronization
import Testing

@testable import Monitoring

/// A server over a real socket.
struct ServerTests {
    private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a server at a free port for the length of the body.
    private func serving(_ board: StatusBoard, _ body: (ListenAddress) async throws -> Void) async throws {
        let (ports, said) = AsyncStream.makeStream(of: UInt16.self)
        let address = try #require(ListenAddress("127.0.0.1:0"))
        let server = MonitoringServer(address, board: board, logger: quiet) { said.yield($0) }
        let task = Task {
            defer { said.finish() }
            try await server.run()
        }
        defer { task.cancel() }
        let port = try #require(await ports.first { _ in true })
        try await body(try #require(ListenAddress("127.0.0.1:\(port)")))
    }

    private func text(_ path: String, _ address: ListenAddress) async throws -> String {
        String(decoding: try await MonitoringClient.get(path, from: address), as: UTF8.self)
    }

    @Test func whatIsPostedIsShown() async throws {
        let board = StatusBoard()
        try await serving(board) { address in
            #expect(try await text("/readyz", address) == "starting\n")
            #expect(try await text("/healthz", address) == "ok\n")
            var page = Exposition()
            page.gauge("x", "X.", 3)
            board.post(page, status: [.init("role", "test")], obstacle: nil)
            let metrics = try await text("/metrics", address)
            #expect(metrics.contains("collafuse_x 3\n"))
            #expect(metrics.contains("\nprocess_resident_memory_bytes "))
            #expect(try await text("/readyz", address) == "ok\n")
            #expect(try await text("/status", address) == #"{"role":"test"}"#)
            board.post(page, obstacle: "no session")
            #expect(try await text("/readyz", address) == "no session\n")
        }
    }

    /// An error of a socket that it closes itself would end its role with one.
    @Test func endsInPeaceWhoeverAsks() async throws {
        for _ in 0..<60 {
            let (ports, said) = AsyncStream.makeStream(of: UInt16.self)
            let server = MonitoringServer(
                try #require(ListenAddress("127.0.0.1:0")), board: StatusBoard(), logger: quiet
            ) { said.yield($0) }
            let group = ServiceGroup(services: [server], logger: quiet)
            let task = Task { try await group.run() }
            let port = try #require(await ports.first { _ in true })
            let address = try #require(ListenAddress("127.0.0.1:\(port)"))
            let asking = Task {
                while !Task.isCancelled { _ = try? await MonitoringClient.get("/healthz", from: address) }
            }
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...20)))
            await group.triggerGracefulShutdown()
            try await task.value
            asking.cancel()
            await asking.value
        }
    }

    /// A role that says nothing any more is not healthy, nor ready.
    @Test func silenceIsSeen() async throws {
        let board = StatusBoard(limit: .milliseconds(200))
        board.post(Exposition(), obstacle: nil)
        try await Task.sleep(for: .milliseconds(300))
        #expect(board.hang != nil && board.obstacle != nil)
        let patient = StatusBoard()
        patient.post(Exposition(), obstacle: nil)
        #expect(patient.hang == nil && patient.obstacle == nil)
    }

    /// It is told by a clock that goes on steadily, whatever is done to the one on the wall.
    @Test func silenceIsMeasuredByTheSteadyClock() {
        let clock = Mutex(SuspendingClock.now)
        let board = StatusBoard { clock.withLock { $0 } }
        #expect(board.hang == nil)
        board.post(Exposition(), obstacle: nil)
        clock.withLock { $0 += .seconds(15) }
        #expect(board.hang == nil)
        clock.withLock { $0 += .seconds(1) }
        #expect(board.hang == "nothing was heard of its loop for 16 s")
    }

    @Test func nobodyThereIsSaidInWords() async throws {
        let nobody = try #require(ListenAddress("127.0.0.1:1"))
        let error = await #expect(throws: MonitoringError.self) {
            try await MonitoringClient.get("/status", from: nobody)
        }
        #expect(error?.message.contains("--metrics-listen") == true)
    }

    @Test func aTakenPortIsSaidInWords() async throws {
        try await serving(StatusBoard()) { address in
            let second = MonitoringServer(address, board: StatusBoard(), logger: quiet)
            let error = await #expect(throws: MonitoringError.self) { try await second.run() }
            #expect(error?.message.contains("--metrics-listen") == true)
        }
    }
}
