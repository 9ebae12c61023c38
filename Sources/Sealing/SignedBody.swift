internal import Sodium

/// What is inside the ciphertext, and how it is laid out:
///
///     u32 body length, little-endian ‖ body ‖ Ed25519 signature (64) ‖ zeroes up to a bucket
///
/// The body is a serialised `Payload`. Its length and the signature are inside, so that whoever sees the ciphertext learns
/// the bucket only.
package enum SignedBody {
    package static let signatureLength = Ed25519PublicKey.signatureLength
    /// 4 + 64: what a body costs before padding.
    static let overhead = 4 + signatureLength
    /// A gigabyte: more than any frame may have.
    static let maximumBody = 1 << 30

    package static func encode(_ body: [UInt8], signature: [UInt8]) throws(SealingError) -> [UInt8] {
        guard body.count <= maximumBody else {
            throw SealingError(.tooLarge, "a payload of \(body.count) bytes is too large: send fewer images in a job")
        }
        let length = UInt32(body.count)
        var plaintext: [UInt8] = []
        plaintext.reserveCapacity(Padding.bucket(body.count + overhead))
        for shift in stride(from: 0, to: 32, by: 8) { plaintext.append(UInt8(truncatingIfNeeded: length >> shift)) }
        plaintext += body
        plaintext += signature
        plaintext += repeatElement(0, count: Padding.bucket(plaintext.count) - plaintext.count)
        return plaintext
    }

    /// - Throws: `.malformed` unless the plaintext is exactly what ``encode(_:signature:)`` makes of its body.
    package static func decode(_ plaintext: [UInt8]) throws(SealingError) -> (body: [UInt8], signature: [UInt8]) {
        guard plaintext.count >= overhead else { throw SealingError(.malformed, "the payload is cut short") }
        let length = plaintext[0..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        let end = 4 + length + signatureLength
        guard length <= maximumBody, end <= plaintext.count, Padding.bucket(end) == plaintext.count,
            plaintext[end...].allSatisfy({ $0 == 0 })
        else { throw SealingError(.malformed, "the payload's length does not fit its bytes") }
        return (Array(plaintext[4..<4 + length]), Array(plaintext[4 + length..<end]))
    }
}

/// Padmé (Nikitin et al. 2019, "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", §4): a length
/// keeps as many leading binary digits as its logarithm has digits.
///
/// It costs 12 % at most, 3 % on average, and a length of L leaks O(log log L) bits. Everything below 1 KiB looks alike.
enum Padding {
    static let smallest = 1024

    static func bucket(_ length: Int) -> Int {
        guard length > smallest else { return smallest }
        let exponent = length.bitWidth - 1 - length.leadingZeroBitCount  // ⌊log₂ L⌋
        let kept = exponent.bitWidth - exponent.leadingZeroBitCount  // ⌊log₂ E⌋ + 1
        let mask = (1 << (exponent - kept)) - 1
        return (length + mask) & ~mask
    }
}
