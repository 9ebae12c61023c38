/// What happened, counted: of a second, of a driver, of the whole test. Adding them up loses nothing.
package struct Tally: Sendable {
    package struct Counts: Hashable, Sendable {
        /// Came due by the plan.
        package var offered = 0
        /// Of those, handed to the client's machine.
        package var sent = 0
        package var accepted = 0
        /// No result within the time-out, however the job ended.
        package var timeouts = 0

        // How a job ends: each in one of these.

        /// A result came in time, was opened and is the right one.
        package var done = 0
        /// The same, but after the time-out.
        package var late = 0
        /// A result came and is not what must come, or cannot be opened.
        package var wrong = 0
        /// Rejected for good, or as a conflict.
        package var refused = 0
        /// Ended by the broker without a result.
        package var ended = 0
        /// Accepted, and at the end nobody had said what became of it.
        package var lost = 0
        /// Sent, and at the end neither accepted nor refused.
        package var unanswered = 0
        /// Never sent, since too much was under way here; which is not the broker's fault.
        package var held = 0

        /// Jobs that are over; once the test is, all that were offered.
        var over: Int { done + late + wrong + refused + ended + lost + unanswered + held }

        static func += (sum: inout Counts, more: Counts) {
            sum.offered += more.offered
            sum.sent += more.sent
            sum.accepted += more.accepted
            sum.done += more.done
            sum.late += more.late
            sum.wrong += more.wrong
            sum.timeouts += more.timeouts
            sum.refused += more.refused
            sum.ended += more.ended
            sum.lost += more.lost
            sum.unanswered += more.unanswered
            sum.held += more.held
        }
    }

    package struct Tenant: Sendable {
        package var counts = Counts()
        /// Of every job: one without a right result stands with its time-out, or what it waited if that was longer.
        package var endToEnd = Latency()

        package init() {}
    }

    package var tenants: [Tenant]
    /// From when the job was due until the broker said that it has stored it, before or after the result.
    package var accept = Latency()
    /// From ACCEPTED, or where that had not come, from when the job was due, to the result, less the service: waiting at broker and worker, and
    /// both ways.
    package var queue = Latency()
    /// What the worker says it took; only stubs say it.
    package var service = Latency()
    /// From when the job was due until it left, of every job in the same way: what this generator itself adds.
    package var lag = Latency()
    /// From opening a connection to the broker's welcome.
    package var connect = Latency()
    /// REJECTED, those that were tried again among them, by code.
    package var rejects: [String: Int] = [:]
    /// Jobs that ended without a result, by code.
    package var ends: [String: Int] = [:]
    /// Results of a job that had its result already, or was over without one.
    package var duplicates = 0
    /// Results of an earlier test's jobs, which its clients did not wait for.
    package var strays = 0
    /// Results of a second or later attempt: a worker was lost, or handed the job back.
    package var redelivered = 0
    /// Uptime at which the last right result came in time.
    package var lastDone: Int64 = 0
    package var sessionsLost = 0
    /// Connections that the plan itself dropped.
    package var churned = 0
    package var bytesSent = 0
    package var bytesReceived = 0
    /// The first result that was not right, in words.
    package var firstWrong: String?

    package init(tenants: Int) { self.tenants = Array(repeating: Tenant(), count: tenants) }

    package var counts: Counts { tenants.reduce(into: Counts()) { $0 += $1.counts } }

    package var endToEnd: Latency {
        var all = Latency()
        for tenant in tenants { all.add(tenant.endToEnd) }
        return all
    }

    package mutating func add(_ other: Tally) {
        for index in tenants.indices {
            tenants[index].counts += other.tenants[index].counts
            tenants[index].endToEnd.add(other.tenants[index].endToEnd)
        }
        accept.add(other.accept)
        queue.add(other.queue)
        service.add(other.service)
        lag.add(other.lag)
        connect.add(other.connect)
        rejects.merge(other.rejects, uniquingKeysWith: +)
        ends.merge(other.ends, uniquingKeysWith: +)
        duplicates += other.duplicates
        strays += other.strays
        redelivered += other.redelivered
        lastDone = max(lastDone, other.lastDone)
        sessionsLost += other.sessionsLost
        churned += other.churned
        bytesSent += other.bytesSent
        bytesReceived += other.bytesReceived
        firstWrong = firstWrong ?? other.firstWrong
    }
}
