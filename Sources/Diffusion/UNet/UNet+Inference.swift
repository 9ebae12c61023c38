package import Torch

extension UNet {
    /// Makes it a network that is only asked: without gradients, and with its channels last, which is how convolutions and our own
    /// kernels are fastest. docs/benchmarks.md says what each type gains and costs.
    ///
    /// - Parameter dtype: what it computes in; nil: bfloat16 where the device has instructions for it, else float32.
    package func prepareForInference(dtype: DType? = nil, device: Device = .cpu) {
        setRequiresGradient(false)
        convert(to: dtype ?? device.fastest, device: device, format: .channelsLast)
    }
}
