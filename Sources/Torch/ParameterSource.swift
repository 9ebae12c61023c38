/// Gives new layers their first parameters: where they live, of what type, and drawn from which seed.
///
///     var source = ParameterSource(seed: 1)
///     let layer = Linear(64, 10, &source)
///
/// The n-th parameter asked for is drawn with sample number n, so a network's start depends on the seed and its
/// structure alone.
package struct ParameterSource {
    /// nil: parameters are not drawn.
    private let random: CounterRandom?
    private let fills: Bool
    private var drawn: UInt32 = 0
    package let dtype: DType
    package let device: Device

    package init(seed: UInt64, dtype: DType = .float32, device: Device = .cpu) {
        self.random = CounterRandom(seed: seed)
        fills = true
        self.dtype = dtype
        self.device = device
    }

    private init(_ dtype: DType, _ device: Device, fills: Bool) {
        self.random = nil
        self.fills = fills
        self.dtype = dtype
        self.device = device
    }

    /// For a network whose parameters are about to be loaded: all zero, which costs nothing to draw.
    package static func zeros(dtype: DType = .float32, device: Device = .cpu) -> ParameterSource {
        ParameterSource(dtype, device, fills: true)
    }

    /// For a network all of whose parameters are about to be loaded: of no particular value, so that one that is too large for its
    /// checkpoint takes no memory before that is seen.
    package static func unfilled(dtype: DType = .float32, device: Device = .cpu) -> ParameterSource {
        ParameterSource(dtype, device, fills: false)
    }

    /// Uniform in (−bound, bound).
    package mutating func uniform(_ shape: [Int], bound: Double) -> Tensor {
        draw(shape) { random, count, sample in
            random.uniforms(count, sample: sample, purpose: .parameters).map { (2 * $0 - 1) * Float(bound) }
        }
    }

    /// Standard normals.
    package mutating func normal(_ shape: [Int]) -> Tensor {
        draw(shape) { random, count, sample in random.normals(count, sample: sample, purpose: .parameters) }
    }

    package mutating func constant(_ value: Double, _ shape: [Int]) -> Tensor {
        trainable(
            fills ? .full(value, shape, dtype: dtype, device: device) : .empty(shape, dtype: dtype, device: device))
    }

    private mutating func draw(_ shape: [Int], _ numbers: (CounterRandom, Int, UInt32) -> [Float]) -> Tensor {
        guard let random else { return constant(0, shape) }
        defer { drawn += 1 }
        return trainable(Tensor(numbers(random, shape.reduce(1, *), drawn), shape: shape).to(dtype).to(device))
    }

    private func trainable(_ tensor: Tensor) -> Tensor {
        tensor.requiresGradient = true
        return tensor
    }
}
