import Foundation
import SwiftProtobuf
import Wire

/// One message of each kind in `control.proto`, with every field set.
enum ControlSamples {
    static let all: [WireControl.OneOf_Body] = [
        .hello(
            make {
                $0.role = "worker"; $0.challenge = id(1); $0.software = "collafuse 1"
            }),
        .challenge(make { $0.nonce = id(2) }),
        .welcome(
            make {
                $0.sessionID = id(3)
                $0.brokerID = id(4)
                $0.bootEpoch = .max
                $0.heartbeatMs = 1500
                $0.limits.jobsPerClient = 1
                $0.limits.bytesPerClient = 2
                $0.limits.bytesPerJob = 3
                $0.limits.resultTtlMs = 4
                $0.credit = 5
                $0.keyBundle = Data(repeating: 6, count: 300)
                $0.brokerTimeMs = -1
            }),
        .ping(WirePing()), .pong(WirePong()), .submit(WireSubmit()),
        .accepted(
            make {
                $0.jobID = id(1); $0.generation = 2
            }),
        .rejected(
            make {
                $0.jobID = id(1); $0.code = .tooManyBytes; $0.message = "später"; $0.retryAfterMs = 9
            }),
        .conflict(
            make {
                $0.jobID = id(1); $0.message = "other bytes"
            }),
        .cancel(make { $0.jobID = id(1) }),
        .fetch(make { $0.jobID = [id(1), id(2)] }),
        .result(make { $0.jobID = id(1) }),
        .resultAck(make { $0.jobID = id(1) }),
        .preview(
            make {
                $0.jobID = id(1); $0.step = 12
            }),
        .reseal(
            make {
                $0.jobID = id(1); $0.generation = 3
            }),
        .keys(make { $0.keyBundle = Data([1, 2]) }),
        .statusQuery(make { $0.jobID = [id(1)] }),
        .status(
            make {
                $0.job = [
                    make {
                        $0.jobID = id(1); $0.kind = .denoise; $0.state = .leased; $0.attempts = 2; $0.stepsDone = 3;
                        $0.stepsTotal = 4
                    }
                ]
                $0.role = [
                    make {
                        $0.role = "denoise"; $0.workers = 1; $0.slots = 2; $0.leased = 3; $0.queued = 4
                    }
                ]
                $0.model = model
            }),
        .credit(make { $0.credit = 8 }),
        .ended(
            make {
                $0.jobID = id(1); $0.code = .deadLetter; $0.message = "given up"
            }),
        .ackStored(make { $0.jobID = id(1) }),
        .ready(
            make {
                $0.role = ["denoise", "train"]
                $0.slots = 64
                $0.poolKeyID = [id(5)]
                $0.runID = Data(repeating: 6, count: 32)
                $0.model = model
                $0.held = [ref]
            }),
        .job(
            make {
                $0.job = ref; $0.leaseMs = 30_000; $0.alone = true
            }),
        .cancelJob(
            make {
                $0.job = ref; $0.code = .expired
            }),
        .progress(
            make {
                $0.job = [
                    make {
                        $0.job = ref; $0.stepsDone = 1; $0.stepsTotal = 2
                    }
                ]
            }),
        .checkpoint(
            make {
                $0.job = ref; $0.step = 4
            }),
        .workerResult(
            make {
                $0.job = ref; $0.cost = 123_456
            }),
        .resultStored(
            make {
                $0.job = ref; $0.stale = true
            }),
        .nack(
            make {
                $0.job = ref; $0.code = .outOfMemory; $0.message = "no room"; $0.retryAfterMs = 5000
            }),
        .heartbeat(
            make {
                $0.iterations = 99; $0.model = model
            }),
        .drain(WireDrain()),
        .bye(make { $0.reason = "done" }),
    ]

    /// The field's number in `control.proto`. A kind that is added there does not compile here until it is added too.
    static func number(_ body: WireControl.OneOf_Body) -> Int {
        switch body {
        case .hello: 10
        case .challenge: 11
        case .welcome: 12
        case .ping: 13
        case .pong: 14
        case .submit: 20
        case .accepted: 21
        case .rejected: 22
        case .conflict: 23
        case .cancel: 24
        case .fetch: 25
        case .result: 26
        case .resultAck: 27
        case .preview: 28
        case .reseal: 29
        case .keys: 30
        case .statusQuery: 31
        case .status: 32
        case .credit: 33
        case .ended: 34
        case .ackStored: 35
        case .ready: 40
        case .job: 41
        case .cancelJob: 42
        case .progress: 43
        case .checkpoint: 44
        case .workerResult: 45
        case .resultStored: 46
        case .nack: 47
        case .heartbeat: 48
        case .drain: 49
        case .bye: 50
        }
    }

    private static func id(_ byte: UInt8) -> Data { Data(repeating: byte, count: 16) }

    private static var ref: WireJobRef {
        make {
            $0.clientID = id(7)
            $0.jobID = id(8)
            $0.fence.brokerID = id(9)
            $0.fence.bootEpoch = 3
            $0.fence.attempt = 2
        }
    }

    private static var model: WireModelVersion {
        make {
            $0.version = 4; $0.imagesSeen = 50_000; $0.lowestCut = 200
        }
    }

    private static func make<M: Message>(_ fill: (inout M) -> Void) -> M {
        var message = M()
        fill(&message)
        return message
    }
}
