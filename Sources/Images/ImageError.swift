/// What is wrong with an image file or a set of them. The message names the file.
package struct ImageError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The file is not there or may not be read or written.
        case unreachable
        /// Not an image, damaged, cut short, or of a kind that is not read.
        case unreadable
        /// A good image of another shape than was asked for.
        case wrongShape
        /// A label that the set or the run does not have.
        case badLabel
        /// A set with nothing in it, or whose parts do not fit together.
        case badSet
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
