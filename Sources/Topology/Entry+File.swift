internal import Foundation

extension Entry {
    /// A file's text.
    ///
    /// - Throws: `unreachable`, saying in words what keeps it from being read.
    static func text(of url: URL) throws(TopologyError) -> String {
        func unreachable(_ why: String) -> TopologyError { TopologyError(.unreachable, at: url.relativePath, why) }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw unreachable("there is no such file")
        }
        guard !isFolder.boolValue else { throw unreachable("is a folder, not a file") }
        guard let data = FileManager.default.contents(atPath: url.path) else {
            throw unreachable("cannot be read: is this user allowed to?")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw unreachable("is no text in UTF-8")
        }
        return text
    }
}
