package import Foundation

/// Named tensors as plain bytes: the content of one safetensors file.
///
///     var archive = SafetensorsArchive()
///     try archive.append(.init(name: "images", shape: [2, 1, 8, 8], floats: pixels))
///     let blob = archive.encoded()
///     let again = try SafetensorsArchive(decoding: blob).floats("images", shape: [2, 1, 8, 8])
///
/// A value: no file handle, no tensor library. Entries decoded from bytes are slices of them, not copies.
package struct SafetensorsArchive: Hashable, Sendable {
    /// One tensor: row-major elements, little-endian.
    package struct Entry: Hashable, Sendable {
        package let name: String
        package let type: ElementType
        package let shape: [Int]
        package let bytes: Data

        /// Number of elements.
        package var count: Int { bytes.count / type.size }

        /// Throws `sizeMismatch` if the bytes do not fill the shape exactly, or the shape has no size that fits an
        /// `Int`.
        package init(name: String, type: ElementType, shape: [Int], bytes: Data) throws(SafetensorsError) {
            guard let size = Self.byteCount(type, shape) else {
                throw SafetensorsError(
                    .sizeMismatch, "Tensor \(quoted(name)): the shape \(shape) is negative or too large.")
            }
            guard size == bytes.count else {
                throw SafetensorsError(
                    .sizeMismatch,
                    "Tensor \(quoted(name)): \(type.rawValue) of shape \(shape) takes \(size) bytes, not \(bytes.count)."
                )
            }
            self.name = name
            self.type = type
            self.shape = shape
            self.bytes = bytes
        }

        /// nil where a dimension is negative or the product overflows.
        static func byteCount(_ type: ElementType, _ shape: [Int]) -> Int? {
            var size = type.size
            // A zero anywhere makes the product zero, but only after the other factors were multiplied; they must not
            // overflow either.
            for dimension in shape {
                let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
                guard dimension >= 0, !overflow else { return nil }
                size = product
            }
            return size
        }
    }

    /// In the order of their bytes when decoded, in the order of `append` otherwise.
    package private(set) var entries: [Entry] = []
    /// Free text beside the tensors; `encoded()` sorts it by key.
    package var metadata: [String: String]
    private var places: [String: Int] = [:]

    package init(metadata: [String: String] = [:]) {
        self.metadata = metadata
    }

    package var names: [String] { entries.map(\.name) }

    package subscript(name: String) -> Entry? { places[name].map { entries[$0] } }

    /// Throws `duplicateName`.
    package mutating func append(_ entry: Entry) throws(SafetensorsError) {
        guard entry.name != "__metadata__" else {
            throw SafetensorsError(.malformedHeader, "\"__metadata__\" is reserved: give the tensor another name.")
        }
        guard places[entry.name] == nil else {
            throw SafetensorsError(.duplicateName, "Two tensors are named \(quoted(entry.name)): names must differ.")
        }
        places[entry.name] = entries.count
        entries.append(entry)
    }

    /// Throws `missing`.
    package func entry(_ name: String) throws(SafetensorsError) -> Entry {
        guard let entry = self[name] else {
            let some = names.prefix(8).joined(separator: ", ")
            throw SafetensorsError(
                .missing, "No tensor is named \(quoted(name)); the file has \(entries.count): \(some).")
        }
        return entry
    }

    package static func == (a: Self, b: Self) -> Bool { a.entries == b.entries && a.metadata == b.metadata }
}

/// A name from a file, cut and escaped so that it can stand in a message.
func quoted(_ name: String) -> String {
    name.count <= 120 ? name.debugDescription : String(name.prefix(120)).debugDescription + "…"
}
