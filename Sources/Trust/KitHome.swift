internal import Disk
package import Foundation
internal import Wire

/// `home.id` in a client's kit: the fingerprint of the home that its masks are made in, so that no other home is taken for it. One
/// line of text, no secret.
package enum KitHome {
    package static let name = "home.id"
    private static let word = "collafuse-home-1"

    /// - Returns: nil when no home is named yet.
    package static func read(in kit: URL) throws(TrustError) -> [UInt8]? {
        let file = kit.appending(path: name)
        guard Files.exists(file) else { return nil }
        let words = String(decoding: try Files.read(file, atMost: 200), as: UTF8.self).split(
            whereSeparator: \.isWhitespace)
        guard words.count == 2, words[0] == word, let fingerprint = [UInt8](hex: words[1]), fingerprint.count == 16
        else {
            throw TrustError(.malformed, "\(file.path) must be one line: \(word) and 32 hexadecimal digits")
        }
        return fingerprint
    }

    package static func write(_ fingerprint: [UInt8], in kit: URL) throws(TrustError) {
        try Files.replace(kit.appending(path: name), with: Array("\(word) \(fingerprint.hex)\n".utf8))
    }
}
