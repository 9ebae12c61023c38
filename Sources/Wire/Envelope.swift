internal import SwiftProtobuf

internal import struct Foundation.Data

/// A job's envelope: the fields, checked, beside the very bytes that travelled.
///
/// The bytes are what is hashed, compared and authenticated; they are never made again from the fields, since two
/// encoders may order or pad the same protobuf differently.
package struct Envelope: Hashable, Sendable {
    package let bytes: [UInt8]
    package let suite: UInt32
    package let client: ClientID
    package let job: JobID
    package let generation: UInt32
    package let kind: WireJobKind
    package let run: RunID
    /// Microseconds of worker time; 0: the broker's default.
    package let costCeiling: UInt64
    /// Unix time in milliseconds.
    package let created: Int64
    /// Unix time in milliseconds.
    package let expires: Int64
    package let poolKey: PoolKeyID
    /// X25519, 32 bytes.
    package let clientEphemeralKey: [UInt8]

    package static let suite1: UInt32 = 1
    /// An honest envelope has under 200 bytes.
    package static let maximumLength = 1024

    package var key: JobKey { JobKey(client: client, job: job) }

    package init(
        client: ClientID, job: JobID, generation: UInt32 = 0, kind: WireJobKind, run: RunID, costCeiling: UInt64 = 0,
        created: Int64, expires: Int64, poolKey: PoolKeyID, clientEphemeralKey: [UInt8]
    ) {
        var message = WireEnvelope()
        message.suite = Self.suite1
        message.clientID = Data(client.bytes)
        message.jobID = Data(job.bytes)
        message.generation = generation
        message.kind = kind
        message.runID = Data(run.bytes)
        message.costCeiling = costCeiling
        message.createdMs = created
        message.expiresMs = expires
        message.poolKeyID = Data(poolKey.bytes)
        message.clientEphemeralKey = Data(clientEphemeralKey)
        self.bytes = message.encoded
        self.suite = Self.suite1
        self.client = client
        self.job = job
        self.generation = generation
        self.kind = kind
        self.run = run
        self.costCeiling = costCeiling
        self.created = created
        self.expires = expires
        self.poolKey = poolKey
        self.clientEphemeralKey = clientEphemeralKey
    }

    package init(bytes: [UInt8]) throws(WireError) {
        guard bytes.count <= Self.maximumLength else { throw WireError(.outOfRange, "the envelope is too long") }
        let message = try WireEnvelope(decoding: bytes, as: "envelope")
        guard message.suite == Self.suite1 else {
            throw WireError(.unsupportedVersion, "the envelope's suite \(message.suite) is not known here")
        }
        guard message.kind == .publish || message.kind == .denoise else {
            throw WireError(.outOfRange, "the envelope names an unknown kind of job")
        }
        guard message.clientEphemeralKey.count == 32 else {
            throw WireError(.wrongLength, "the envelope's ephemeral key must have 32 bytes")
        }
        self.bytes = bytes
        self.suite = message.suite
        self.client = try ClientID(field: message.clientID, "client_id")
        self.job = try JobID(field: message.jobID, "job_id")
        self.generation = message.generation
        self.kind = message.kind
        self.run = try RunID(field: message.runID, "run_id")
        self.costCeiling = message.costCeiling
        self.created = message.createdMs
        self.expires = message.expiresMs
        self.poolKey = try PoolKeyID(field: message.poolKeyID, "pool_key_id")
        self.clientEphemeralKey = Array(message.clientEphemeralKey)
    }
}
