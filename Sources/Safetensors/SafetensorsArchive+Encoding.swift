package import Foundation

extension SafetensorsArchive {
    /// The file's bytes. The same tensors and metadata always give the same bytes, whatever the order they were added
    /// in: tensors are laid out widest element first, then by name, as the format's own library does.
    package func encoded() -> Data {
        let ordered = entries.sorted { a, b in
            a.type == b.type ? a.name.utf8.lexicographicallyPrecedes(b.name.utf8) : a.type.rank < b.type.rank
        }
        var members: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { "\(json($0.key)):\(json($0.value))" }
            members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var offset = 0
        for entry in ordered {
            let shape = entry.shape.map(String.init).joined(separator: ",")
            let end = offset + entry.bytes.count
            members.append(
                "\(json(entry.name)):{\"dtype\":\"\(entry.type.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(offset),\(end)]}"
            )
            offset = end
        }
        var header = Array("{\(members.joined(separator: ","))}".utf8)
        // Data begins at a multiple of 8, so that a reader may map the file and use the elements in place.
        header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - header.count % 8) % 8))

        var file = Data(capacity: 8 + header.count + offset)
        withUnsafeBytes(of: UInt64(header.count).littleEndian) { file.append(contentsOf: $0) }
        file.append(contentsOf: header)
        for entry in ordered { file.append(entry.bytes) }
        return file
    }

    /// Writes beside the target and renames, so that a reader sees the old file or the new one, never half of it.
    package func write(to url: URL) throws(SafetensorsError) {
        try Self.check(writable: url)
        do {
            try encoded().write(to: url, options: .atomic)
        } catch {
            throw SafetensorsError(.unreadable, "Cannot write \(url.path): \(error.localizedDescription)")
        }
    }

    /// What can be seen before hours of work, not after.
    ///
    /// - Throws: `unreadable` where no file can have this name.
    package static func check(writable url: URL) throws(SafetensorsError) {
        let folder = url.deletingLastPathComponent()
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder.path) else {
            throw SafetensorsError(.unreadable, "Cannot write \(url.path): there is no folder \(folder.path)")
        }
        if FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue {
            throw SafetensorsError(.unreadable, "Cannot write \(url.path): it is a folder; name a file")
        }
        guard FileManager.default.isWritableFile(atPath: folder.path) else {
            throw SafetensorsError(.unreadable, "Cannot write \(url.path): \(folder.path) may not be written to")
        }
    }
}

/// A JSON string, escaped where the standard requires it.
private func json(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case "\u{08}": result += "\\b"
        case "\u{0C}": result += "\\f"
        case ..<" ":
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
