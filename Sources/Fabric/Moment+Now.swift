package import Exchange
internal import Glibc

extension Moment {
    /// What the machine's clocks show: the monotonic one and the wall's.
    package static func now() -> Moment {
        Moment(uptime: nanoseconds(CLOCK_MONOTONIC), wall: nanoseconds(CLOCK_REALTIME) / 1_000_000)
    }

    private static func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
