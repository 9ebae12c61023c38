import Wire

@testable import Exchange

/// The journal, and the law that its entries keep: a second, much simpler account of what a job may go through.
struct JournalChecker {
    enum State {
        case live(attempt: UInt32)
        case done
        case over
    }

    private(set) var entries: [JournalEntry] = []
    private var states: [JobKey: State] = [:]
    private var accepted: Set<JobID> = []
    private(set) var resultsSeen = 0
    private(set) var attempts = 0

    func hasAccepted(_ job: JobID) -> Bool { accepted.contains(job) }

    mutating func resultArrives() { resultsSeen += 1 }

    /// - Returns: what law the entry breaks.
    mutating func append(_ entry: JournalEntry) -> String? {
        entries.append(entry)
        switch entry {
        case .accepted(let key, _, _):
            guard states[key] == nil else { return "\(key) was accepted twice" }
            states[key] = .live(attempt: 0)
            accepted.insert(key.job)
        case .attempted(let key, let attempt, _):
            attempts += 1
            guard case .live(let last) = states[key], attempt == last + 1 else {
                return "\(key): attempt \(attempt) out of turn"
            }
            states[key] = .live(attempt: attempt)
        case .suspected(let key, _):
            guard case .live = states[key] else { return "\(key) was suspected and was not under way" }
        case .finished(let key, let header, let sealed, _):
            guard case .live(let last) = states[key] else { return "\(key) was finished and was not under way" }
            guard let header = try? ResultHeader(bytes: header), header.fence.attempt == last else {
                return "\(key) was finished by a stale attempt"
            }
            guard sealed == Fixture.answer(to: key) else { return "\(key) has another job's result" }
            states[key] = .done
        case .acknowledged(let key):
            guard case .done = states[key] else { return "\(key) was acknowledged and was not done" }
            states[key] = .over
        case .ended(let key, _):
            switch states[key] {
            case .live, .done: states[key] = .over
            default: return "\(key) ended twice"
            }
        case .forgotten(let key):
            guard case .over = states[key] else { return "\(key) was forgotten and was not over" }
        }
        return nil
    }
}
