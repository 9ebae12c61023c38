/// What the clocks show when something happens. The state machines own no clock: every call is given its moment.
package struct Moment: Hashable, Sendable {
    /// Nanoseconds on a clock that never goes back: leases, heartbeats and deadlines are measured on it.
    package var uptime: Int64
    /// Milliseconds of Unix time: only for the times that envelopes name, since a wall clock may jump.
    package var wall: Int64

    package init(uptime: Int64, wall: Int64) {
        self.uptime = uptime
        self.wall = wall
    }
}
