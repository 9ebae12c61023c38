import Chain
import Wire
import ZeroMQ

func fuzzControl(_ input: [UInt8]) {
    guard let frames = try? Frames(parts: pieces(input)) else { return }
    let sent = frames.parts(sequence: frames.control.sequence)
    guard let again = try? Frames(parts: sent) else { fatalError("a message that was read can't be read again") }
    precondition(again.control == frames.control && again.attachments == frames.attachments)
}

/// The first byte picks the frame.
func fuzzEnvelope(_ input: [UInt8]) {
    guard let kind = input.first else { return }
    let bytes = Array(input.dropFirst())
    switch kind % 4 {
    case 0:
        guard let envelope = try? Envelope(bytes: bytes) else { return }
        precondition(envelope.bytes == bytes && envelope.bytes.count <= Envelope.maximumLength)
        let again = Envelope(
            client: envelope.client, job: envelope.job, generation: envelope.generation, kind: envelope.kind,
            run: envelope.run, costCeiling: envelope.costCeiling, created: envelope.created, expires: envelope.expires,
            poolKey: envelope.poolKey, clientEphemeralKey: envelope.clientEphemeralKey)
        precondition((try? Envelope(bytes: again.bytes))?.bytes == again.bytes)
    case 1:
        guard let header = try? ResultHeader(bytes: bytes) else { return }
        let again = ResultHeader(
            client: header.client, job: header.job, envelopeHash: header.envelopeHash, fence: header.fence,
            status: header.status, worker: header.worker)
        precondition((try? ResultHeader(bytes: again.bytes)) == again)
    case 2:
        guard let message = try? WireCheckpointHeader(decoding: bytes, as: "checkpoint header"),
            let header = try? CheckpointHeader(message)
        else { return }
        precondition((try? CheckpointHeader(header.message)) == header)
    default:
        guard let document = try? RunDocument(bytes: bytes) else { return }
        precondition(
            (try? RunDocument(bytes: RunDocument(document.descriptor).bytes))?.descriptor == document.descriptor)
    }
}

func fuzzAccess(_ input: [UInt8]) {
    let parts = pieces(input)
    guard let request = AccessRequest(parts: parts) else { return }
    precondition(request.id.count <= AccessRequest.longestID)
    if let key = request.key { precondition(CurveKey(hex: key.hex) == key) }
}
