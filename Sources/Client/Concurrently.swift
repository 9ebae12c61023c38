extension Array where Element: Sendable {
    /// The results in the elements' order; so many at a time, since each job under way is held in memory with all its bytes.
    ///
    /// - Throws: the first error, after the others have been cancelled.
    func mapConcurrently<Result: Sendable>(
        atMost limit: Int = 16, _ body: @escaping @Sendable (Element) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            var results: [Int: Result] = [:]
            for (place, element) in enumerated() {
                if place >= limit, let (done, result) = try await group.next() { results[done] = result }
                group.addTask { (place, try await body(element)) }
            }
            for try await (done, result) in group { results[done] = result }
            return indices.compactMap { results[$0] }
        }
    }
}
