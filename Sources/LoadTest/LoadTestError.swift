/// Why a load test cannot begin or go on.
package struct LoadTestError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case badKeys, badPlan, badGoal, unreachable, interrupted
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
