package import ArgumentParser
package import Foundation

/// A file that an option names for a report, made before what is reported on: hours of work shall not end with a folder that is missing.
///
///     let file = try json.map { path throws(ValidationError) in try ReportFile(path) }
package struct ReportFile: Sendable {
    private let handle: FileHandle

    /// Makes it, and its folder, empty.
    package init(_ path: String) throws(ValidationError) {
        let url = URL(filePath: path)
        do {
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data().write(to: url)
            handle = try FileHandle(forWritingTo: url)
        } catch {
            throw ValidationError("\(path) cannot be written: \(error.localizedDescription)")
        }
    }

    package func write(_ content: Data) throws { try handle.write(contentsOf: content) }
}
