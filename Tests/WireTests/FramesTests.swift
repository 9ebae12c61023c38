import Testing
import Wire

struct FramesTests {
    /// Field numbers of `control.proto` and how many frames its head allows after the control frame.
    static let kinds: [Int: [Int]] = {
        var kinds: [Int: [Int]] = [:]
        for number in Array(10...14) + Array(20...35) + Array(40...50) { kinds[number] = [0] }
        for number in [20, 26, 28, 45] { kinds[number] = [2] }  // submit, result, preview, worker_result
        kinds[29] = [0, 2]  // reseal
        kinds[41] = [2, 3]  // job
        kinds[44] = [1]  // checkpoint
        return kinds
    }()

    /// version = 1 and an empty message in the field `number`, by hand.
    private func control(_ number: Int, version: UInt8 = 1) -> [UInt8] {
        [1 << 3, version] + varint(number << 3 | 2) + [0]
    }

    private func varint(_ value: Int) -> [UInt8] {
        value < 128 ? [UInt8(value)] : [UInt8(value & 127 | 128)] + varint(value >> 7)
    }

    private func code(_ parts: [[UInt8]]) -> WireError.Code? {
        do throws(WireError) { _ = try Frames(parts: parts) } catch { return error.code }
        return nil
    }

    @Test("each kind takes exactly the frames that control.proto names", arguments: kinds.keys.sorted())
    func attachments(number: Int) throws {
        let allowed = try #require(Self.kinds[number])
        for count in 0...3 {
            let parts = [control(number)] + (0..<count).map { [UInt8($0), 7] }
            if allowed.contains(count) {
                #expect(try Frames(parts: parts).attachments == Array(parts.dropFirst()))
            } else {
                #expect(code(parts) == .malformed, "\(count) frames")
            }
        }
        #expect(code([control(number)] + Array(repeating: [1], count: 4)) == .malformed)
    }

    @Test("a control frame as another encoder writes it")
    func knownBytes() throws {
        // version 1, sequence 300, nack { job { fence { attempt 2 } } code BUSY message "no" retry_after_ms 1000 }
        let bytes: [UInt8] = [
            0x08, 1, 0x10, 0xac, 0x02, 0xfa, 0x02, 15, 0x0a, 4, 0x1a, 2, 0x18, 2, 0x10, 17, 0x1a, 2, 0x6e, 0x6f, 0x20,
            0xe8, 0x07,
        ]
        let frames = try Frames(parts: [bytes])
        #expect(frames.control.sequence == 300)
        guard case .nack(let nack) = frames.control.body else { return #expect(Bool(false), "no nack") }
        #expect(nack.code == .busy && nack.message == "no" && nack.retryAfterMs == 1000 && nack.job.fence.attempt == 2)
        #expect(frames.parts(sequence: 300) == [bytes])
    }

    @Test("every kind survives a round trip with all its fields", arguments: ControlSamples.all)
    func roundTrip(body: WireControl.OneOf_Body) throws {
        let number = ControlSamples.number(body)
        let attachments = (0..<(Self.kinds[number]?.last ?? 0)).map { [UInt8($0), 9] }
        let sent = Frames(body, attachments).parts(sequence: 7)
        let read = try Frames(parts: sent)
        #expect(read.control.body == body)
        #expect(read.control.sequence == 7 && read.control.version == 1)
        #expect(read.attachments == attachments)
        // The field's number is what other implementations go by.
        #expect(sent[0].dropFirst(4).starts(with: varint(number << 3 | 2)))
    }

    @Test func theSamplesAreAllTheKindsThereAre() {
        #expect(Set(ControlSamples.all.map(ControlSamples.number)) == Set(Self.kinds.keys))
    }

    @Test func versions() {
        #expect(code([control(13)]) == nil)
        for version: UInt8 in [0, 2, 127] { #expect(code([control(13, version: version)]) == .unsupportedVersion) }
        #expect(code([[0x6a, 0]]) == .unsupportedVersion, "no version at all")
    }

    @Test func emptyAndGarbage() {
        #expect(code([]) == .malformed)
        #expect(code([[]]) == .unsupportedVersion)
        #expect(code([[8, 1]]) == .missingField)
        // A kind of a later version is an unknown field.
        #expect(code([control(60)]) == .missingField)
        for bytes: [UInt8] in [
            [0xff], [0xff, 0xff, 0xff], [8], [8, 1, 0x52, 5, 1], [8, 1, 0x52, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            #expect(code([bytes]) == .malformed, "\(bytes)")
        }
        // Invalid UTF-8 in HELLO's role.
        #expect(code([[8, 1, 0x52, 3, 0x0a, 1, 0xff]]) == .malformed)
    }

    @Test func overLong() {
        // BYE with a reason that fills the frame up to the limit, and one byte more.
        func bye(_ length: Int) -> [UInt8] {
            var bye = WireBye()
            bye.reason = String(repeating: "x", count: length)
            return Frames(.bye(bye)).parts(sequence: 1)[0]
        }
        let overhead = bye(1_000_000).count - 1_000_000
        #expect(code([bye((1 << 20) - overhead)]) == nil)
        #expect(code([bye((1 << 20) - overhead + 1)]) == .outOfRange)
    }

    @Test("no depth of nesting exhausts the stack")
    func depth() {
        // An unknown field (number 100) of nested groups, properly closed.
        let opening = varint(100 << 3 | 3), closing = varint(100 << 3 | 4)
        for depth in [20, 100_000] {
            let bytes = control(13) + (0..<depth).flatMap { _ in opening } + (0..<depth).flatMap { _ in closing }
            #expect(code([bytes]) == .malformed, "\(depth)")
        }
    }

    @Test("cut short anywhere, a frame is refused or another one, and nothing crashes")
    func truncation() throws {
        for body in ControlSamples.all {
            let bytes = Frames(body).parts(sequence: 7)[0]
            for length in bytes.indices {
                if let read = try? Frames(parts: [Array(bytes[..<length])]) { #expect(read.control.body != body) }
            }
        }
    }
}
