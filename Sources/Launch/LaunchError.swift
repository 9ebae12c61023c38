/// Why a deployment could not be started.
package struct LaunchError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The operating system refused.
        case system
        /// The folder for what a run makes holds something else, or another run is using it.
        case folder
        /// Keys or certificates could not be made.
        case trust
        /// The topology describes a run that cannot be.
        case run
    }

    package let code: Code
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
