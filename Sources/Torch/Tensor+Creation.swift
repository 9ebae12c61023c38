import CTorch
import Foundation
package import Safetensors

extension Tensor {
    /// A float32 tensor of these elements in row-major order. Without a shape it is a vector.
    package convenience init(_ values: [Float], shape: [Int]? = nil, device: Device = .cpu) {
        self.init(values: values, dtype: .float32, shape: shape, device: device)
    }

    /// A float64 tensor.
    package convenience init(doubles values: [Double], shape: [Int]? = nil, device: Device = .cpu) {
        self.init(values: values, dtype: .float64, shape: shape, device: device)
    }

    /// An int64 tensor: labels, timesteps, indices.
    package convenience init(_ values: [Int], shape: [Int]? = nil, device: Device = .cpu) {
        self.init(values: values, dtype: .int64, shape: shape, device: device)
    }

    /// A uint8 tensor.
    package convenience init(_ values: [UInt8], shape: [Int]? = nil, device: Device = .cpu) {
        self.init(values: values, dtype: .uint8, shape: shape, device: device)
    }

    private convenience init<Element>(values: [Element], dtype: DType, shape: [Int]?, device: Device) {
        let handle = values.withUnsafeBytes {
            Tensor.create($0, dtype: dtype, shape: shape ?? [values.count], device: device)
        }
        self.init(taking: handle)
    }

    private static func create(_ bytes: UnsafeRawBufferPointer, dtype: DType, shape: [Int], device: Device)
        -> ct_tensor?
    {
        withInt64s(shape) { sizes, rank in
            var out: ct_tensor?
            let status = ct_from_bytes(
                bytes.baseAddress, Int64(bytes.count), dtype.rawValue, sizes, rank, device.c, &out)
            if status != 0 { TorchError.report(status, "Tensor.init", []) }
            return out
        }
    }

    /// A copy of a tensor from a file or from the wire. Throws rather than traps, because the bytes are foreign.
    package convenience init(_ entry: SafetensorsArchive.Entry, device: Device = .cpu) throws(TorchError) {
        do {
            let handle = try TorchError.catching {
                entry.bytes.withUnsafeBytes {
                    Tensor.create($0, dtype: DType(entry.type), shape: entry.shape, device: device)
                }
            }
            self.init(taking: handle)
        } catch let error as TorchError {
            throw error
        } catch {
            throw TorchError(.failed, "\(error)")
        }
    }

    package static func full(_ value: Double, _ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor
    {
        withInt64s(shape) { sizes, rank in
            var out: ct_tensor?
            run("full") { ct_full(value, dtype.rawValue, sizes, rank, device.c, &out) }
            return Tensor(taking: out)
        }
    }

    package static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
        full(0, shape, dtype: dtype, device: device)
    }

    package static func ones(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
        full(1, shape, dtype: dtype, device: device)
    }

    /// Elements of no particular value, for a tensor that is about to be filled.
    package static func empty(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
        withInt64s(shape) { sizes, rank in
            var out: ct_tensor?
            run("empty") { ct_empty(dtype.rawValue, sizes, rank, device.c, &out) }
            return Tensor(taking: out)
        }
    }

    /// start, start + step, … below end.
    package static func arange(
        _ start: Double = 0, to end: Double, step: Double = 1, dtype: DType = .float32, device: Device = .cpu
    ) -> Tensor {
        var out: ct_tensor?
        run("arange") { ct_arange(start, end, step, dtype.rawValue, device.c, &out) }
        return Tensor(taking: out)
    }

    /// The identity matrix.
    package static func eye(_ n: Int, dtype: DType = .float32, device: Device = .cpu) -> Tensor {
        var out: ct_tensor?
        run("eye") { ct_eye(Int64(n), dtype.rawValue, device.c, &out) }
        return Tensor(taking: out)
    }

    /// Zeros of this tensor's shape, type and device.
    package func zerosLike() -> Tensor {
        .zeros(shape, dtype: isDefined ? dtype : .float32, device: isDefined ? device : .cpu)
    }
}

// MARK: reading

extension Tensor {
    /// All elements in row-major order, converted to float32; empty if undefined.
    package var floats: [Float] { read(as: .float32, 0) }

    /// All elements in row-major order, converted to float64; empty if undefined.
    package var doubles: [Double] { read(as: .float64, 0) }

    /// All elements in row-major order, converted to int64; empty if undefined.
    package var integers: [Int] { read(as: .int64, 0) }

    /// All elements of a uint8 tensor, or any other converted to it.
    package var uint8s: [UInt8] { read(as: .uint8, 0) }

    private func read<Element>(as dtype: DType, _ zero: Element) -> [Element] {
        guard isDefined else { return [] }
        let plain = to(dtype)
        guard plain.isDefined else { return [] }
        var result = [Element](repeating: zero, count: plain.count)
        result.withUnsafeMutableBytes { buffer in
            Tensor.run("read", plain) { ct_copy_out(plain.handle, buffer.baseAddress, Int64(buffer.count)) }
        }
        return result
    }

    /// The only element; NaN if undefined. Waits for the device.
    package var item: Double {
        var value = Double.nan
        Tensor.run("item", self) { ct_item(handle, &value) }
        return value
    }

    /// The elements as they are, under a name, for a safetensors file.
    package func entry(named name: String) throws(SafetensorsError) -> SafetensorsArchive.Entry {
        var bytes = Data(count: count * dtype.size)
        bytes.withUnsafeMutableBytes { buffer in
            Tensor.run("read", self) { ct_copy_out(handle, buffer.baseAddress, Int64(buffer.count)) }
        }
        return try SafetensorsArchive.Entry(name: name, type: dtype.elementType, shape: shape, bytes: bytes)
    }
}

// MARK: converting

extension Tensor {
    /// This tensor itself if it has the type already.
    package func to(_ dtype: DType) -> Tensor { .make("to", self) { ct_to_dtype($0, dtype.rawValue, $1) } }

    /// This tensor itself if it is there already.
    package func to(_ device: Device) -> Tensor { .make("to", self) { ct_to_device($0, device.c, $1) } }

    /// This tensor itself if it lies so already.
    package func contiguous(_ format: MemoryFormat = .contiguous) -> Tensor {
        .make("contiguous", self) { ct_to_format($0, format.rawValue, $1) }
    }

    package func clone() -> Tensor { .make("clone", self) { ct_clone($0, $1) } }
}
