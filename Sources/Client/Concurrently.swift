extension Array where Element: Sendable {
    /// The results in the elements' order; so many at a time, since each job under way is held in memory with all its bytes.
    ///
    /// One that fails holds up none of the others.
    ///
    /// - Throws: when all are through, the error of the first element that has one, with how many there are; `CancellationError`.
    func mapConcurrently<Output: Sendable>(
        atMost limit: Int = 16, _ body: @escaping @Sendable (Element) async throws -> Output
    ) async throws -> [Output] {
        let outcomes = try await withThrowingTaskGroup(of: (Int, Result<Output, any Error>).self) { group in
            var outcomes: [Int: Result<Output, any Error>] = [:]
            for (place, element) in enumerated() {
                if place >= limit, let (done, outcome) = try await group.next() { outcomes[done] = outcome }
                group.addTask {
                    do { return (place, .success(try await body(element))) } catch let error as CancellationError {
                        throw error
                    } catch {
                        return (place, .failure(error))
                    }
                }
            }
            for try await (done, outcome) in group { outcomes[done] = outcome }
            return indices.compactMap { outcomes[$0] }
        }
        let failures = outcomes.count { if case .failure = $0 { true } else { false } }
        return try outcomes.map { outcome in
            do { return try outcome.get() } catch let error as ClientError where failures > 1 {
                throw ClientError(error.code, "\(error.message) (and \(failures - 1) more of \(count) jobs failed)")
            }
        }
    }
}
