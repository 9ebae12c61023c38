/// Why a client's call could not be done, and what to do about it.
public struct ClientError: Error, Hashable, Sendable, CustomStringConvertible {
    public struct Code: Hashable, Sendable {
        private let name: String

        private init(_ name: String) { self.name = name }

        /// Settings, keys or folders are not what they should be.
        public static let badSettings = Code("badSettings")
        /// Images that cannot be read, or are not of the run's shape.
        public static let badImages = Code("badImages")
        /// What was asked for is out of the run's range.
        public static let badRequest = Code("badRequest")
        /// The owner's limit on what may leave.
        public static let limitReached = Code("limitReached")
        /// The broker refused the job for good.
        public static let refused = Code("refused")
        /// A worker answered that the job cannot be done.
        public static let failed = Code("failed")
        /// An answer that is not what a certified worker would send.
        public static let untrusted = Code("untrusted")
        /// The home is not as it should be, or the disk refused.
        public static let storage = Code("storage")
        /// There is no head yet, or it was trained for another cut.
        public static let noHead = Code("noHead")
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
