/// A name of fixed length made of random or hashed bytes: what jobs, clients, runs and keys are called.
///
/// `Kind` keeps a job's name from being passed where a client's is meant.
package struct Identifier<Kind: IdentifierKind>: Hashable, Sendable, CustomStringConvertible {
    // In place and not in an array: a broker makes, compares and hashes a dozen of them for each job.
    @usableFromInline let words: (UInt64, UInt64, UInt64, UInt64)

    /// - Returns: nil when `bytes` has not the length of this kind.
    @inlinable
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Kind.length else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
        self.words = words
    }

    @inlinable
    package var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0.prefix(Kind.length)) } }

    @inlinable
    package static func == (left: Self, right: Self) -> Bool { left.words == right.words }

    /// All of the names that peers choose; of a hash enough.
    @inlinable
    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }

    package static func random(using generator: inout some RandomNumberGenerator) -> Self {
        Self((0..<Kind.length).map { _ in UInt8.random(in: .min ... .max, using: &generator) })!
    }

    /// Lower-case hexadecimal, as in file names and logs.
    package var description: String { bytes.hex }

    /// The first eight hexadecimal digits: enough for people.
    package var short: String { String(description.prefix(8)) }
}

package protocol IdentifierKind: Sendable {
    /// 16 or 32.
    static var length: Int { get }
}

package enum ClientKind: IdentifierKind { package static let length = 16 }
package enum WorkerKind: IdentifierKind { package static let length = 16 }
package enum BrokerKind: IdentifierKind { package static let length = 16 }
package enum SessionKind: IdentifierKind { package static let length = 16 }
package enum JobKindName: IdentifierKind { package static let length = 16 }
package enum PoolKeyKind: IdentifierKind { package static let length = 16 }
package enum PublicationKind: IdentifierKind { package static let length = 16 }
package enum RunKind: IdentifierKind { package static let length = 32 }
package enum DigestKind: IdentifierKind { package static let length = 32 }

package typealias ClientID = Identifier<ClientKind>
package typealias WorkerID = Identifier<WorkerKind>
package typealias BrokerID = Identifier<BrokerKind>
package typealias SessionID = Identifier<SessionKind>
package typealias JobID = Identifier<JobKindName>
package typealias PoolKeyID = Identifier<PoolKeyKind>
package typealias PublicationID = Identifier<PublicationKind>
package typealias RunID = Identifier<RunKind>
package typealias Digest = Identifier<DigestKind>

/// A job's full name: a job id is the client's own choice, so it is unique only beside the client's id.
package struct JobKey: Hashable, Sendable, CustomStringConvertible {
    package let client: ClientID
    package let job: JobID

    package init(client: ClientID, job: JobID) {
        self.client = client
        self.job = job
    }

    package var description: String { "\(client.short)/\(job.short)" }
}

/// Which attempt speaks: the broker's id, its boot epoch and the attempt's number.
package struct Fence: Hashable, Sendable {
    package let broker: BrokerID
    package let bootEpoch: UInt64
    package let attempt: UInt32

    package init(broker: BrokerID, bootEpoch: UInt64, attempt: UInt32) {
        self.broker = broker
        self.bootEpoch = bootEpoch
        self.attempt = attempt
    }
}

extension Collection<UInt8> {
    package var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

extension [UInt8] {
    /// - Returns: nil when `hex` is not an even number of hexadecimal digits.
    package init?(hex: some StringProtocol) {
        let digits = hex.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count.isMultiple(of: 2), !digits.contains(nil) else { return nil }
        self = stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0]! << 4 | digits[$0 + 1]!) }
    }
}
