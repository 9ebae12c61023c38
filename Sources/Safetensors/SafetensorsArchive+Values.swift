import Foundation

extension SafetensorsArchive.Entry {
    package init(name: String, shape: [Int], floats: [Float]) throws(SafetensorsError) {
        try self.init(name: name, type: .float32, shape: shape, bytes: littleEndian(floats.map(\.bitPattern)))
    }

    package init(name: String, shape: [Int], doubles: [Double]) throws(SafetensorsError) {
        try self.init(name: name, type: .float64, shape: shape, bytes: littleEndian(doubles.map(\.bitPattern)))
    }

    package init(name: String, shape: [Int], int64s: [Int64]) throws(SafetensorsError) {
        try self.init(name: name, type: .int64, shape: shape, bytes: littleEndian(int64s))
    }

    package init(name: String, shape: [Int], uint8s: [UInt8]) throws(SafetensorsError) {
        try self.init(name: name, type: .uint8, shape: shape, bytes: Data(uint8s))
    }

    /// The elements of any floating-point type, as `Float` (F64 is rounded). Throws `wrongType` for the others.
    package func floats() throws(SafetensorsError) -> [Float] {
        switch type {
        case .float32: elements(UInt32.self).map { Float(bitPattern: $0) }
        case .float64: elements(UInt64.self).map { Float(Double(bitPattern: $0)) }
        case .bfloat16: elements(UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
        case .float16: elements(UInt16.self).map { Float(Float16(bitPattern: $0)) }
        default: throw notA("floating-point numbers")
        }
    }

    /// The elements of any floating-point type, exactly. Throws `wrongType` for the others.
    package func doubles() throws(SafetensorsError) -> [Double] {
        guard type == .float64 else { return try floats().map(Double.init) }
        return elements(UInt64.self).map { Double(bitPattern: $0) }
    }

    /// The elements of any integer type, or 0 and 1 for BOOL. Throws `wrongType` for floating-point types.
    package func integers() throws(SafetensorsError) -> [Int] {
        switch type {
        case .int64: elements(Int64.self).map { Int($0) }
        case .int32: elements(Int32.self).map { Int($0) }
        case .int16: elements(Int16.self).map { Int($0) }
        case .int8: elements(Int8.self).map { Int($0) }
        case .uint8, .bool: bytes.map { Int($0) }
        default: throw notA("whole numbers")
        }
    }

    /// Throws `wrongShape` unless every given dimension agrees; nil stands for any size.
    package func requireShape(_ wanted: [Int?]) throws(SafetensorsError) {
        guard wanted.count == shape.count, zip(wanted, shape).allSatisfy({ $0 == nil || $0 == $1 }) else {
            let text = wanted.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
            throw SafetensorsError(.wrongShape, "Tensor \(quoted(name)) has the shape \(shape), not [\(text)].")
        }
    }

    private func elements<Element: FixedWidthInteger>(_: Element.Type) -> [Element] {
        bytes.withUnsafeBytes { raw in
            [Element](unsafeUninitializedCapacity: count) { buffer, filled in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: raw.prefix(count * type.size)))
                #if _endian(big)
                    for i in 0..<count { buffer[i] = Element(littleEndian: buffer[i]) }
                #endif
                filled = count
            }
        }
    }

    private func notA(_ wanted: String) -> SafetensorsError {
        SafetensorsError(.wrongType, "Tensor \(quoted(name)) holds \(type.rawValue), not \(wanted).")
    }
}

extension SafetensorsArchive {
    /// The named tensor's elements; nil in the shape stands for any size. Throws `missing`, `wrongShape`, `wrongType`.
    package func floats(_ name: String, shape: [Int?]? = nil) throws(SafetensorsError) -> [Float] {
        let entry = try entry(name)
        if let shape { try entry.requireShape(shape) }
        return try entry.floats()
    }

    /// As `floats(_:shape:)`, in full precision.
    package func doubles(_ name: String, shape: [Int?]? = nil) throws(SafetensorsError) -> [Double] {
        let entry = try entry(name)
        if let shape { try entry.requireShape(shape) }
        return try entry.doubles()
    }

    /// As `floats(_:shape:)`, for whole numbers.
    package func integers(_ name: String, shape: [Int?]? = nil) throws(SafetensorsError) -> [Int] {
        let entry = try entry(name)
        if let shape { try entry.requireShape(shape) }
        return try entry.integers()
    }
}

private func littleEndian<Element: FixedWidthInteger>(_ values: [Element]) -> Data {
    #if _endian(big)
        return values.map(\.littleEndian).withUnsafeBytes { Data($0) }
    #else
        return values.withUnsafeBytes { Data($0) }
    #endif
}
