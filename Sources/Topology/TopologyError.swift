/// What is wrong with a topology, and where: "topology/quickstart.yaml:12: …".
package struct TopologyError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The file is not there or may not be read.
        case unreachable
        /// Not YAML, or the same key twice.
        case syntax
        /// A key that means nothing here.
        case unknownKey
        case missingKey
        /// Text where a number is due, a list where a mapping is due, and so on.
        case wrongType
        case outOfRange
        /// Each part is right, but they do not fit together.
        case inconsistent
    }

    package let code: Code
    /// "FILE:LINE", or the override that said it.
    package let place: String
    package let message: String

    init(_ code: Code, at place: String, _ message: String) {
        self.code = code
        self.place = place
        self.message = message
    }

    package var description: String { "\(place): \(message)" }
}
