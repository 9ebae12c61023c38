internal import Disk
package import Foundation
internal import Synchronization

/// Processes of ours that live beside this one for as long as it wants them, such as a load test's own broker and workers.
///
///     let companions = Companions()
///     defer { companions.stop() }
///     companions.start(.init(name: "broker", executable: own, arguments: ["broker", …], log: folder.appending(path: "broker.log")))
///
/// They have a thread of their own, since a child ends with the thread that started it: nothing is left behind, however this ends.
package final class Companions: Sendable {
    package struct Program: Sendable {
        package let name: String
        package let executable: URL
        package let arguments: [String]
        /// Takes what it says.
        package let log: URL

        package init(name: String, executable: URL, arguments: [String], log: URL) {
            self.name = name
            self.executable = executable
            self.arguments = arguments
            self.log = log
        }
    }

    private struct State {
        var wanted: [Program] = []
        var isStopping = false
        /// Those that ended, or could not be started, before anybody wanted them to.
        var ended: [String] = []
        var processes: [String: pid_t] = [:]
    }

    private let state: SharedState
    private let isOver = DispatchSemaphore(value: 0)

    private final class SharedState: Sendable {
        let value = Mutex(State())
    }

    package init() {
        let state = SharedState()
        self.state = state
        let isOver = isOver
        let thread = Thread {
            Self.keep(state)
            isOver.signal()
        }
        thread.name = "companions"
        thread.start()
    }

    package func start(_ program: Program) { state.value.withLock { $0.wanted.append(program) } }

    /// Why things cannot go well any more; nil: all of them run.
    package var fault: String? { state.value.withLock { $0.ended.first } }

    /// nil: it does not run yet.
    package func process(_ name: String) -> pid_t? { state.value.withLock { $0.processes[name] } }

    /// Ends all of them: asked first, after five seconds by force. Returns when they are gone.
    package func stop() {
        state.value.withLock { $0.isStopping = true }
        isOver.wait()
        isOver.signal()  // for whoever asks again
    }

    private static func keep(_ state: SharedState) {
        var running: [(program: Program, process: ChildProcess, log: FileHandle)] = []
        var patience = 100
        while true {
            let (wanted, isStopping) = state.value.withLock { value in
                defer { value.wanted = [] }
                return (value.wanted, value.isStopping)
            }
            if isStopping, patience == 100 { for child in running { child.process.terminate() } }
            if isStopping { patience -= 1 }
            for program in wanted where !isStopping {
                do {
                    try Data().write(to: program.log)
                    let process = try ChildProcess(
                        executable: program.executable.path, arguments: program.arguments,
                        environment: ProcessInfo.processInfo.environment, now: 0)
                    running.append((program, process, try FileHandle(forWritingTo: program.log)))
                    state.value.withLock { $0.processes[program.name] = process.pid }
                } catch {
                    state.value.withLock { $0.ended.append("\(program.name) cannot be started: \(error.words)") }
                }
            }
            running.removeAll { child in
                while let bytes = child.process.read(), !bytes.isEmpty { try? child.log.write(contentsOf: bytes) }
                guard let end = child.process.reap() else { return false }
                if !isStopping {
                    state.value.withLock {
                        $0.ended.append("\(child.program.name) ended (\(end.exit)): see \(child.program.log.path)")
                    }
                }
                return true
            }
            if isStopping, running.isEmpty || patience <= 0 { break }
            usleep(50_000)
        }
        for child in running { child.process.killAndReap() }
    }
}
