internal import CProcess
internal import Foundation

/// A running process of ours, with its output in a pipe. Not `Sendable`: the supervisor's thread owns it, since a child
/// lives no longer than the thread that started it.
final class ChildProcess {
    let pid: pid_t
    /// Readable without blocking; standard output and errors together.
    let output: Int32
    let started: Double
    private var peak = 0

    struct End {
        let exit: LaunchMachine.Exit
        /// User and system time.
        let cpuSeconds: Double
        let peakBytes: Int
    }

    struct StartError: Error {
        let reason: String
    }

    init(executable: String, arguments: [String], environment: [String: String], now: Double) throws(StartError) {
        guard let pipe = PipeEnds() else { throw StartError(reason: String(cString: strerror(errno))) }
        var words = ([executable] + arguments).map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in words + variables { free(pointer) } }
        var pid: pid_t = 0
        let status = cprocess_spawn(executable, &words, &variables, pipe.writer, &pid)
        close(pipe.writer)
        guard status == 0 else {
            close(pipe.reader)
            throw StartError(reason: "\(executable): \(String(cString: strerror(status)))")
        }
        self.pid = pid
        output = pipe.reader
        started = now
        samplePeak()  // a short one may be gone at the next
    }

    deinit { close(output) }

    /// To be called now and then while it runs. What the system reports at the end counts in what this process had in memory
    /// when it forked; the high-water mark of the child's own memory does not.
    func samplePeak() {
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
            let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
        else { return }
        peak = max(peak, kibibytes * 1024)
    }

    /// The end, once; nil while it runs.
    func reap() -> End? {
        var status: Int32 = 0
        var usage = rusage()
        guard wait4(pid, &status, WNOHANG, &usage) == pid else { return nil }
        kill(-pid, SIGKILL)  // what it started and left behind
        let signal = status & 0x7F
        return End(
            exit: signal == 0 ? .code((status >> 8) & 0xFF) : .signal(signal),
            cpuSeconds: usage.ru_utime.seconds + usage.ru_stime.seconds,
            peakBytes: peak > 0 ? peak : Int(usage.ru_maxrss) * 1024)
    }

    /// Asks it to end. It alone: what it started is its own to end.
    func terminate() { kill(pid, SIGTERM) }

    /// Ends it and whatever it has started.
    func killGroup() {
        if kill(-pid, SIGKILL) != 0 { kill(pid, SIGKILL) }
    }

    /// Ends it as `killGroup` does and takes its end in: one that nobody waits for stays in the system's table.
    func killAndReap() {
        killGroup()
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    /// What there is to read now; empty when there is nothing yet, nil at the end.
    func read() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = Glibc.read(output, &buffer, buffer.count)
        if count > 0 { return Array(buffer.prefix(count)) }
        return count == 0 || (errno != EAGAIN && errno != EINTR) ? nil : []
    }
}

extension timeval {
    fileprivate var seconds: Double { Double(tv_sec) + Double(tv_usec) / 1e6 }
}
