/// libzmq's question "may this key come in?" (ZAP, RFC 27), read from its frames: version, request id, domain, address, routing
/// id, mechanism, credentials.
package struct AccessRequest: Sendable {
    package static let longestID = 255

    package let id: [UInt8]
    /// The peer's, for the logs.
    package let address: String
    /// nil: the mechanism is not CURVE, or its key none.
    package let key: CurveKey?

    /// - Returns: nil for what is no such question, so that there is no id to answer to.
    package init?(parts: [[UInt8]]) {
        guard parts.count >= 6, parts[0] == Array("1.0".utf8), parts[1].count <= Self.longestID else { return nil }
        id = parts[1]
        address = String(decoding: parts[3], as: UTF8.self)
        key = parts[5] == Array("CURVE".utf8) && parts.count == 7 ? CurveKey(parts[6]) : nil
    }
}
