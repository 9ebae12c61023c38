internal import Foundation

/// A pipe whose reading end does not block and whose ends no child inherits.
struct PipeEnds {
    let reader: Int32
    let writer: Int32

    /// nil when this process has no file descriptors left; `errno` says so.
    init?() {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        (reader, writer) = (ends[0], ends[1])
    }
}
