internal import Foundation

/// Unix time in milliseconds, as in every message. Passed in, never read here.
package typealias UnixTime = Int64

extension UnixTime {
    package static let day: UnixTime = 86_400_000

    /// For messages to people.
    var asDate: String {
        Date(timeIntervalSince1970: Double(self) / 1000).formatted(.iso8601)
    }
}

/// From when until when something holds. The end is outside.
package struct Validity: Hashable, Sendable {
    package let notBefore: UnixTime
    package let notAfter: UnixTime

    /// Clocks of honest machines differ by less; it is granted at the start, never at the end.
    package static let clockTolerance: UnixTime = 120_000

    package init(notBefore: UnixTime, notAfter: UnixTime) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// When it begins to hold, with the tolerance, and when it ends.
    var changes: [UnixTime] { [max(notBefore, .min + Self.clockTolerance) - Self.clockTolerance, notAfter] }

    /// - Throws: `.notYetValid` or `.expired`, with the date and `remedy`.
    package func check(_ what: String, at now: UnixTime, remedy: String) throws(TrustError) {
        guard notBefore <= now + Self.clockTolerance else {
            throw TrustError(
                .notYetValid,
                "\(what) holds from \(notBefore.asDate), and it is \(now.asDate) here: is this clock right?")
        }
        guard now < notAfter else {
            throw TrustError(.expired, "\(what) ended at \(notAfter.asDate), and it is \(now.asDate) here: \(remedy)")
        }
    }
}
