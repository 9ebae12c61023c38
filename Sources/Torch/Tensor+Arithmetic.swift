import CTorch

// Shapes broadcast as in PyTorch: aligned at the last dimension, size 1 stretches. Scalars do not change a tensor's
// type.

extension Tensor {
    package static func + (a: Tensor, b: Tensor) -> Tensor { make("+", a, b) { ct_add($0, $1, $2) } }
    package static func - (a: Tensor, b: Tensor) -> Tensor { make("-", a, b) { ct_sub($0, $1, $2) } }
    package static func * (a: Tensor, b: Tensor) -> Tensor { make("*", a, b) { ct_mul($0, $1, $2) } }
    package static func / (a: Tensor, b: Tensor) -> Tensor { make("/", a, b) { ct_div($0, $1, $2) } }

    package static func + (a: Tensor, b: Double) -> Tensor { make("+", a) { ct_add_scalar($0, b, $1) } }
    package static func - (a: Tensor, b: Double) -> Tensor { make("-", a) { ct_add_scalar($0, -b, $1) } }
    package static func * (a: Tensor, b: Double) -> Tensor { make("*", a) { ct_mul_scalar($0, b, $1) } }
    package static func / (a: Tensor, b: Double) -> Tensor { make("/", a) { ct_div_scalar($0, b, $1) } }

    package static func + (a: Double, b: Tensor) -> Tensor { b + a }
    package static func - (a: Double, b: Tensor) -> Tensor { make("-", b) { ct_scalar_sub(a, $0, $1) } }
    package static func * (a: Double, b: Tensor) -> Tensor { b * a }
    package static func / (a: Double, b: Tensor) -> Tensor { make("/", b) { ct_scalar_div(a, $0, $1) } }

    package static prefix func - (a: Tensor) -> Tensor { make("-", a) { ct_neg($0, $1) } }

    package func pow(_ exponent: Double) -> Tensor { .make("pow", self) { ct_pow_scalar($0, exponent, $1) } }

    /// self + weight · (other − self)
    package func lerp(_ other: Tensor, _ weight: Double) -> Tensor {
        .make("lerp", self, other) { ct_lerp($0, $1, weight, $2) }
    }
}

// MARK: element by element

extension Tensor {
    package func abs() -> Tensor { .make("abs", self) { ct_abs($0, $1) } }
    package func exp() -> Tensor { .make("exp", self) { ct_exp($0, $1) } }
    package func log() -> Tensor { .make("log", self) { ct_log($0, $1) } }
    package func sqrt() -> Tensor { .make("sqrt", self) { ct_sqrt($0, $1) } }
    /// 1/√x
    package func rsqrt() -> Tensor { .make("rsqrt", self) { ct_rsqrt($0, $1) } }
    package func square() -> Tensor { .make("square", self) { ct_square($0, $1) } }
    package func sin() -> Tensor { .make("sin", self) { ct_sin($0, $1) } }
    package func cos() -> Tensor { .make("cos", self) { ct_cos($0, $1) } }
    package func tanh() -> Tensor { .make("tanh", self) { ct_tanh($0, $1) } }
    package func sigmoid() -> Tensor { .make("sigmoid", self) { ct_sigmoid($0, $1) } }
    /// x · sigmoid(x)
    package func silu() -> Tensor { .make("silu", self) { ct_silu($0, $1) } }
    package func relu() -> Tensor { .make("relu", self) { ct_relu($0, $1) } }
    /// x · tanh(ln(1 + eˣ))
    package func mish() -> Tensor { .make("mish", self) { ct_mish($0, $1) } }
    /// x · Φ(x), exactly or by the usual tanh formula.
    package func gelu(tanhApproximation: Bool = false) -> Tensor {
        .make("gelu", self) { ct_gelu($0, tanhApproximation, $1) }
    }
    /// To the nearest whole number, halves to even.
    package func rounded() -> Tensor { .make("rounded", self) { ct_round($0, $1) } }

    package func clamped(_ low: Double, _ high: Double) -> Tensor {
        .make("clamped", self) { ct_clamp($0, low, high, $1) }
    }

    package static func maximum(_ a: Tensor, _ b: Tensor) -> Tensor { make("maximum", a, b) { ct_maximum($0, $1, $2) } }
    package static func minimum(_ a: Tensor, _ b: Tensor) -> Tensor { make("minimum", a, b) { ct_minimum($0, $1, $2) } }
}

// MARK: comparison and masks

extension Tensor {
    // `.==` and friends, as for SIMD: `==` on a class reads as identity.
    package static func .== (a: Tensor, b: Tensor) -> Tensor { compare(".==", a, b, CT_EQ) }
    package static func .!= (a: Tensor, b: Tensor) -> Tensor { compare(".!=", a, b, CT_NE) }
    package static func .< (a: Tensor, b: Tensor) -> Tensor { compare(".<", a, b, CT_LT) }
    package static func .<= (a: Tensor, b: Tensor) -> Tensor { compare(".<=", a, b, CT_LE) }
    package static func .> (a: Tensor, b: Tensor) -> Tensor { compare(".>", a, b, CT_GT) }
    package static func .>= (a: Tensor, b: Tensor) -> Tensor { compare(".>=", a, b, CT_GE) }

    package static func .== (a: Tensor, b: Double) -> Tensor { compare(".==", a, b, CT_EQ) }
    package static func .!= (a: Tensor, b: Double) -> Tensor { compare(".!=", a, b, CT_NE) }
    package static func .< (a: Tensor, b: Double) -> Tensor { compare(".<", a, b, CT_LT) }
    package static func .<= (a: Tensor, b: Double) -> Tensor { compare(".<=", a, b, CT_LE) }
    package static func .> (a: Tensor, b: Double) -> Tensor { compare(".>", a, b, CT_GT) }
    package static func .>= (a: Tensor, b: Double) -> Tensor { compare(".>=", a, b, CT_GE) }

    package static prefix func .! (a: Tensor) -> Tensor { make(".!", a) { ct_logical_not($0, $1) } }

    private static func compare(_ name: StaticString, _ a: Tensor, _ b: Tensor, _ relation: Int) -> Tensor {
        make(name, a, b) { ct_compare($0, $1, Int32(relation), $2) }
    }

    private static func compare(_ name: StaticString, _ a: Tensor, _ b: Double, _ relation: Int) -> Tensor {
        make(name, a) { ct_compare_scalar($0, b, Int32(relation), $1) }
    }

    /// Element by element: `a` where this boolean tensor is true, else `b`.
    package func choose(_ a: Tensor, else b: Tensor) -> Tensor {
        .make("choose", self, a, b) { ct_where($0, $1, $2, $3) }
    }

    package func masked(_ mask: Tensor, with value: Double) -> Tensor {
        .make("masked", self, mask) { ct_masked_fill($0, $1, value, $2) }
    }

    package func isNaN() -> Tensor { .make("isNaN", self) { ct_isnan($0, $1) } }

    /// Whether no element is NaN or infinite; false if undefined.
    package var isFinite: Bool {
        var result = false
        Tensor.run("isFinite", self) { ct_all_finite(handle, &result) }
        return result
    }
}

// MARK: in place

extension Tensor {
    // For optimisers and running state. libtorch refuses them on a leaf that requires a gradient, unless in
    // `withoutGradients`.

    /// self += factor · other
    package func add(inPlace other: Tensor, factor: Double = 1) {
        Tensor.run("add(inPlace:)", self, other) { ct_add_in_place(handle, other.handle, factor) }
    }

    package func multiply(inPlace factor: Double) {
        Tensor.run("multiply(inPlace:)", self) { ct_mul_in_place(handle, factor) }
    }

    package func fill(_ value: Double) { Tensor.run("fill", self) { ct_fill_in_place(handle, value) } }

    /// Overwrites the elements; the source is broadcast and converted.
    package func copy(from source: Tensor) {
        Tensor.run("copy(from:)", self, source) { ct_copy_in_place(handle, source.handle) }
    }

    /// self += weight · (other − self)
    package func lerp(inPlace other: Tensor, _ weight: Double) {
        Tensor.run("lerp(inPlace:)", self, other) { ct_lerp_in_place(handle, other.handle, weight) }
    }
}
