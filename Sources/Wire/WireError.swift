/// Bytes of another party that do not follow the protocol.
package struct WireError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case truncated, malformed, wrongLength, unsupportedVersion, missingField, outOfRange
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
