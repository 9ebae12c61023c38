internal import Trust
package import Wire

extension CollaFuseClient {
    /// Has workers denoise down to the cut, and leaves it there: what is measured where no head is wanted.
    ///
    /// - Returns: `denoiseResult`, with x at the cut.
    /// - Throws: `failed`, `refused`, `untrusted`, `storage`.
    package func denoise(_ request: WireDenoiseRequest) async throws -> WirePayload {
        let job = try await release.denoise(request, to: credentials.poolKey(for: .denoise), now: .now)
        let answer = try await runner.finish(job)
        try await runner.close(answer.job)
        return answer.payload
    }
}
