/// A number that has no place on the chain: a timestep, cut, schedule or descriptor that cannot be.
package struct ChainError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case badSchedule, zeroTerminalSNR, cutOutOfRange, cutNotAllowed, badTimesteps, badSampler, badExposure,
            badDescriptor
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
