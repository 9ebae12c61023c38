import Foundation

/// What a node tells `collafuse up`, which reads its output: lines that begin with "@", see `Launch/Supervisor.swift`.
enum Supervision {
    static let isOn = ProcessInfo.processInfo.environment["COLLAFUSE_PROGRESS"] == "lines"

    /// - Parameter share: from 0 to 1.
    static func progress(_ share: Double, _ text: String) { say("progress \(share) \(text)") }

    /// States a value that other nodes' command lines are made of.
    static func state(_ key: String, _ value: Int) { if isOn { say("value \(key) \(value)") } }

    private static func say(_ text: String) { FileHandle.standardError.write(Data("@\(text)\n".utf8)) }
}
