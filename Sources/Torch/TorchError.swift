import CTorch

/// Something libtorch refused, or a checkpoint that does not fit its model.
///
/// How errors travel is decided in `docs/decisions/0002-tensor-errors.md`: a refused operation traps, unless it runs
/// inside `TorchError.catching`, and foreign data enters through throwing initialisers only.
package struct TorchError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// Shapes, types or arguments that libtorch refuses.
        case invalid
        /// Memory of the host or the device is exhausted; the process is otherwise sound.
        case outOfMemory
        /// Any other failure inside libtorch.
        case failed
        /// This machine, or this libtorch, has no such device.
        case noDevice
        /// A checkpoint lacks a parameter of the model.
        case missingKey
        /// A checkpoint has a tensor the model does not know.
        case unexpectedKey
        case wrongShape
        case wrongType
        /// NaN or infinity where only numbers are allowed.
        case notFinite
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

extension TorchError {
    /// Runs `body` and throws the first error that an operation inside it met on this thread.
    ///
    ///     let images = try TorchError.catching { network(x, timesteps).floats }
    ///
    /// Inside, a refused operation gives an *undefined* tensor, further operations on it give undefined tensors too,
    /// and reading one gives no values and an empty shape. Use `size(_:)`, which gives 0 then, rather than indexing
    /// `shape`. Scopes nest; each sees the failures since it was entered.
    package static func catching<Result>(_ body: () throws -> Result) throws -> Result {
        ct_scope_enter()
        let result = Swift.Result { try body() }
        if let error = leaveScope() { throw error }
        return try result.get()
    }

    private static func leaveScope() -> TorchError? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2048) { buffer in
            let status = ct_scope_leave(buffer.baseAddress, Int64(buffer.count))
            guard status != 0, let text = buffer.baseAddress else { return nil }
            return TorchError(Code(status: status), String(cString: text))
        }
    }

    /// The error of the call on this thread that has just returned `status`.
    static func last(_ status: ct_status, _ operation: StaticString, _ operands: [Tensor]) -> TorchError {
        // The message is this thread's and the next failure replaces it, so it is copied before anything else is asked.
        let reason = String(cString: ct_last_error())
        let shapes = operands.map { $0.isDefined ? "\($0.dtype)\($0.shape)" : "undefined" }
        return TorchError(Code(status: status), "\(operation)(\(shapes.joined(separator: ", "))): \(reason)")
    }

    /// Records the failure in the innermost scope, or traps where there is none.
    static func report(_ status: ct_status, _ operation: StaticString, _ operands: [Tensor]) {
        guard ct_scope_active() else { fatalError("Torch: \(last(status, operation, operands))") }
        // An undefined operand has been recorded where it came to be.
        if Int(status) != CT_UNDEFINED { ct_scope_record(status, last(status, operation, operands).message) }
    }
}

extension TorchError.Code {
    init(status: ct_status) {
        switch Int(status) {
        case CT_INVALID: self = .invalid
        case CT_OUT_OF_MEMORY: self = .outOfMemory
        default: self = .failed
        }
    }
}
