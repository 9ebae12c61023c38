package import Wire

/// A job that cannot be done because of what it asks for: told to the client, sealed, and to nobody else.
package struct RequestError: Error, Hashable, CustomStringConvertible {
    package let code: WireFailureCode
    package let message: String

    package init(_ code: WireFailureCode, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    package var payload: WirePayload {
        var payload = WirePayload()
        payload.jobFailure.code = code
        payload.jobFailure.message = message
        return payload
    }
}

/// Why a worker cannot start or go on.
package struct WorkerError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case badSettings, badStore, badRegistry, refused, deviceLost
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
