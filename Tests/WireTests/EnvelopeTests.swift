import Foundation
import Testing
import Wire

struct EnvelopeTests {
    private func name<Kind>(_ byte: UInt8) throws -> Identifier<Kind> {
        try #require(Identifier<Kind>([UInt8](repeating: byte, count: Kind.length)))
    }

    private func envelope() throws -> Envelope {
        Envelope(
            client: try name(1), job: try name(2), generation: 3, kind: .denoise, run: try name(4),
            costCeiling: 5_000_000,
            created: 1_700_000_000_000, expires: 1_700_000_600_000, poolKey: try name(6),
            clientEphemeralKey: [UInt8](repeating: 7, count: 32))
    }

    private func code(_ bytes: [UInt8]) -> WireError.Code? {
        do throws(WireError) { _ = try Envelope(bytes: bytes) } catch { return error.code }
        return nil
    }

    /// The envelope's message after `change`.
    private func changed(_ change: (inout WireEnvelope) -> Void) throws -> [UInt8] {
        var message = try WireEnvelope(decoding: envelope().bytes, as: "envelope")
        change(&message)
        return message.encoded
    }

    @Test func roundTrip() throws {
        let sent = try envelope(), read = try Envelope(bytes: sent.bytes)
        #expect(read == sent)
        #expect(try read.client == name(1))
        #expect(try read.job == name(2))
        #expect(try read.run == name(4))
        #expect(try read.poolKey == name(6))
        #expect(read.key == JobKey(client: read.client, job: read.job))
        #expect(read.generation == 3 && read.kind == .denoise && read.suite == 1 && read.costCeiling == 5_000_000)
        #expect(read.created == 1_700_000_000_000 && read.expires == 1_700_000_600_000)
        #expect(read.clientEphemeralKey == [UInt8](repeating: 7, count: 32))
        #expect(sent.bytes.count < 200)
    }

    @Test("the bytes that came are kept, not made again")
    func keepsBytes() throws {
        let bytes = try envelope().bytes
        // Field 4 a second time, and a field of a later version: the same protobuf to one decoder, other bytes to the AEAD.
        for tail: [UInt8] in [[0x20, 3], [0x20, 9], [0xf8, 0x01, 0x01]] {
            let read = try Envelope(bytes: bytes + tail)
            #expect(read.bytes == bytes + tail)
            #expect(try read != envelope())
        }
    }

    @Test func wrongLengths() throws {
        let fields: [(WritableKeyPath<WireEnvelope, Data>, Int)] = [
            (\.clientID, 16), (\.jobID, 16), (\.runID, 32), (\.poolKeyID, 16), (\.clientEphemeralKey, 32),
        ]
        for (field, right) in fields {
            for length in [0, 1, right - 1, right + 1, 2 * right] {
                let bytes = try changed { $0[keyPath: field] = Data(repeating: 1, count: length) }
                #expect(code(bytes) == .wrongLength, "\(field) of \(length)")
            }
            #expect(try code(changed { $0[keyPath: field] = Data(repeating: 1, count: right) }) == nil)
        }
    }

    @Test func unknownSuiteAndKind() throws {
        for suite: UInt32 in [0, 2, .max] { #expect(try code(changed { $0.suite = suite }) == .unsupportedVersion) }
        for kind in [WireJobKind.unspecified, .UNRECOGNIZED(4), .UNRECOGNIZED(99)] {
            #expect(try code(changed { $0.kind = kind }) == .outOfRange)
        }
    }

    @Test func tooLongAndGarbage() throws {
        let bytes = try envelope().bytes
        // An unknown bytes field fills it up: tag of field 31, a length of two bytes, zeroes.
        func padded(to length: Int) -> [UInt8] {
            let rest = length - bytes.count - 4
            return bytes + [0xfa, 0x01, UInt8(rest & 127 | 128), UInt8(rest >> 7)] + [UInt8](repeating: 0, count: rest)
        }
        #expect(code(padded(to: Envelope.maximumLength)) == nil)
        #expect(code(padded(to: Envelope.maximumLength + 1)) == .outOfRange)
        #expect(code([]) == .unsupportedVersion)
        #expect(code([0xff, 0xff]) == .malformed)
        for length in bytes.indices { #expect(code(Array(bytes[..<length])) != nil, "cut at \(length)") }
    }

    @Test("a flipped bit is refused or another envelope, never silently the same")
    func flippedBits() throws {
        let sent = try envelope()
        var parsed = 0
        for index in sent.bytes.indices {
            for bit in 0..<8 {
                var bytes = sent.bytes
                bytes[index] ^= 1 << bit
                guard let read = try? Envelope(bytes: bytes) else { continue }
                parsed += 1
                #expect(read.bytes == bytes)
                #expect(read != sent)
            }
        }
        // Ids and keys are most of an envelope, and any bits will do for them.
        #expect(parsed > 8 * (16 * 3 + 32 * 2))
    }
}

struct ResultHeaderTests {
    private func header(_ status: WireResultStatus = .done) throws -> ResultHeader {
        var random = SystemRandomNumberGenerator()
        return ResultHeader(
            client: .random(using: &random), job: .random(using: &random), envelopeHash: .random(using: &random),
            fence: Fence(broker: .random(using: &random), bootEpoch: .max, attempt: 7), status: status,
            worker: .random(using: &random))
    }

    private func code(_ bytes: [UInt8]) -> WireError.Code? {
        do throws(WireError) { _ = try ResultHeader(bytes: bytes) } catch { return error.code }
        return nil
    }

    private func code(_ change: (inout WireResultHeader) -> Void) throws -> WireError.Code? {
        var message = try WireResultHeader(decoding: header().bytes, as: "header")
        change(&message)
        return code(message.encoded)
    }

    @Test(arguments: [WireResultStatus.done, .failed, .preview])
    func roundTrip(status: WireResultStatus) throws {
        let sent = try header(status), read = try ResultHeader(bytes: sent.bytes)
        #expect(read == sent)
        #expect(read.status == status && read.fence.attempt == 7 && read.fence.bootEpoch == .max)
        let longer = sent.bytes + [0xf8, 0x01, 0x01]
        #expect(try ResultHeader(bytes: longer).bytes == longer)
    }

    @Test func refusals() throws {
        #expect(try code { _ in } == nil)
        for length in [0, 15, 17, 32] {
            let data = Data(repeating: 1, count: length)
            #expect(try code { $0.clientID = data } == .wrongLength)
            #expect(try code { $0.jobID = data } == .wrongLength)
            #expect(try code { $0.workerID = data } == .wrongLength)
            #expect(try code { $0.fence.brokerID = data } == .wrongLength)
            #expect(try code { $0.envelopeHash = data + Data(count: 1) } == .wrongLength)
        }
        #expect(try code { $0.clearFence() } == .wrongLength)
        #expect(try code { $0.status = .unspecified } == .outOfRange)
        #expect(try code { $0.status = .UNRECOGNIZED(4) } == .outOfRange)
        #expect(code([UInt8](repeating: 0, count: ResultHeader.maximumLength + 1)) == .outOfRange)
        #expect(code([0xff]) == .malformed)
    }

    @Test func flippedBits() throws {
        let sent = try header()
        for index in sent.bytes.indices {
            for bit in 0..<8 {
                var bytes = sent.bytes
                bytes[index] ^= 1 << bit
                if let read = try? ResultHeader(bytes: bytes) { #expect(read != sent && read.bytes == bytes) }
            }
        }
    }
}
