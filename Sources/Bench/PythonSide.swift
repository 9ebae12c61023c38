internal import Foundation

/// `ops/bench/denoise.py` as a process that is told what to measure, one JSON object a line.
final class PythonSide {
    private struct Answer: Decodable {
        var rate: Double?
        var torch: String?
        var error: String?
    }

    private let process = Process()
    private let orders = Pipe()
    private let answers = Pipe()
    private var unread = Data()
    /// Its version, once a model is loaded.
    private(set) var torch = ""

    /// - Throws: `BenchError` when Python, torch or diffusers are missing, saying which.
    init(python: String, script: URL) throws {
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [python, "-u", script.path]
        process.standardInput = orders
        process.standardOutput = answers
        guard FileManager.default.fileExists(atPath: script.path) else {
            throw BenchError(
                "\(script.path) is missing: run the bench in the project's folder, or name it with --script")
        }
        // Where Python has ended, a write is to fail, and not to end this process.
        signal(SIGPIPE, SIG_IGN)
        try process.run()
    }

    /// Loads a model; what is measured after is measured on it.
    func load(_ folder: URL, threads: Int) throws {
        torch = try ask(["do": "load", "model": folder.path, "threads": threads]).torch ?? ""
    }

    func rate(_ what: String, _ arguments: [String: Any]) throws -> Double {
        guard let rate = try ask(arguments.merging(["do": what]) { $1 }).rate else {
            throw BenchError("Python did not say how fast `\(what)` is")
        }
        return rate
    }

    private func ask(_ order: [String: Any]) throws -> Answer {
        let line = try JSONSerialization.data(withJSONObject: order) + [10]
        do { try orders.fileHandleForWriting.write(contentsOf: line) } catch { throw gone }
        let answer = try JSONDecoder().decode(Answer.self, from: answerLine())
        if let error = answer.error { throw BenchError("Python: \(error)") }
        return answer
    }

    private func answerLine() throws -> Data {
        while true {
            if let end = unread.firstIndex(of: 10) {
                let line = unread[..<end]
                unread = Data(unread[(end + 1)...])
                // torch prints now and then.
                if line.first == UInt8(ascii: "{") { return Data(line) }
                continue
            }
            let more = answers.fileHandleForReading.availableData
            guard !more.isEmpty else { throw gone }
            unread += more
        }
    }

    private var gone: BenchError {
        BenchError(
            "Python ended: it needs torch and diffusers (`pip install torch diffusers`); name another with --python")
    }

    /// Ends it and waits for its end.
    func close() {
        try? orders.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}

/// Why something could not be measured.
package struct BenchError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
