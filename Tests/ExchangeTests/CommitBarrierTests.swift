import Testing
import Wire

@testable import Exchange

@Suite struct CommitBarrierTests {
    private static let client = ConnectionID(side: .client, number: 1)
    private static let worker = ConnectionID(side: .worker, number: 2)

    private static func send(_ body: WireControl.OneOf_Body, _ sequence: UInt64, to connection: ConnectionID)
        -> BrokerAction
    {
        var frames = Frames(body)
        frames.control.sequence = sequence
        return .send(frames, to: connection)
    }

    private static func job(attempt: UInt32) -> WireControl.OneOf_Body {
        var job = WireJob()
        job.job.fence.attempt = attempt
        return .job(job)
    }

    /// Connection and sequence of what is let go.
    private static func names(_ actions: [BrokerAction]) -> [String] {
        actions.map { action in
            switch action {
            case .append: "append"
            case .send(let frames, let connection): "\(connection.number):\(frames.control.sequence)"
            case .drop(let connection): "drop \(connection.number)"
            }
        }
    }

    @Test func aClaimWaitsForItsEntriesAndTheRestDoesNot() {
        var barrier = CommitBarrier()
        let now = barrier.pass(
            [
                .append(.acknowledged(JobKey(client: identifier(1), job: identifier(1)))),
                Self.send(.accepted(WireAccepted()), 1, to: Self.client),
                Self.send(Self.job(attempt: 1), 1, to: Self.worker),
            ], after: 1, stored: 0)
        #expect(Self.names(now) == ["2:1"])
        #expect(barrier.release(stored: 0).isEmpty)
        #expect(Self.names(barrier.release(stored: 1)) == ["1:1"])
        #expect(barrier.count == 0)
        #expect(
            Self.names(barrier.pass([Self.send(.accepted(WireAccepted()), 2, to: Self.client)], after: 1, stored: 1))
                == ["1:2"])
    }

    @Test func aLaterAttemptWaits() {
        var barrier = CommitBarrier()
        #expect(barrier.pass([Self.send(Self.job(attempt: 2), 1, to: Self.worker)], after: 1, stored: 0).isEmpty)
    }

    @Test func messagesOfAConnectionKeepTheirOrder() {
        var barrier = CommitBarrier()
        #expect(barrier.pass([Self.send(.accepted(WireAccepted()), 1, to: Self.client)], after: 1, stored: 0).isEmpty)
        let now = barrier.pass(
            [
                Self.send(.keys(WireKeys()), 2, to: Self.client), Self.send(.keys(WireKeys()), 1, to: Self.worker),
                .drop(Self.client),
            ], after: 1, stored: 0)
        #expect(Self.names(now) == ["2:1"])
        // What depends on later entries stays.
        _ = barrier.pass([Self.send(.ackStored(WireAckStored()), 2, to: Self.worker)], after: 2, stored: 0)
        #expect(Self.names(barrier.release(stored: 1)) == ["1:1", "1:2", "drop 1"])
        #expect(Self.names(barrier.release(stored: 2)) == ["2:2"])
    }

    @Test func aFirstAttemptOvertakesAndNumbersStayInOrder() {
        var barrier = CommitBarrier()
        let stored: WireControl.OneOf_Body = .resultStored(WireResultStored())
        #expect(
            barrier.pass(
                [Self.send(stored, 5, to: Self.worker), Self.send(stored, 6, to: Self.worker)], after: 1, stored: 0
            ).isEmpty)
        var left = Self.names(barrier.pass([Self.send(Self.job(attempt: 1), 7, to: Self.worker)], after: 1, stored: 0))
        #expect(left == ["2:5"])
        left += Self.names(
            barrier.pass(
                [
                    Self.send(Self.job(attempt: 2), 8, to: Self.worker), Self.send(stored, 9, to: Self.worker),
                    Self.send(Self.job(attempt: 1), 10, to: Self.worker),
                ], after: 2, stored: 0))
        left += Self.names(barrier.release(stored: 1))
        left += Self.names(barrier.pass([Self.send(Self.job(attempt: 1), 11, to: Self.worker)], after: 2, stored: 1))
        left += Self.names(barrier.release(stored: 2))
        #expect(left == (5...11).map { "2:\($0)" })
        #expect(Self.names(barrier.pass([Self.send(stored, 12, to: Self.worker)], after: 2, stored: 2)) == ["2:12"])
    }

    /// What the worker is told of it, and the client of its acknowledgement, does wait.
    @Test func aResultAndAPongOvertake() {
        var barrier = CommitBarrier()
        var left = Self.names(
            barrier.pass(
                [
                    Self.send(.accepted(WireAccepted()), 1, to: Self.client),
                    Self.send(.resultStored(WireResultStored()), 1, to: Self.worker),
                    Self.send(.result(WireResult()), 2, to: Self.client),
                ], after: 1, stored: 0))
        #expect(left == ["1:1"])
        left += Self.names(
            barrier.pass(
                [
                    Self.send(.ackStored(WireAckStored()), 3, to: Self.client),
                    Self.send(.pong(WirePong()), 4, to: Self.client),
                ], after: 2, stored: 0))
        #expect(left == ["1:1", "1:2"])
        #expect(Self.names(barrier.release(stored: 1)) == ["1:3", "2:1"])
        #expect(Self.names(barrier.release(stored: 2)) == ["1:4"])
    }

    @Test func nothingOvertakesTheEndOfASession() {
        var barrier = CommitBarrier()
        let stored: WireControl.OneOf_Body = .resultStored(WireResultStored())
        _ = barrier.pass([Self.send(stored, 5, to: Self.worker)], after: 1, stored: 0)
        #expect(
            Self.names(barrier.pass([Self.send(Self.job(attempt: 1), 6, to: Self.worker)], after: 1, stored: 0))
                == ["2:5"])
        // Another session on the connection counts from 1.
        #expect(
            barrier.pass(
                [
                    .drop(Self.worker), Self.send(.challenge(WireChallenge()), 1, to: Self.worker),
                    Self.send(Self.job(attempt: 1), 2, to: Self.worker),
                ], after: 1, stored: 0
            ).isEmpty)
        #expect(Self.names(barrier.release(stored: 1)) == ["2:6", "drop 2", "2:1", "2:2"])
    }
}
