internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

extension Error {
    /// For people: what an error of this project says; of one of Foundation's, the file and the system's reason, and not its fields.
    package var words: String {
        guard isFoundations else { return "\(self)" }
        let error = self as NSError
        let reason = systemCode.map { String(cString: strerror($0)) } ?? error.localizedDescription
        let file = error.userInfo[NSFilePathErrorKey] as? String ?? (error.userInfo[NSURLErrorKey] as? URL)?.path
        return file.map { "\($0): \(reason)" } ?? reason
    }

    /// Whether its description is a list of fields.
    package var isFoundations: Bool {
        [NSCocoaErrorDomain, NSPOSIXErrorDomain, NSURLErrorDomain].contains((self as NSError).domain)
    }

    /// The `errno` that one of Foundation's errors stands for, or comes from.
    var systemCode: Int32? {
        var cause: (any Error)? = self
        while let error = cause as NSError? {
            if error.domain == NSPOSIXErrorDomain { return Int32(clamping: error.code) }
            cause = error.userInfo[NSUnderlyingErrorKey] as? any Error
        }
        return nil
    }
}
