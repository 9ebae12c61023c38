import Wire

@testable import Exchange

/// Identifiers made of one small number, for reading failures.
func identifier<Kind: IdentifierKind>(_ number: Int, as kind: Identifier<Kind>.Type = Identifier<Kind>.self)
    -> Identifier<Kind>
{
    var bytes = [UInt8](repeating: 0, count: Kind.length)
    for place in 0..<8 { bytes[place] = UInt8(truncatingIfNeeded: number >> (8 * place)) }
    return Identifier(bytes)!
}

enum Fixture {
    static let run: RunID = identifier(7)
    static let denoiseKey: PoolKeyID = identifier(100)
    static let trainKey: PoolKeyID = identifier(101)
    static let broker: BrokerID = identifier(1)
    /// Unix time in milliseconds at uptime 0.
    static let wall: Int64 = 1_800_000_000_000

    static func moment(_ uptime: Int64) -> Moment { Moment(uptime: uptime, wall: wall + uptime / .millisecond) }

    static var configuration: BrokerConfiguration {
        var configuration = BrokerConfiguration()
        configuration.runs = [run]
        configuration.poolKeys = [
            denoiseKey: BrokerConfiguration.PoolKey(role: .denoise, openUntil: .max),
            trainKey: BrokerConfiguration.PoolKey(role: .train, openUntil: .max),
        ]
        configuration.keyBundle = [1, 2, 3]
        return configuration
    }

    static func envelope(
        client: ClientID, job: JobID, generation: UInt32 = 0, kind: WireJobKind = .denoise, cost: UInt64 = 0,
        created: Int64 = wall,
        expires: Int64 = wall + 24 * 3_600_000, run: RunID = run, poolKey: PoolKeyID? = nil
    ) -> Envelope {
        Envelope(
            client: client, job: job, generation: generation, kind: kind, run: run, costCeiling: cost, created: created,
            expires: expires,
            poolKey: poolKey ?? (kind == .publish ? trainKey : denoiseKey),
            clientEphemeralKey: job.bytes + job.bytes)
    }

    /// What the stub engine answers: it depends on the job alone.
    static func result(of job: JobKey, _ fence: Fence, worker: WorkerID) -> (header: [UInt8], sealed: [UInt8]) {
        let header = ResultHeader(
            client: job.client, job: job.job, envelopeHash: identifier(0), fence: fence, status: .done, worker: worker)
        return (header.bytes, answer(to: job))
    }

    static func answer(to job: JobKey) -> [UInt8] { job.client.bytes + job.job.bytes.reversed() }
}
