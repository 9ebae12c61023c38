internal import Wire

/// Makes envelopes that differ in the job's id alone, without encoding each anew: what the clients' side costs is no part of what is measured.
struct JobStamp {
    private let template: [UInt8]
    private let place: Int
    private let run: [UInt8]

    /// - Parameter run: eight bytes that no other run of clients has: a job's id is they and its number.
    init(_ client: ClientID, _ run: [UInt8], _ make: (ClientID, JobID) -> Envelope) throws {
        let mark = run + [UInt8](repeating: 0xA5, count: 8)
        guard run.count == 8, let id = JobID(mark) else { throw BenchFault("a job's id has 16 bytes") }
        let template = make(client, id).bytes
        guard let place = template.indices.first(where: { template[$0...].starts(with: mark) }) else {
            throw BenchFault("an envelope does not hold its job's id")
        }
        self.template = template
        self.place = place
        self.run = run
    }

    func envelope(_ number: Int) -> [UInt8] {
        var bytes = template
        for (offset, byte) in Self.digits(number).enumerated() { bytes[place + 8 + offset] = byte }
        return bytes
    }

    /// The number of the job that an envelope of this stamp is of.
    func number(in envelope: [UInt8]) -> Int? {
        guard envelope.count == template.count else { return nil }
        return number(id: envelope[place..<place + 16])
    }

    func number(id: some RandomAccessCollection<UInt8>) -> Int? {
        guard id.count == 16, id.prefix(8).elementsEqual(run) else { return nil }
        return id.dropFirst(8).reduce(0) { $0 << 8 | Int($1) }
    }

    private static func digits(_ number: Int) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
    }
}
