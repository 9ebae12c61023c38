package import Foundation

extension SafetensorsArchive {
    /// The largest header read, in bytes; the format's own library has the same limit.
    package static let headerLimit = 100_000_000

    /// Reads a file.
    ///
    ///     bytes 0–7   header length n, little-endian
    ///     bytes 8–    n bytes of JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}
    ///     the rest    data; the offsets count from here and must cover it exactly, without gap or overlap
    ///
    /// Nothing is allocated on the word of the file: the length is compared with what is there before it is used.
    package init(decoding file: Data) throws(SafetensorsError) {
        guard file.count >= 8 else {
            throw SafetensorsError(
                .truncated, "A safetensors file begins with 8 bytes of header length; there are \(file.count).")
        }
        let length = file.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(Self.headerLimit) else {
            throw SafetensorsError(
                .headerTooLarge, "The header claims \(length) bytes; at most \(Self.headerLimit) are read.")
        }
        guard length <= UInt64(file.count - 8) else {
            throw SafetensorsError(.truncated, "The header claims \(length) bytes, but only \(file.count - 8) follow.")
        }
        let data = file.dropFirst(8 + Int(length))
        var parser = HeaderParser(bytes: Array(file.dropFirst(8).prefix(Int(length))))
        let header = try parser.parse()
        self.init(metadata: header.metadata)

        var end = 0
        for tensor in header.tensors.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
            guard tensor.begin == end, tensor.end >= tensor.begin, tensor.end <= data.count else {
                throw SafetensorsError(
                    .badOffsets,
                    "Tensor \(quoted(tensor.name)) has offsets [\(tensor.begin), \(tensor.end)]; expected to begin at "
                        + "\(end) and to end within \(data.count) bytes of data.")
            }
            let bytes = data[data.startIndex + tensor.begin..<data.startIndex + tensor.end]
            try append(Entry(name: tensor.name, type: tensor.type, shape: tensor.shape, bytes: bytes))
            end = tensor.end
        }
        guard end == data.count else {
            let problem = "The tensors cover \(end) bytes of data, but there are \(data.count)."
            throw SafetensorsError(.badOffsets, problem)
        }
    }

    package init(contentsOf url: URL) throws(SafetensorsError) {
        let file: Data
        do {
            file = try Data(contentsOf: url)
        } catch {
            throw SafetensorsError(.unreadable, "Cannot read \(url.path): \(error.localizedDescription)")
        }
        try self.init(decoding: file)
    }
}
