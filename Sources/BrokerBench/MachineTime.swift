internal import Foundation

/// What all cores' time went to since the machine was started, in the kernel's ticks (proc_stat(5)).
struct MachineTime: Sendable {
    private let all: Int
    private let stolen: Int

    static func now() throws -> MachineTime {
        let line = try String(contentsOfFile: "/proc/stat", encoding: .utf8).prefix { $0 != "\n" }
        // user nice system idle iowait irq softirq steal; what follows is counted in them.
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Int($0) }
        guard ticks.count == 8 else { throw BenchFault("the system does not say what its cores' time goes to") }
        return MachineTime(all: ticks.reduce(0, +), stolen: ticks[7])
    }

    /// Share that the host of a virtual machine gave to others.
    func stolen(since former: MachineTime) -> Double {
        Double(stolen - former.stolen) / Double(max(all - former.all, 1))
    }
}
