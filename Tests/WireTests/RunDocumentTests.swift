import Chain
import Testing
import Wire

struct RunDocumentTests {
    private func descriptor(
        _ kind: Schedule.Kind = .cosine(), cuts: [Int] = [200, 500], offsetNoise: Double = 0
    ) throws -> RunDescriptor {
        try RunDescriptor(
            name: "digits", schedule: Schedule(kind, timesteps: 1000, offsetNoise: offsetNoise),
            image: RunDescriptor.ImageShape(channels: 1, height: 8, width: 8), labels: (0..<10).map(String.init),
            backboneConfig: "{}", allowedCuts: cuts, nonce: Array(0..<16), created: 1_700_000_000_000)
    }

    @Test(arguments: [
        Schedule.Kind.cosine(), .linear(start: 1e-3, end: 0.03), .sigmoid(start: -2, end: 4, tau: 0.7), .scaledLinear(),
        .betaSigmoid(start: 2e-4, end: 0.03), .table((1...1000).map { 2e-5 * Double($0) }),
    ])
    func survivesTheWire(kind: Schedule.Kind) throws {
        let document = RunDocument(try descriptor(kind))
        let read = try RunDocument(bytes: document.bytes)
        #expect(read == document)
        #expect(read.descriptor.nullLabel == 10)
        #expect(read.descriptor.schedule.snr(500) == document.descriptor.schedule.snr(500))
    }

    /// Masks are made with it, so every party must know of it; a run without is what it was before there was any.
    @Test func offsetNoiseIsPartOfTheRun() throws {
        let shifted = try descriptor(offsetNoise: 0.1)
        #expect(try RunDocument(bytes: RunDocument(shifted).bytes).descriptor == shifted)
        #expect(RunDocument(shifted).bytes.count > RunDocument(try descriptor()).bytes.count)
    }

    @Test func rescalingIsPartOfTheRun() throws {
        let plain = try descriptor(.linear())
        let rescaled = try RunDescriptor(
            name: plain.name, schedule: Schedule(.linear(), timesteps: 1000, isRescaled: true), image: plain.image,
            labels: plain.labels, backboneConfig: "{}", nonce: plain.nonce, created: plain.created)
        let read = try RunDocument(bytes: RunDocument(rescaled).bytes).descriptor
        #expect(read == rescaled && read.schedule != plain.schedule && read.schedule.alphaBar(1000) == 0)
    }

    /// The run id hashes what was signed, not what another encoder would make of it.
    @Test func keepsTheBytesThatWereSigned() throws {
        // created_ms a second time: the last one counts.
        let reordered = RunDocument(try descriptor()).bytes + [8 << 3, 5]
        let read = try RunDocument(bytes: reordered)
        #expect(read.bytes == reordered)
        #expect(read.descriptor.created == 5)
    }

    @Test(
        arguments: [
            { (m: inout WireRunDescriptor) in m.clearSchedule() }, { $0.clearImage() },
            { $0.schedule.kind = .unspecified },
            { $0.schedule.timesteps = 1 }, { $0.schedule.timesteps = .max }, { $0.schedule.start = .nan },
            { $0.image.channels = 0 },
            { $0.image.width = 1 << 30 }, { $0.label = ["a", "a"] }, { $0.name = "" }, { $0.nonce.removeLast() },
            { $0.allowedCut = [0] }, { $0.allowedCut = [1000] }, { $0.allowedCut = [500, 200] },
            { $0.backboneConfig = "" },
            { $0.createdMs = -1 },
        ] as [@Sendable (inout WireRunDescriptor) -> Void])
    func refusesWhatIsOutOfRange(spoil: @Sendable (inout WireRunDescriptor) -> Void) throws {
        var message = WireRunDescriptor(try descriptor())
        spoil(&message)
        #expect(throws: WireError.self) { try RunDocument(bytes: message.encoded) }
    }

    @Test func refusesBytesThatAreNoMessage() {
        #expect(throws: WireError.self) { try RunDocument(bytes: [0xff, 0xff, 0xff]) }
    }

    @Test func onlyAllowedCuts() throws {
        let some = try descriptor()
        #expect(try some.cut(200).timestep == 200)
        #expect { try some.cut(300) } throws: { ($0 as? ChainError)?.code == .cutNotAllowed }
        #expect { try some.cut(1000) } throws: { ($0 as? ChainError)?.code == .cutOutOfRange }
        #expect(try descriptor(cuts: []).cut(300).timestep == 300)
    }
}
