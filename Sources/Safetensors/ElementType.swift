/// The element types of the format that this project reads and writes; the raw value is the name in the header.
///
/// The order of the cases is the order in which the format's own library lays tensors out: widest first, so that every
/// tensor starts at a multiple of its element size.
package enum ElementType: String, Hashable, Sendable, CaseIterable {
    case int64 = "I64"
    case float64 = "F64"
    case float32 = "F32"
    case int32 = "I32"
    case bfloat16 = "BF16"
    case float16 = "F16"
    case int16 = "I16"
    case int8 = "I8"
    case uint8 = "U8"
    case bool = "BOOL"

    /// Bytes per element.
    package var size: Int {
        switch self {
        case .int64, .float64: 8
        case .float32, .int32: 4
        case .bfloat16, .float16, .int16: 2
        case .int8, .uint8, .bool: 1
        }
    }

    /// Place in the layout order.
    var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
