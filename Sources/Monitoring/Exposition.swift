internal import Foundation

/// Figures in Prometheus' text format, version 0.0.4: families with their samples.
///
///     var page = Exposition()
///     page.gauge("workers", "Workers in session.", [(["role": "train"], 1), (["role": "denoise"], 4)])
///     page.counter("jobs_finished", "Jobs with a result.", 120)
///
/// Every name gets the prefix `collafuse_`, and a counter the ending `_total`. Units are seconds and bytes. Labels are few and known
/// beforehand: a client's or job's id would make a series each, and tell who does what.
package struct Exposition: Sendable {
    package typealias Sample = (labels: [String: String], value: Double)

    package private(set) var text = ""

    package init() {}

    package mutating func gauge(_ name: String, _ help: String, _ value: Double) {
        family("collafuse_" + name, help, "gauge", [([:], value)])
    }

    package mutating func gauge(_ name: String, _ help: String, _ samples: [Sample]) {
        family("collafuse_" + name, help, "gauge", samples)
    }

    package mutating func counter(_ name: String, _ help: String, _ value: Int) {
        family("collafuse_" + name + "_total", help, "counter", [([:], Double(value))])
    }

    package mutating func counter(_ name: String, _ help: String, _ samples: [Sample]) {
        family("collafuse_" + name + "_total", help, "counter", samples)
    }

    package mutating func histogram(_ name: String, _ help: String, _ durations: DurationHistogram) {
        let name = "collafuse_\(name)_seconds"
        head(name, help, "histogram")
        var sum = 0
        for (bound, count) in zip(DurationHistogram.bounds, durations.counts) {
            sum += count
            line(name + "_bucket", ["le": Self.number(bound)], Double(sum))
        }
        line(name + "_bucket", ["le": "+Inf"], Double(durations.count))
        line(name + "_sum", [:], durations.sum)
        line(name + "_count", [:], Double(durations.count))
    }

    /// What every process tells of itself, under the names that all exporters use.
    package mutating func process() {
        let figures = ProcessStatus.now()
        family("process_cpu_seconds_total", "User and system time.", "counter", [([:], figures.cpuSeconds)])
        family("process_resident_memory_bytes", "Resident memory.", "gauge", [([:], Double(figures.residentBytes))])
        family("process_open_fds", "Open files and sockets.", "gauge", [([:], Double(figures.openFiles))])
        family("process_start_time_seconds", "When it started, in Unix time.", "gauge", [([:], figures.started)])
    }

    private mutating func family(_ name: String, _ help: String, _ type: String, _ samples: [Sample]) {
        head(name, help, type)
        for (labels, value) in samples { line(name, labels, value) }
    }

    private mutating func head(_ name: String, _ help: String, _ type: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private mutating func line(_ name: String, _ labels: [String: String], _ value: Double) {
        text += name
        if !labels.isEmpty {
            let pairs = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }
            text += "{\(pairs.joined(separator: ","))}"
        }
        text += " \(Self.number(value))\n"
    }

    static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    static func number(_ value: Double) -> String {
        if value == .infinity { return "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return "\(Int(value))" }
        return "\(value)"
    }
}
