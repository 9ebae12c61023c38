internal import Foundation
internal import Safetensors
package import Sealing
internal import Sodium
package import Trust
package import Wire

/// What a home holds of a job.
package struct SpooledJob: Sendable {
    package let job: JobID
    package let kind: WireJobKind
    /// When it was sealed to its pool key, and until when it lives: Unix time in milliseconds.
    package let created: UnixTime
    package let expires: UnixTime
    /// How many images it publishes.
    package let publications: Int
    /// Whether its result is here, and only the broker has to forget it.
    package let isSurfaced: Bool
}

/// A denoise job of the spool, with what it asks for.
package struct SpooledRequest: Sendable {
    package let job: JobID
    package let request: WireDenoiseRequest
    /// What it starts from, or is to show.
    let tensors: Data
    /// Whether its result is here.
    package let isSurfaced: Bool
}

extension Release {
    /// The jobs that are not over: a client that starts again goes on with these.
    package func jobs() throws(ClientError) -> [SpooledJob] {
        let surfaced = Set(try spool.resultNames())
        return spool.entries.map { job, entry in
            SpooledJob(
                job: job, kind: entry.envelope.kind, created: entry.envelope.created, expires: entry.envelope.expires,
                publications: entry.publications.count,
                isSurfaced: surfaced.contains(job))
        }.sorted { ($0.expires, $0.job.description) < ($1.expires, $1.job.description) }
    }

    func kind(of job: JobID) throws(ClientError) -> WireJobKind { try spool.entry(job).envelope.kind }

    func holds(_ job: JobID) -> Bool { spool.entries[job] != nil }

    /// Whether a result is of the generation of its job that lies in the spool, and not of an earlier one.
    func isCurrent(_ header: [UInt8], _ job: JobID) -> Bool {
        guard let header = try? ResultHeader(bytes: header), let entry = spool.entries[job] else { return false }
        return header.envelopeHash == Digest(of: entry.envelope.bytes)
    }

    /// Forgets requests whose time was over before they were done: workers would only say so, however often they were asked.
    ///
    /// - Returns: the jobs that they were.
    package func dropOverdue(now: UnixTime) throws(ClientError) -> [JobID] {
        var dropped: [JobID] = []
        for job in try denoiseJobs() where job.request.deadlineMs > 0 && job.request.deadlineMs < now {
            if job.isSurfaced {
                guard case .jobFailure = try result(of: job.job)?.head else { continue }
            }
            try forget(job.job)
            try discardResult(of: job.job)
            dropped.append(job.job)
        }
        return dropped
    }

    /// The denoise jobs that are not over: the same request again is one of these, not a new job.
    package func denoiseJobs() throws(ClientError) -> [SpooledRequest] {
        var requests: [SpooledRequest] = []
        for job in try jobs() where job.kind == .denoise {
            let payload: WirePayload
            do { payload = try WirePayload(decoding: spool.body(job.job), as: "payload") } catch let error
                as ClientError
            {
                throw error
            } catch {
                throw ClientError(.storage, "job \(job.job.short) of the spool is damaged: \(error)")
            }
            requests.append(
                SpooledRequest(
                    job: job.job, request: payload.denoiseRequest, tensors: payload.tensors,
                    isSurfaced: job.isSurfaced))
        }
        return requests
    }

    /// What the server has of these images, made again from the ledger: for the owner's eyes.
    ///
    /// - Returns: for each image x at the cut; nil where nothing was released there.
    package func published(_ images: OwnImages, at timestep: Int, mask: UInt32 = 0) throws(ClientError) -> [[Float]?] {
        try masks.published(images, at: timestep, mask: mask)
    }

    /// Opens a result: who sent it, whether it answers this very job, and what it says.
    ///
    /// - Throws: `.untrusted`; the job stays as it is, and a true result may still come.
    package func open(
        _ sealed: [UInt8], header: [UInt8], of job: JobID, by opener: ResultOpener, now: UnixTime
    ) throws(ClientError) -> WirePayload {
        let entry = try spool.entry(job)
        let ephemeral = try spool.ephemeral(job)
        let payload: WirePayload, status: WireResultStatus
        do {
            let header = try ResultHeader(bytes: header)
            status = header.status
            payload = try opener.open(
                sealed, header: header, envelope: entry.envelope, ephemeral: ephemeral, poolKey: entry.poolKey, now: now
            )
        } catch {
            throw ClientError(.untrusted, "the result of job \(job.short) is not accepted: \(error)")
        }
        guard Self.answers(payload, entry.envelope.kind, status) else {
            throw ClientError(
                .untrusted, "the result of job \(job.short) is not accepted: it is no answer to a job of its kind")
        }
        if case .publishReceipt(let receipt) = payload.head { try check(receipt, of: job) }
        return payload
    }

    private static func answers(_ payload: WirePayload, _ kind: WireJobKind, _ status: WireResultStatus) -> Bool {
        switch payload.head {
        case .jobFailure: status != .preview
        case .publishReceipt: kind == .publish && status == .done
        case .denoiseResult: kind == .denoise && status == .done
        case .denoisePreview: kind == .denoise && status == .preview
        default: false
        }
    }

    /// Makes a result durable under its job's id, by one rename. RESULT_ACK goes out after this and not before.
    ///
    /// A receipt is entered in the ledger too: what it names is not published again.
    package func surface(_ payload: WirePayload, of job: JobID) throws(ClientError) {
        _ = try spool.entry(job)
        if try spool.result(job) == nil { try spool.surface(job, payload.encoded) }
        try Self.settle(job, ledger, spool)
    }

    /// A surfaced result.
    ///
    /// - Returns: nil when there is none.
    package func result(of job: JobID) throws(ClientError) -> WirePayload? {
        guard let bytes = try spool.result(job) else { return nil }
        do { return try WirePayload(decoding: bytes, as: "result") } catch {
            throw ClientError(.storage, "the result of job \(job.short) is damaged: \(error.message)")
        }
    }

    /// Forgets a job, its secrets first: once the broker has stored RESULT_ACK, or will never take the job. Its result stays.
    package func forget(_ job: JobID) throws(ClientError) {
        if spool.entries[job] != nil { try spool.wipe(job) }
    }

    /// Removes a surfaced result that was made use of.
    package func discardResult(of job: JobID) throws(ClientError) { try spool.removeResult(job) }

    /// Enters a surfaced receipt in the ledger; other results say nothing to it. Doing it again changes nothing.
    static func settle(_ job: JobID, _ ledger: Ledger, _ spool: Spool) throws(ClientError) {
        guard let bytes = try spool.result(job), let payload = try? WirePayload(decoding: bytes, as: "result"),
            case .publishReceipt(let receipt) = payload.head
        else { return }
        try ledger.markStored(receipt.publicationID.compactMap { PublicationID($0) })
    }

    /// A receipt names what was sent, in order, with the hashes of the very bytes.
    private func check(_ receipt: WirePublishReceipt, of job: JobID) throws(ClientError) {
        do {
            let payload = try WirePayload(decoding: spool.body(job), as: "payload")
            let sent = payload.publishRequest.publicationID
            let masked = try SafetensorsArchive(decoding: payload.tensors).entry("masked").bytes
            guard !sent.isEmpty, receipt.publicationID == sent, receipt.storedHash.count == sent.count else {
                throw ClientError(.untrusted, "the receipt of job \(job.short) is not for the images that were sent")
            }
            let each = masked.count / sent.count
            for (row, publication) in sent.enumerated() {
                let start = masked.startIndex + row * each
                let hash = BLAKE2b.hash(Array(publication), Array(masked[start..<start + each]))
                guard Data(hash) == receipt.storedHash[row] else {
                    throw ClientError(.untrusted, "the receipt of job \(job.short) is for other values than were sent")
                }
            }
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError(.storage, "\(error)")
        }
    }
}
