package import Foundation

/// A file of JSON lines, one an event, to which several processes may append at once.
///
///     let metrics = try MetricsLog(appendingTo: folder.appending(path: "metrics.jsonl"), node: "broker")
///     metrics.write("broker", ["queued": 3, "bytes_in": 120_000])
///
/// A line is `{"time":…,"node":…,"event":…, …}`; times are Unix seconds. A line is one `write` in append mode, which
/// Linux does whole on a local disk. What cannot be written is dropped: figures never stop the work.
package final class MetricsLog: Sendable {
    private let descriptor: Int32
    private let node: String

    package init(appendingTo file: URL, node: String) throws(ObservabilityError) {
        descriptor = open(file.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ObservabilityError("cannot write metrics to \(file.path): \(String(cString: strerror(errno)))")
        }
        self.node = node
    }

    deinit { close(descriptor) }

    /// - Parameter fields: after `time`, `node` and `event`, in this order.
    package func write(_ event: String, _ fields: [JSONValue.Field]) {
        let time = (Date().timeIntervalSince1970 * 1000).rounded() / 1000
        let head: [JSONValue.Field] = [
            .init("time", .number(time)), .init("node", .string(node)), .init("event", .string(event)),
        ]
        var line = JSONValue.object(head + fields).text + "\n"
        line.withUTF8 { bytes in _ = Foundation.write(descriptor, bytes.baseAddress, bytes.count) }
    }

    package func write(_ event: String, _ fields: KeyValuePairs<String, JSONValue>) {
        write(event, fields.map { JSONValue.Field($0.key, $0.value) })
    }
}

package struct ObservabilityError: Error, Hashable, CustomStringConvertible {
    package let message: String
    package var description: String { message }

    init(_ message: String) {
        self.message = message
    }
}
