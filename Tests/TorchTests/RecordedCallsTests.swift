import Testing

@testable import Torch

/// Which calls are run from recordings, with a stand-in for the device that keeps tensors and runs the function over them again.
@Suite struct RecordedCallsTests {
    private final class StandIn: WorkRecorder {
        enum Fault: CaseIterable { case cannotRecord, forgetsInputs, givesNaN }

        let function: ([Tensor]) -> Tensor
        var fault: Fault?
        var replaySeconds = 1.0, callSeconds = 2.0
        private(set) var recordings = 0, replays = 0
        private(set) var outputs: [Weak] = []

        struct Weak { weak var tensor: Tensor? }

        init(_ function: @escaping ([Tensor]) -> Tensor) { self.function = function }

        func record(
            _ inputs: [Tensor], _ body: ([Tensor]) -> Tensor
        ) throws -> (output: Tensor, replay: () -> Void) {
            if fault == .cannotRecord { throw TorchError(.outOfMemory, "no room") }
            recordings += 1
            let output = body(inputs)
            outputs.append(Weak(tensor: output))
            return (
                output,
                { [unowned self] in
                    replays += 1
                    switch fault {
                    case .forgetsInputs: break
                    case .givesNaN: output.copy(from: output * Double.nan)
                    default: output.copy(from: function(inputs))
                    }
                }
            )
        }

        func seconds(of body: () -> Void) -> Double {
            let before = replays
            body()
            return replays > before ? replaySeconds : callSeconds
        }
    }

    /// A row's result depends on that row only.
    private static func function(_ inputs: [Tensor]) -> Tensor {
        inputs[0] * 3 + inputs[1].to(.float32).unsqueezed(1) + 1
    }

    private static func inputs(_ rows: Int, from first: Int = 0) -> [Tensor] {
        [
            Tensor((0..<rows * 2).map { Float(first + $0) / 7 }, shape: [rows, 2]),
            Tensor((0..<rows).map { first + 5 * $0 }),
        ]
    }

    private final class Scene {
        let recorder = StandIn(RecordedCallsTests.function)
        private(set) var called = 0
        private(set) var failures: [String] = []
        private(set) lazy var calls = RecordedCalls(limits, by: recorder) { [unowned self] in failures.append("\($0)") }
        private let limits: RecordedCalls.Limits

        init(patience: Int = 0, most: Int = 12) {
            var limits = RecordedCalls.Limits(patience: patience, tolerance: 1e-5)
            limits.most = most
            self.limits = limits
        }

        /// Calls with other numbers each time, and looks whether the result is the function's.
        func call(_ rows: Int, times: Int = 1, sourceLocation: SourceLocation = #_sourceLocation) {
            for turn in 0..<times {
                let inputs = RecordedCallsTests.inputs(rows, from: 11 * turn)
                let result = calls(inputs) { [self] in
                    called += 1
                    return RecordedCallsTests.function($0)
                }
                let expected = RecordedCallsTests.function(inputs)
                #expect(result.shape == [rows, 2] && result.floats == expected.floats, sourceLocation: sourceLocation)
            }
        }

        /// How often the function itself is run in so many calls.
        func runs(_ rows: Int, in times: Int) -> Int {
            let before = called
            call(rows, times: times)
            return called - before
        }
    }

    @Test func aTrialWaitsUntilCallsComeAgainAndThenNothingIsCalled() {
        let scene = Scene(patience: 3)
        #expect(scene.runs(4, in: 3) == 3 && scene.recorder.recordings == 0)
        scene.call(4)
        #expect(scene.recorder.recordings == 1 && scene.calls.recordedKinds == 1)
        #expect(scene.runs(4, in: 20) == 0)
        #expect(scene.failures.isEmpty)
    }

    @Test func fewerRowsRunFromTheRecordingOfMore() {
        let scene = Scene()
        for rows in [8, 5, 7, 6, 8] { scene.call(rows, times: 3) }
        #expect(scene.recorder.recordings == 1 && scene.calls.recordedKinds == 4)
        #expect([5, 6, 7, 8].allSatisfy { scene.runs($0, in: 3) == 0 })
    }

    @Test func whatIsNoQuickerIsCalledForGood() {
        let scene = Scene()
        scene.recorder.replaySeconds = 1.95
        scene.call(4)
        #expect(scene.recorder.recordings == 1)
        #expect(scene.calls.recordedKinds == 0 && scene.failures.isEmpty)
        // Nor tried again, were it quicker.
        scene.recorder.replaySeconds = 1
        #expect(scene.runs(4, in: 10) == 10 && scene.recorder.recordings == 1)
    }

    @Test(arguments: StandIn.Fault.allCases)
    private func afterAFailureEverythingIsCalledAndItIsToldOnce(_ fault: StandIn.Fault) {
        let scene = Scene()
        scene.call(2, times: 3)
        #expect(scene.calls.recordedKinds == 1)
        scene.recorder.fault = fault
        scene.call(4)
        #expect(scene.failures.count == 1 && scene.calls.recordedKinds == 0)
        // The recording that was right is not used either: nothing of it is left.
        #expect(scene.runs(2, in: 3) == 3 && scene.runs(4, in: 3) == 3 && scene.runs(16, in: 3) == 3)
        #expect(scene.failures.count == 1 && scene.recorder.outputs.allSatisfy { $0.tensor == nil })
    }

    @Test func thereAreNoMoreThanSoMany() {
        let scene = Scene(most: 2)
        for rows in [1, 2, 4, 8, 12] { scene.call(rows, times: 2) }
        #expect(scene.recorder.recordings == 2 && scene.calls.recordedKinds == 2)
        #expect(scene.runs(8, in: 2) == 2 && scene.runs(2, in: 2) == 0)
    }

    @Test func moreRowsThanTheLargestRecordingAreCalled() {
        let scene = Scene()
        #expect(scene.runs(65, in: 3) == 3 && scene.recorder.recordings == 0)
    }

    @Test func othersShapesAndTypesHaveRecordingsOfTheirOwn() {
        let scene = Scene()
        scene.call(4)
        let wide = [Tensor.ones([4, 3]), Tensor([1, 2, 3, 4])],
            short = [Tensor.ones([4, 2]), Tensor([1, 2, 3, 4]).to(.int32)]
        for inputs in [wide, short, wide, short] {
            #expect(scene.calls(inputs, Self.function).floats == Self.function(inputs).floats)
        }
        #expect(scene.recorder.recordings == 3 && scene.calls.recordedKinds == 3)
    }

    @Test func theyGoWithWhatHoldsThem() {
        let recorder = StandIn(Self.function)
        do {
            let calls = RecordedCalls(.init(patience: 0, tolerance: 1e-5), by: recorder) { _ in }
            _ = calls(Self.inputs(2), Self.function)
            #expect(recorder.outputs.count == 1 && recorder.outputs[0].tensor != nil)
            calls.stop()
            #expect(recorder.outputs[0].tensor == nil)
            _ = calls(Self.inputs(2), Self.function)
            #expect(recorder.recordings == 1, "what has stopped does not begin again")
        }
        do {
            let calls = RecordedCalls(.init(patience: 0, tolerance: 1e-5), by: recorder) { _ in }
            _ = calls(Self.inputs(2), Self.function)
            #expect(recorder.outputs[1].tensor != nil)
        }
        #expect(recorder.outputs[1].tensor == nil)
    }

    /// The next call writes where the one before has written.
    @Test func resultsStayWhatTheyWere() {
        let scene = Scene()
        scene.call(2)
        let first = scene.calls(Self.inputs(2), Self.function), kept = first.floats
        _ = scene.calls(Self.inputs(2, from: 50), Self.function)
        #expect(first.floats == kept)
    }

    @Test func failuresOfTheFunctionAreItsCallersAndDoNotEndRecording() throws {
        let scene = Scene()
        #expect(throws: TorchError.self) {
            try TorchError.catching { _ = scene.calls(Self.inputs(2)) { $0[0].matmul(Tensor.ones([5, 5])) } }
        }
        #expect(scene.failures.isEmpty && scene.recorder.recordings == 0)
        scene.call(2)
        #expect(scene.calls.recordedKinds == 1)
    }

    /// A failed trial is no failure of the pass that it was made in.
    @Test func aFailedTrialDoesNotReachItsCaller() throws {
        let scene = Scene()
        scene.recorder.fault = .forgetsInputs
        try TorchError.catching { scene.call(4, times: 3) }
        #expect(scene.failures.count == 1)
    }
}
