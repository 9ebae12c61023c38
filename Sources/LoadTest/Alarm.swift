/// Something that a driver does for a client at a moment.
struct Alarm: Comparable {
    enum Kind { case machine, look, drop, think }

    let at: Int64
    let client: Int
    let kind: Kind

    static func < (a: Alarm, b: Alarm) -> Bool { a.at < b.at }
    static func == (a: Alarm, b: Alarm) -> Bool { a.at == b.at }
}
