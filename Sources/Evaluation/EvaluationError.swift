/// Data that a measurement cannot be made from.
package struct EvaluationError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// Too few images or features.
        case tooFew
        /// Shapes or counts that do not belong together.
        case mismatch
        /// A label outside 0 ..< classes.
        case badLabel
        /// NaN or infinity in the data or in the result.
        case notFinite
        /// A signal level outside (0, 1].
        case badSignal
        /// A folder that is not, or not yet, what a run leaves.
        case badRun
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
