/// Why a journal cannot be opened or cannot store; the message names the file and says what to do.
package struct JournalError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// Another process has it.
        case inUse
        /// Written by a newer version.
        case newer
        /// A file of something else.
        case foreign
        case corrupt
        /// The disk is full, or nearly.
        case full
        /// The disk refuses to write, and may not for ever.
        case unwritable
        /// What was written may not have reached the disk, or the file cannot be used at all.
        case broken
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    /// Whether the same write may succeed later.
    package var mayPass: Bool { code == .full || code == .unwritable }

    /// Whether a broker that is started again will fail again.
    package var isHopeless: Bool {
        switch code {
        case .newer, .foreign, .corrupt: true
        case .inUse, .full, .unwritable, .broken: false
        }
    }
}
