/// Something that this room was asked for and cannot do.
package struct ExchangeError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// A sample whose steps cannot be taken.
        case badSteps
        /// More than fits into one forward pass.
        case tooWide
        /// A publication that the schedule has no room for.
        case badCut
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
