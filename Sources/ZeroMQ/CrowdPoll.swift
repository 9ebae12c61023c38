internal import CZeroMQ
internal import Glibc

/// What one thread waits for that has thousands of sockets: only those with news cost anything.
///
///     let poll = try CrowdPoll(wakeUp: inbox.wakeUp)
///     try poll.add(socket, as: 7)
///     for number in try poll.wait(until: deadline) { … read socket 7 until nothing is left … }
///
/// A socket's descriptor tells of news once, and sending takes that in too: so after a send, and whenever its number is named, a
/// socket is read until `receive` finds nothing. Otherwise it may never be named again.
package final class CrowdPoll {
    private let epoll: Int32
    private let timer: Int32
    private let wakeUp: WakeUp
    private var events = [epoll_event](repeating: epoll_event(), count: 512)
    /// To which the timer is set; 0: it is not.
    private var alarm: Int64 = 0

    private static let wakeUpNumber = UInt64.max
    private static let timerNumber = UInt64.max - 1

    package init(wakeUp: WakeUp) throws(ZeroMQError) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw ZeroMQError(errno: errno, doing: "open a poll for many sockets") }
        timer = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
        guard timer >= 0 else {
            let cause = errno
            close(epoll)
            throw ZeroMQError(errno: cause, doing: "open a timer")
        }
        self.wakeUp = wakeUp
        try add(descriptor: wakeUp.descriptor, Self.wakeUpNumber)
        try add(descriptor: timer, Self.timerNumber)
    }

    deinit {
        close(timer)
        close(epoll)
    }

    /// - Parameter number: what `wait` calls it; below 2⁶³.
    package func add(_ socket: Socket, as number: Int) throws(ZeroMQError) {
        try add(descriptor: descriptor(of: socket), UInt64(number))
    }

    /// Before a socket closes, or while it is not to be read.
    package func remove(_ socket: Socket) throws(ZeroMQError) {
        // ENOENT: it was not there. Neither matters.
        _ = epoll_ctl(epoll, EPOLL_CTL_DEL, try descriptor(of: socket), nil)
    }

    /// Waits until a socket has news, the wake-up is signalled or `deadline` (nanoseconds of uptime) has come; for ever when it is nil.
    ///
    /// - Parameter mayWait: false only looks.
    /// - Returns: the numbers of sockets that may have news.
    package func wait(until deadline: Int64?, mayWait: Bool = true) throws(ZeroMQError) -> [Int] {
        if mayWait { try setAlarm(deadline ?? 0) }
        let count = epoll_wait(epoll, &events, Int32(events.count), mayWait ? -1 : 0)
        guard count >= 0 else {
            guard errno == EINTR else { throw ZeroMQError(errno: errno, doing: "wait for messages") }
            return []
        }
        var numbers: [Int] = []
        numbers.reserveCapacity(Int(count))
        for event in events.prefix(Int(count)) {
            switch event.data.u64 {
            case Self.wakeUpNumber: wakeUp.clear()
            case Self.timerNumber:
                var rings: UInt64 = 0
                _ = read(timer, &rings, 8)
                alarm = 0
            case let number: numbers.append(Int(number))
            }
        }
        return numbers
    }

    /// A timer, since epoll's own counts in milliseconds. Setting it again clears what it has to tell.
    private func setAlarm(_ deadline: Int64) throws(ZeroMQError) {
        guard deadline != alarm || deadline == 0 else { return }
        if deadline == 0, alarm == 0 { return }
        var time = itimerspec()
        // 0 would disarm it: a moment long past rings at once.
        let at = deadline == 0 ? 0 : max(1, deadline)
        time.it_value = timespec(tv_sec: Int(at / 1_000_000_000), tv_nsec: Int(at % 1_000_000_000))
        guard timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &time, nil) == 0 else {
            throw ZeroMQError(errno: errno, doing: "set a timer")
        }
        alarm = deadline
    }

    private func add(descriptor: Int32, _ number: UInt64) throws(ZeroMQError) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = number
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            throw ZeroMQError(errno: errno, doing: "wait for a socket")
        }
    }

    private func descriptor(of socket: Socket) throws(ZeroMQError) -> Int32 {
        var descriptor: Int32 = -1
        var size = MemoryLayout<Int32>.size
        guard zmq_getsockopt(socket.handle, ZMQ_FD, &descriptor, &size) == 0 else {
            throw .last(doing: "ask for a socket's descriptor")
        }
        return descriptor
    }
}
