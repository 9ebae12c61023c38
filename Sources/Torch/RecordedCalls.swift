/// Something that records a device's work: a device's graphs, or a stand-in of tests.
package protocol WorkRecorder: AnyObject {
    /// - Parameter inputs: what the work reads, each time; they are kept.
    /// - Returns: where it leaves its result, and what runs it again.
    /// - Throws: `TorchError` when it cannot be recorded.
    func record(_ inputs: [Tensor], _ body: ([Tensor]) -> Tensor) throws -> (output: Tensor, replay: () -> Void)

    /// How long the device takes over it.
    func seconds(of body: () -> Void) -> Double
}

/// Calls of a function of tensors, run from recordings where those have proven themselves: that they give what the function gives, and
/// sooner.
///
///     let calls = RecordedCalls(.init(tolerance: 0.03), by: GraphRecorder(device)) { logger.notice("…\($0)") }
///     let y = calls([x, timesteps]) { network($0[0], $0[1]) }
///
/// All inputs have a row for each sample, and a sample's row of the result depends on its own rows only, so a recording of 8 rows runs 5 as
/// well. Recordings are made of a few numbers of rows, each when calls of as many as it would run come again and again.
///
///     calls of n rows:   called as they are, `patience` times ─ a trial ─┬─ from the recording, for good
///                                                                        └─ as they are, for good
///
/// After the first that cannot be made, or makes something else, there are no more. On one thread.
package final class RecordedCalls {
    package struct Limits: Sendable {
        /// Calls of as many rows before a trial.
        package var patience: Int
        /// What a replay may differ by, of the largest value.
        package var tolerance: Double
        /// Recordings, at most: each holds memory of the device.
        package var most = 12
        /// How much of a call's time a replay may take.
        package var share = 0.95

        package init(patience: Int = 8, tolerance: Double) {
            self.patience = patience
            self.tolerance = tolerance
        }
    }

    /// All that calls of one kind have in common.
    private struct Kind: Hashable {
        let rows: Int
        let shapes: [[Int]]
        let types: [DType]

        func with(rows: Int) -> Kind { Kind(rows: rows, shapes: shapes, types: types) }
    }

    private enum Way { case untried(calls: Int), plain, recorded }

    private struct Recording {
        let inputs: [Tensor]
        let output: Tensor
        let replay: () -> Void
    }

    /// Numbers of rows that are recorded. More keep a device busy by themselves.
    private static let sizes = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64]

    private let limits: Limits
    private let recorder: any WorkRecorder
    private let hasFailed: (any Error) -> Void
    private var ways: [Kind: Way] = [:]
    private var recordings: [Kind: Recording] = [:]
    private var isOff = false

    /// - Parameter hasFailed: told why nothing is recorded any more, once.
    package init(_ limits: Limits, by recorder: any WorkRecorder, hasFailed: @escaping (any Error) -> Void) {
        self.limits = limits
        self.recorder = recorder
        self.hasFailed = hasFailed
    }

    /// Kinds of calls that are run from recordings.
    package var recordedKinds: Int { ways.values.count { if case .recorded = $0 { true } else { false } } }

    /// Lets go of all recordings, and makes no more: for want of memory.
    package func stop() {
        isOff = true
        ways = [:]
        recordings = [:]
    }

    /// - Parameters:
    ///   - inputs: [N, …] each, on the recorder's device.
    ///   - body: the same function each time.
    /// - Precondition: call it inside `withoutGradients`.
    package func callAsFunction(_ inputs: [Tensor], _ body: ([Tensor]) -> Tensor) -> Tensor {
        guard !isOff, inputs.allSatisfy(\.isDefined), let first = inputs.first,
            let size = Self.sizes.first(where: { $0 >= first.size(0) })
        else { return body(inputs) }
        let kind = Kind(
            rows: first.size(0), shapes: inputs.map { Array($0.shape.dropFirst()) }, types: inputs.map(\.dtype))
        switch ways[kind] ?? .untried(calls: 0) {
        case .plain: return body(inputs)
        case .recorded:
            guard let recording = recordings[kind.with(rows: size)] else { return body(inputs) }
            return run(recording, inputs)
        case .untried(let calls) where calls < limits.patience:
            ways[kind] = .untried(calls: calls + 1)
            return body(inputs)
        case .untried:
            let output = body(inputs)
            // What is no number proves nothing: the next call is tried.
            guard output.isDefined, output.isFinite else { return output }
            do {
                ways[kind] = try isWorthwhile(kind.with(rows: size), inputs, output, body) ? .recorded : .plain
            } catch {
                stop()
                hasFailed(error)
            }
            return output
        }
    }

    /// - Parameters:
    ///   - kind: of the recording.
    ///   - output: what the function makes of the inputs.
    private func isWorthwhile(
        _ kind: Kind, _ inputs: [Tensor], _ output: Tensor, _ body: ([Tensor]) -> Tensor
    ) throws -> Bool {
        if recordings[kind] == nil {
            guard recordings.count < limits.most else { return false }
            recordings[kind] = try record(kind, inputs, body)
        }
        guard let recording = recordings[kind] else { return false }
        return try TorchError.catching {
            // It was recorded with zeros: what it makes of these inputs shows that it reads them.
            let difference = (run(recording, inputs) - output).abs().max().item, largest = output.abs().max().item
            guard difference <= limits.tolerance * largest else {
                throw TorchError(
                    .failed,
                    "a replay of \(inputs) differs from the call by \(difference), where the largest value is \(largest)"
                )
            }
            func best(_ call: () -> Void) -> Double { (0..<3).map { _ in recorder.seconds(of: call) }.min() ?? 0 }
            let plain = best { _ = body(inputs) }
            return best { _ = run(recording, inputs) } <= limits.share * plain
        }
    }

    private func record(_ kind: Kind, _ inputs: [Tensor], _ body: ([Tensor]) -> Tensor) throws -> Recording {
        let still = try TorchError.catching {
            inputs.map { Tensor.zeros([kind.rows] + $0.shape.dropFirst(), dtype: $0.dtype, device: $0.device) }
        }
        let (output, replay) = try recorder.record(still, body)
        return Recording(inputs: still, output: output, replay: replay)
    }

    /// Rows that are not used hold what was in them before.
    private func run(_ recording: Recording, _ inputs: [Tensor]) -> Tensor {
        let rows = inputs[0].size(0)
        for (still, input) in zip(recording.inputs, inputs) { still[0..<rows].copy(from: input) }
        recording.replay()
        // The next replay writes there again.
        return recording.output[0..<rows].clone()
    }
}

/// A device's graphs, and its clock.
package final class GraphRecorder: WorkRecorder {
    private let device: Device

    package init(_ device: Device) { self.device = device }

    package func record(
        _ inputs: [Tensor], _ body: ([Tensor]) -> Tensor
    ) throws -> (output: Tensor, replay: () -> Void) {
        let graph = try DeviceGraph(on: device)
        return (try graph.record { body(inputs) }, { graph.replay() })
    }

    package func seconds(of body: () -> Void) -> Double {
        try? device.finish()
        let began = ContinuousClock.now
        body()
        try? device.finish()
        return (ContinuousClock.now - began) / .seconds(1)
    }
}
