/// What goes wrong in a history.
package enum Fault: String, CaseIterable, Hashable, Sendable {
    /// A process ends at any step and starts again.
    case brokerCrash = "broker-crash"
    /// Of several brokers one is gone for good, with its disk; once in a history.
    case brokerLoss = "broker-loss"
    /// Of several brokers one is told to drain; it ends, and starts again.
    case drain
    case workerCrash = "worker-crash"
    case clientCrash = "client-crash"
    /// A process is told to go, says goodbye, and starts again.
    case restart
    /// A process stands still and goes on, as with SIGSTOP and SIGCONT.
    case pause
    /// A worker's engine stands still while its link beats on.
    case hang
    /// A worker gives its jobs back.
    case handBack = "hand-back"
    /// A connection breaks; what is on its way may be lost, or come late, after its successor's first messages.
    case cut
    /// One message vanishes, as when a pipe dies between two frames.
    case loss
    /// A connection breaks, and the last message comes again on the next.
    case duplicate
    /// Nothing gets through to or from a node for a while; then all of it does.
    case partition
    /// A broker's crash takes the machine along: of what was written and not synced some bytes stay, and the last may be wrong.
    case powerLoss = "power-loss"
    /// The journal's next fsync fails.
    case failedSync = "failed-sync"
    /// The journal's disk is full for a while.
    case fullDisk = "full-disk"
    /// The broker's wall clock jumps.
    case clock
    /// Some jobs bring down whichever worker runs them.
    case poison
    /// Two clients begin dozens of jobs at once.
    case flood
}

/// Known bugs, for the tests to show that the simulator finds them. They sit in the simulation's shells, where no product runs.
package enum PlantedBug: String, CaseIterable, Sendable {
    /// The broker's shell lets everything go at once, without waiting for the journal.
    case acceptedBeforeSync
    /// The journal's reader stops at a torn record and leaves it there, so what is written behind it is lost at the next start.
    case tornTailKept
    /// Whatever attempt a result is of, it is taken for the newest.
    case fencesIgnored
    /// The client does not know, once it started again, what it has surfaced.
    case duplicatesSurfaced
    /// At a start the broker takes up only what was never leased.
    case redeliveryForgotten
    /// A client that starts again masks its images anew.
    case maskedAnew
    /// The client that began to wait first is served until nothing of it waits.
    case firstComeFirstServed
    /// All clients have the same share, whatever the roster says.
    case weightsIgnored
    /// All clients have the same priority, whatever the roster says.
    case prioritiesIgnored
    /// A lower priority waits for as long as a higher one has jobs.
    case nothingAges
    /// The broker's count of bytes does not go back when a job is cancelled.
    case bytesNotReturned
}

package struct SimulationSettings: Sendable {
    package var seed: UInt64
    package var brokers = 1
    package var clients = 4
    package var workers = 3
    /// Virtual hours with faults; the quiet time that follows is as long as it takes, up to a bound.
    package var hours = 0.25
    package var faults = Set(Fault.allCases)
    /// Seconds from one fault to the next, on average.
    package var secondsPerFault = 6.0
    /// Seconds from one job of a client to its next, on average.
    package var secondsPerJob = 12.0

    package init(seed: UInt64) { self.seed = seed }

    /// - Parameter list: names with commas between them, `all` or `none`.
    /// - Returns: nil when a name is unknown.
    package static func faults(_ list: String) -> Set<Fault>? {
        switch list {
        case "all": return Set(Fault.allCases)
        case "none": return []
        default:
            var faults: Set<Fault> = []
            for name in list.split(separator: ",") {
                guard let fault = Fault(rawValue: String(name)) else { return nil }
                faults.insert(fault)
            }
            return faults
        }
    }

    /// The command that plays this history again.
    package var command: String {
        let list =
            faults.count == Fault.allCases.count
            ? "all" : faults.isEmpty ? "none" : faults.map(\.rawValue).sorted().joined(separator: ",")
        return "collafuse simulate --seed \(seed) --hours \(hours) --brokers \(brokers) --clients \(clients) "
            + "--workers \(workers) --faults \(list)"
            + (secondsPerJob == 12 ? "" : " --seconds-per-job \(secondsPerJob)")
    }
}
