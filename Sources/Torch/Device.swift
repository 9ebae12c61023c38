import CTorch
import Foundation

/// Where a tensor's elements live.
package enum Device: Hashable, Sendable, CustomStringConvertible {
    case cpu
    case cuda(Int)

    /// Loads libtorch's half for CUDA where this is a CUDA device: before anything else of libtorch is called.
    ///
    /// - Throws: `noDevice` where it cannot be used, with what to do about it.
    package func check() throws(TorchError) {
        guard case .cuda(let index) = self else { return }
        var count: Int32 = 0
        guard ct_cuda_devices(&count) == 0 else {
            throw TorchError(
                .noDevice,
                "There is no \(self): \(String(cString: ct_last_error())). Leave --device out to compute on the CPU; docs/gpu.md says what a GPU needs."
            )
        }
        guard index < count else {
            throw TorchError(
                .noDevice,
                "There is no \(self): libtorch sees \(count == 1 ? "one device, cuda:0" : "\(count) devices, cuda:0 to cuda:\(count - 1)"). CUDA_VISIBLE_DEVICES may hide others."
            )
        }
    }

    /// Waits until all is done that the device was given; on the CPU everything is.
    ///
    /// - Throws: what went wrong there meanwhile: a device that fails once fails in everything that follows.
    package func finish() throws(TorchError) {
        let status = ct_finish(c)
        guard status == 0 else { throw TorchError(TorchError.Code(status: status), String(cString: ct_last_error())) }
    }

    /// Gives back what libtorch keeps for later: of the device's memory, and of the host's for what goes there.
    package func releaseMemory() {
        _ = ct_release_memory(c)
    }

    /// The type that networks are fastest in with their quality kept: bfloat16 on a CPU with AVX-512 BF16 or AMX, and on any CUDA device
    /// that libtorch supports.
    package var fastest: DType {
        switch self {
        case .cpu: ct_cpu_has_bfloat16() ? .bfloat16 : .float32
        case .cuda: .bfloat16
        }
    }

    package var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let index): "cuda:\(index)"
        }
    }

    /// What the maker calls a CUDA device, `NVIDIA H100 80GB HBM3`; "unknown" where nobody says.
    package static func cudaName(_ index: Int) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let text = buffer.baseAddress,
                ct_cuda_device_name(Int32(clamping: index), text, Int64(buffer.count)) == 0
            else { return "unknown" }
            return String(cString: text)
        }
    }

    init(_ device: ct_device) {
        self = Int(device.kind) == CT_CUDA ? .cuda(Int(device.index)) : .cpu
    }

    var c: ct_device {
        switch self {
        case .cpu: ct_device(kind: Int32(CT_CPU), index: 0)
        case .cuda(let index): ct_device(kind: Int32(CT_CUDA), index: Int32(index))
        }
    }
}

/// How the elements of an image batch [N, C, H, W] lie in memory. The shape is the same in both.
package enum MemoryFormat: Int32, Hashable, Sendable {
    // The raw values are those of ctorch.h.
    case contiguous, channelsLast
}

/// What libtorch keeps for the whole process.
package enum Runtime {
    /// Version of the libtorch this was compiled against.
    package static var version: String { String(cString: ct_version()) }

    /// Tensors made on this thread minus tensors freed on it: two readings around a piece of work show what it left
    /// behind.
    package static var tensorBalance: Int { Int(ct_balance()) }

    /// Threads inside one operation. Meant to be set once, at the start of a process.
    package static var threads: Int {
        get {
            var count: Int32 = 0
            return ct_threads(&count) == 0 ? Int(count) : 1
        }
        set {
            precondition(newValue > 0 && newValue <= 1024, "between 1 and 1024 threads")
            let status = ct_set_threads(Int32(newValue))
            if status != 0 { TorchError.report(status, "threads", []) }
        }
    }

    /// Keeps the memory of tensors that were freed for the next ones, where glibc would give it back to the system: without it the pages of
    /// each pass are taken anew. For processes that make passes of one kind, before their threads are started.
    package static func keepFreedMemory() { ct_keep_freed_memory() }

    /// Treats the smallest numbers as zero: they cost a CPU a hundred times a normal one. Per thread, so call it at a
    /// thread's start.
    package static func flushDenormals(_ on: Bool = true) {
        let status = ct_set_flush_denormal(on)
        if status != 0 { TorchError.report(status, "flushDenormals", []) }
    }
}
