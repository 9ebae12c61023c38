import Foundation
import Testing
import Topology

private let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// A small right topology; each test changes one thing. The line numbers below count from its first line.
private let lines = [
    "run:",  // 1
    "  name: shapes",
    "  timesteps: 100",
    "  cut: 40",
    "  image: [3, 32, 16]",  // 5
    "  labels: [disc, square]",
    "  backbone: {channels: [32, 64], layers: 1}",
    "workers:",
    "  - {name: trainer, role: train}",
    "  - name: denoiser",  // 10
    "    role: denoise",
    "clients:",
    "  - {name: a, images: shapes, labels: [square]}",
    "  - {name: b, images: /data/b, cut: 60, do: [sample]}",
    "sample: {per_label: 5, guidance: 1.5}",  // 15
]

/// The topology with one line replaced.
private func yaml(line: Int? = nil, _ text: String = "") -> String {
    var changed = lines
    if let line { changed[line - 1] = text }
    return changed.joined(separator: "\n")
}

private func read(_ yaml: String, overrides: [String] = []) throws(TopologyError) -> Topology {
    try Topology(yaml: yaml, file: "t.yaml", overrides: overrides)
}

private func failure(_ yaml: String, overrides: [String] = []) -> TopologyError? {
    do {
        _ = try read(yaml, overrides: overrides)
        return nil
    } catch {
        return error
    }
}

@Suite struct TopologyTests {
    @Test func readsWhatIsWrittenAndFillsInTheRest() throws {
        let topology = try read(yaml())
        #expect(topology.run.name == "shapes")
        #expect(topology.run.timesteps == 100 && topology.run.cut == 40 && topology.run.schedule.kind == .cosine)
        let image = topology.run.image
        #expect(image.channels == 3 && image.height == 32 && image.width == 16)
        #expect(topology.run.backbone.channels == [32, 64] && topology.run.backbone.attention == [false, false])
        #expect(topology.brokers[0].clients == "tcp://127.0.0.1:*")
        #expect(topology.workers.map(\.name) == ["trainer", "denoiser"])
        #expect(topology.workers[0].training != nil && topology.workers[1].training == nil)
        #expect(topology.clients[0].labels == [1] && topology.clients[0].cut == 40)
        #expect(topology.clients[0].tasks == [.publish, .train, .sample] && topology.clients[0].release == .once)
        #expect(
            topology.clients[1].labels == nil && topology.clients[1].cut == 60 && topology.clients[1].tasks == [.sample]
        )
        #expect(topology.sample.perLabel == 5 && topology.sample.guidance == 1.5 && topology.sample.steps == 50)
        #expect(topology.out == "out/shapes")
    }

    @Test func schedulesHaveNumbers() throws {
        func schedule(_ text: String) throws -> Topology.Run.Schedule {
            try read(
                yaml(line: 3, "  schedule: \(text)\n  timesteps: 4").replacing("cut: 40", with: "cut: 2")
                    .replacing("cut: 60", with: "cut: 3").replacing("sample: {", with: "sample: {steps: 4, ")
            ).run.schedule
        }
        let linear = try schedule("{kind: scaled_linear, start: 0.0015, end: 0.0195, rescaled: true}")
        #expect(linear.kind == .scaledLinear && linear.start == 0.0015 && linear.end == 0.0195 && linear.isRescaled)
        let sigmoid = try schedule("{kind: sigmoid, start: -2, end: 4, tau: 0.5}")
        #expect(sigmoid.start == -2 && sigmoid.end == 4 && sigmoid.tau == 0.5 && !sigmoid.isRescaled)
        #expect(try schedule("{kind: cosine, offset: 0.02}").offset == 0.02)
        #expect(try schedule("{kind: table, betas: [0.1, 0.2, 0.3, 0.4]}").betas == [0.1, 0.2, 0.3, 0.4])
        let plain = try schedule("beta_sigmoid")
        #expect(plain.kind == .betaSigmoid && plain.start == nil && plain.end == nil && plain.tau == 1)
    }

    @Test func brokersAreOneOrAListOfSeveral() throws {
        let list = "brokers: [{name: hub-1, journal: memory}, {name: hub-2, clients: 'tcp://*:5610'}]\n"
        let topology = try read(list + yaml())
        #expect(topology.brokers.map(\.name) == ["hub-1", "hub-2"] && topology.brokers[0].journal == .memory)
        #expect(topology.brokers[1].clients == "tcp://*:5610" && topology.brokers[1].journal == .sqlite)
        #expect(try read(yaml()).brokers.map(\.name) == ["broker"])
        #expect(failure(list + "broker: {journal: memory}\n" + yaml())?.code == .inconsistent)
        #expect(failure("brokers: [{name: trainer}]\n" + yaml())?.code == .inconsistent)
        #expect(failure("brokers: []\n" + yaml())?.code == .outOfRange)
        let alone = try #require(failure("brokers: [{name: broker}]\n" + yaml()))
        #expect(alone.description.contains("take another name, such as 'broker-1'"), "\(alone)")
    }

    /// Seen before anything is started, in whichever of the ways that two endpoints may be one.
    @Test(arguments: [
        "brokers: [{name: a1, clients: 'tcp://*:5610'}, {name: a2, clients: 'tcp://127.0.0.1:5610'}]",
        "brokers: [{name: a1, workers: 'tcp://127.0.0.1:5610'}, {name: a2, clients: 'tcp://127.0.0.1:5610'}]",
        "brokers: [{name: a1, clients: 'tcp://10.0.0.1:7', workers: 'tcp://0.0.0.0:7'}]",
        "broker: {clients: 'tcp://127.0.0.1:5610', workers: 'tcp://127.0.0.1:5610'}",
    ])
    func aPortIsTakenOnce(_ brokers: String) throws {
        let error = try #require(failure(brokers + "\n" + yaml()))
        #expect(error.code == .inconsistent && error.description.contains("needs a port of its own"), "\(error)")
    }

    @Test func portsOfSeveralAddressesAreSeveral() throws {
        let list = "brokers: [{name: a1, clients: 'tcp://10.0.0.1:7', workers: 'tcp://10.0.0.2:7'}, {name: a2}]\n"
        #expect(try read(list + yaml()).brokers.count == 2)
    }

    @Test func aFileThatCannotBeReadIsSaidInWords() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "topology-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let bytes = folder.appending(path: "bytes.yaml")
        try Data([0x72, 0xFF, 0xFE]).write(to: bytes)
        for (url, words) in [
            (folder.appending(path: "gone.yaml"), "there is no such file"), (folder, "is a folder, not a file"),
            (bytes, "is no text in UTF-8"),
        ] {
            let error = #expect(throws: TopologyError.self) { try Topology(contentsOf: url) }
            #expect(error?.code == .unreachable && error?.description.hasSuffix(words) == true, "\(url.path)")
            #expect(throws: TopologyError.self) { try LoadPlan(contentsOf: url) }
        }
    }

    @Test func theQuickstart() throws {
        let topology = try Topology(contentsOf: repository.appending(path: "topology/quickstart.yaml"))
        #expect(topology.run.timesteps == 1000 && topology.run.cut == 500 && topology.run.labels.count == 10)
        #expect(topology.clients.map(\.labels) == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]])
        #expect(topology.workers.filter { $0.role == .train }.count == 1)
        #expect(topology.workers.filter { $0.role == .denoise }.count == 2)
        #expect(topology.sample.perLabel >= 50)
    }

    @Test func freshMasks() throws {
        let topology = try Topology(contentsOf: repository.appending(path: "topology/fresh.yaml"))
        #expect(topology.clients.allSatisfy { $0.release == .fresh && $0.epochs > 1 && $0.limitDecibels != nil })
    }

    /// Each mistake: the changed line, what it says now, the error's code, line and words.
    @Test(arguments: [
        (15, "sample: {per_label: 5, guidence: 1.5}", TopologyError.Code.unknownKey, 15, "did you mean 'guidance'?"),
        (2, "  nmae: shapes", .unknownKey, 2, "did you mean 'name'?"),
        (8, "wokers:", .unknownKey, 8, "did you mean 'workers'?"),
        (8, "wrokers:", .unknownKey, 8, "did you mean 'workers'?"),
        (10, "  - name: denoiser\n    thread: 2", .unknownKey, 11, "'workers[1]': did you mean 'threads'?"),
        (4, "", .missingKey, 2, "'run' needs 'cut'"),
        (3, "  timesteps: many", .wrongType, 3, "whole number"),
        (3, "  timesteps: 1", .outOfRange, 3, "2 to 100000"),
        (4, "  cut: 100", .outOfRange, 4, "1 to 99"),
        (4, "  cut: 0", .outOfRange, 4, "1 to 99"),
        (14, "  - {name: b, images: /data/b, cut: 100}", .outOfRange, 14, "1 to 99"),
        (13, "  - {name: a, images: shapes, labels: [sqare]}", .outOfRange, 13, "did you mean 'square'?"),
        (13, "  - {name: a, images: shapes, labels: []}", .outOfRange, 13, "'labels' is empty"),
        (13, "  - {name: denoiser, images: shapes}", .inconsistent, 13, "already called 'denoiser'"),
        (13, "  - {name: A b, images: shapes}", .outOfRange, 13, "cannot name a node"),
        (13, "  - {name: a, images: shapes, do: [publsh]}", .outOfRange, 13, "did you mean 'publish'?"),
        (9, "  - {name: trainer, role: trainer}", .outOfRange, 9, "did you mean 'train'?"),
        (9, "  - {name: trainer, role: denoise}", .inconsistent, 1, "no worker has the role train"),
        (9, "  - trainer", .wrongType, 9, "it must be keys with values"),
        (5, "  image: [3, 32]", .wrongType, 5, "[channels, height, width]"),
        (5, "  image: [65, 32, 16]", .outOfRange, 5, "1 to 64"),
        (3, "  schedule: cosin", .outOfRange, 3, "did you mean 'cosine'?"),
        (3, "  schedule: table", .missingKey, 3, "betas: [...]"),
        (3, "  schedule: {start: 0.1, end: 0.2}", .missingKey, 3, "'schedule' needs 'kind'"),
        (3, "  schedule: {kind: linear, strat: 0.1, end: 0.2}", .unknownKey, 3, "did you mean 'start'?"),
        (3, "  schedule: {kind: linear, start: 0.1}", .missingKey, 3, "go together"),
        (3, "  schedule: {kind: linear, start: 0.1, end: 2}", .outOfRange, 3, "'end' is 2"),
        (3, "  schedule: {kind: linear, start: low, end: 0.1}", .wrongType, 3, "'start' is 'low'"),
        (3, "  schedule: {kind: linear, offset: 0.1}", .unknownKey, 3, "'offset' in 'schedule'"),
        (3, "  schedule: {kind: cosine, tau: 2}", .unknownKey, 3, "'tau' in 'schedule'"),
        (3, "  schedule: {kind: table, betas: [0.1, 0.2]}", .inconsistent, 3, "'betas' has 2 values"),
        (5, "  image: [3, 33, 16]", .inconsistent, 7, "cannot be halved"),
        (7, "  backbone: {channels: [30]}", .inconsistent, 7, "groups"),
        (7, "  backbone: {channels: [32, 64], attention: [true]}", .inconsistent, 7, "'attention' has 1"),
        (7, "  backbone: {channels: [32, 64], head_width: 48}", .inconsistent, 7, "heads of 48"),
        (6, "  labels: [disc, disc]", .inconsistent, 6, "given twice"),
        (15, "sample: [5]", .wrongType, 15, "keys with values"),
        (13, "  - {name: a, images: shapes, epochs: 3}", .inconsistent, 13, "write 'release: fresh' too"),
        (13, "  - {name: a, images: shapes, limit_db: much}", .wrongType, 13, "'limit_db' is 'much'"),
        (13, "  - {name: a, images: shapes, limit_db: 600}", .outOfRange, 13, "-60.0 to 60.0"),
        (13, "  - {name: a, images: shapes, do: [sample, publish]}", .inconsistent, 13, "'sample' before 'publish'"),
        (15, "sample: {steps: 101}", .outOfRange, 15, "2 to 100"),
        (15, "broker: {clients: localhost}", .outOfRange, 15, "tcp://ADDRESS:PORT"),
        (15, "run: {}", .syntax, 1, "run"),
        (15, "sample: {", .syntax, 15, "not YAML"),
    ])
    func aMistakeNamesItsLine(line: Int, text: String, code: TopologyError.Code, at place: Int, words: String) throws {
        let error = try #require(failure(yaml(line: line, text)))
        #expect(error.code == code, "\(error)")
        if code == .syntax {
            #expect(error.place.hasPrefix("t.yaml:"))
        } else {
            #expect(error.place == "t.yaml:\(place)", "\(error)")
        }
        #expect(error.description.contains(words), "\(error)")
    }

    @Test func whatIsNoTopologyIsAnError() {
        #expect(failure("")?.code == .syntax)
        #expect(failure("just words")?.code == .wrongType)
        #expect(failure("- a\n- b")?.code == .wrongType)
        // Nine levels that each name the level below nine times: 9^9 values.
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<9 {
            bomb +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ") + "]\n"
        }
        #expect(failure(bomb)?.code == .outOfRange)
        let missing = URL(filePath: "/nowhere/t.yaml")
        #expect(throws: TopologyError.self) { try Topology(contentsOf: missing) }
    }

    @Test func overridesChangeAndAddValues() throws {
        let topology = try read(
            yaml(),
            overrides: [
                "run.cut=25", "workers.trainer.images=77", "clients.1.labels=[disc]", "sample.steps=7", "out=elsewhere",
                "report.cuts=[20, 40]", "clients.a.head.batch=3",
            ])
        #expect(topology.run.cut == 25 && topology.clients[0].cut == 25 && topology.clients[1].cut == 60)
        #expect(topology.workers[0].training?.images == 77)
        #expect(topology.clients[1].labels == [0])
        #expect(topology.clients[0].head.batch == 3)
        #expect(topology.sample.steps == 7 && topology.out == "elsewhere" && topology.report.cuts == [20, 40])
    }

    @Test func limitsAndEpochs() throws {
        let plain = try read(yaml())
        #expect(plain.clients.map(\.limitDecibels) == [nil, nil] && plain.clients.map(\.epochs) == [1, 1])
        let changed = try read(
            yaml(),
            overrides: ["limit_db=4.5", "clients.b.limit_db=-2", "clients.a.release=fresh", "clients.a.epochs=7"])
        #expect(changed.clients.map(\.limitDecibels) == [4.5, -2])
        #expect(changed.clients[0].release == .fresh && changed.clients.map(\.epochs) == [7, 1])
    }

    @Test(arguments: [
        ("run.cutt=25", "did you mean 'cut'?"), ("clients.c.cut=1", "there is no 'c'"), ("run.cut", "KEY.KEY=VALUE"),
        ("run..cut=1", "KEY.KEY=VALUE"), ("run.cut.x=1", "single value"), ("run.cut=zero", "whole number"),
        ("run.cut=1000", "1 to 99"), ("workers.9.images=5", "there is no '9'"),
    ])
    func aWrongOverrideNamesItself(override: String, words: String) throws {
        let error = try #require(failure(yaml(), overrides: [override]))
        #expect(error.place == "--set \(override)", "\(error)")
        #expect(error.description.contains(words), "\(error)")
    }
}
