import CTorch

/// An n-dimensional array of libtorch, with reference semantics: two variables may name the same tensor, and views
/// share storage.
///
///     let x = Tensor([1.0, 2, 3, 4, 5, 6], shape: [2, 3])    // float32 on the CPU; whole numbers alone would be int64
///     let y = (x * 2 + 1).sum(1)                             // [9, 33] … a new tensor for each operation
///
/// ARC frees it: storage goes back the moment the last reference is gone. Not `Sendable`, because libtorch promises
/// nothing about two threads that use one tensor; hand it over with `sending`.
///
/// Operations do not throw. A refused one traps with libtorch's message, or is recorded by the `TorchError.catching` it
/// runs in.
package final class Tensor {
    /// nil: the result of an operation that failed inside `TorchError.catching`.
    let handle: ct_tensor?

    init(taking handle: ct_tensor?) { self.handle = handle }

    deinit { ct_free(handle) }

    /// False for the result of an operation that failed inside `TorchError.catching`.
    package var isDefined: Bool { handle != nil }
}

// MARK: calls

extension Tensor {
    /// Makes a call that gives a new tensor. The operands are named so that they outlive the call, and for the error
    /// message.
    @inline(__always)
    static func make(
        _ operation: StaticString, _ a: Tensor, _ call: (ct_tensor?, UnsafeMutablePointer<ct_tensor?>) -> ct_status
    ) -> Tensor {
        withExtendedLifetime(a) {
            var out: ct_tensor?
            let status = call(a.handle, &out)
            if status != 0 { TorchError.report(status, operation, [a]) }
            return Tensor(taking: out)
        }
    }

    @inline(__always)
    static func make(
        _ operation: StaticString, _ a: Tensor, _ b: Tensor,
        _ call: (ct_tensor?, ct_tensor?, UnsafeMutablePointer<ct_tensor?>) -> ct_status
    ) -> Tensor {
        withExtendedLifetime((a, b)) {
            var out: ct_tensor?
            let status = call(a.handle, b.handle, &out)
            if status != 0 { TorchError.report(status, operation, [a, b]) }
            return Tensor(taking: out)
        }
    }

    /// For calls on three tensors of which the last may be absent.
    @inline(__always)
    static func make(
        _ operation: StaticString, _ a: Tensor, _ b: Tensor, _ c: Tensor?,
        _ call: (ct_tensor?, ct_tensor?, ct_tensor?, UnsafeMutablePointer<ct_tensor?>) -> ct_status
    ) -> Tensor {
        withExtendedLifetime((a, b, c)) {
            var out: ct_tensor?
            // An absent operand is left out; one that failed earlier must not be mistaken for it.
            let undefined = c.map { !$0.isDefined } ?? false
            let status = undefined ? ct_status(CT_UNDEFINED) : call(a.handle, b.handle, c?.handle, &out)
            if status != 0 { TorchError.report(status, operation, [a, b] + (c.map { [$0] } ?? [])) }
            return Tensor(taking: out)
        }
    }

    static func make(
        _ operation: StaticString, _ list: [Tensor],
        _ call: (UnsafePointer<ct_tensor?>?, Int32, UnsafeMutablePointer<ct_tensor?>) -> ct_status
    ) -> Tensor {
        withHandles(list) { handles, count in
            var out: ct_tensor?
            let status = call(handles, count, &out)
            if status != 0 { TorchError.report(status, operation, list) }
            return Tensor(taking: out)
        }
    }

    /// Makes a call that gives no tensor.
    @inline(__always)
    static func run(_ operation: StaticString, _ operands: Tensor..., call: () -> ct_status) {
        withExtendedLifetime(operands) {
            let status = call()
            if status != 0 { TorchError.report(status, operation, operands) }
        }
    }

    static func withHandles<Result>(_ list: [Tensor], _ body: (UnsafePointer<ct_tensor?>?, Int32) -> Result) -> Result {
        withExtendedLifetime(list) {
            list.map(\.handle).withUnsafeBufferPointer { body($0.baseAddress, Int32($0.count)) }
        }
    }

    /// `Int` is 64 bits wide on every platform libtorch runs on; C's `int64_t` is another name for it.
    @inline(__always)
    static func withInt64s<Result>(_ values: [Int], _ body: (UnsafePointer<Int64>?, Int32) -> Result) -> Result {
        values.withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: Int64.self) { body($0.baseAddress, Int32($0.count)) }
        }
    }
}

// MARK: what it is

extension Tensor {
    /// Number of dimensions; 0 if undefined.
    package var rank: Int {
        var rank: Int32 = 0
        _ = ct_rank(handle, &rank)
        return Int(rank)
    }

    /// Sizes of the dimensions; empty for a scalar, and for an undefined tensor.
    package var shape: [Int] { dimensions(ct_shape) }

    /// Distance in elements between neighbours along each dimension.
    package var strides: [Int] { dimensions(ct_strides) }

    private func dimensions(_ call: (ct_tensor?, UnsafeMutablePointer<Int64>?) -> ct_status) -> [Int] {
        let rank = rank
        // Swift would write a count of 0 into the empty array that all threads share.
        guard rank > 0 else { return [] }
        return [Int](unsafeUninitializedCapacity: rank) { buffer, filled in
            buffer.withMemoryRebound(to: Int64.self) { _ = call(handle, $0.baseAddress) }
            filled = rank
        }
    }

    /// Size of one dimension, counted from the end if negative; 0 if undefined.
    package func size(_ dimension: Int) -> Int {
        guard isDefined else { return 0 }
        let shape = shape
        return shape[dimension < 0 ? dimension + shape.count : dimension]
    }

    /// Number of elements; 0 if undefined.
    package var count: Int { isDefined ? shape.reduce(1, *) : 0 }

    package var dtype: DType {
        var code: Int32 = DType.float32.rawValue
        Tensor.run("dtype", self) { ct_dtype(handle, &code) }
        return DType(rawValue: code) ?? .float32
    }

    package var device: Device {
        var device = ct_device()
        Tensor.run("device", self) { ct_device_of(handle, &device) }
        return Device(device)
    }

    package func isContiguous(_ format: MemoryFormat = .contiguous) -> Bool {
        var result = false
        Tensor.run("isContiguous", self) { ct_is_contiguous(handle, format.rawValue, &result) }
        return result
    }
}

extension Tensor: CustomStringConvertible {
    /// Type, shape and device, never the elements: a tensor may hold private images and end up in a log.
    package var description: String {
        isDefined ? "Tensor(\(dtype)\(shape) on \(device))" : "Tensor(undefined)"
    }
}
