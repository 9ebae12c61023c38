/// A model, a config or an image batch that this room cannot work with.
package struct DiffusionError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case badConfig, badModel, badImages, badLabels, noNullLabel, badDirectory, badState, badInput, badNoise
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
