internal import Torch

/// A model, a config or an image batch that this room cannot work with.
package struct DiffusionError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case badConfig, badModel, badImages, badLabels, noNullLabel, badDirectory, badState, badInput, badNoise
        /// Nothing is wrong with it: this machine, or device, has no memory for it now.
        case noMemory
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// What libtorch refused; `code` unless it was for want of memory.
    init(_ code: Code, _ what: String, because error: TorchError) {
        self.init(error.code == .outOfMemory ? .noMemory : code, "\(what): \(error.message)")
    }

    package var description: String { message }
}
