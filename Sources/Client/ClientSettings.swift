public import Foundation

/// Where a client finds what it needs.
public struct ClientSettings: Sendable {
    /// The deployment folder, as the operator handed it out.
    public var deployment: URL
    /// This client's secret keys.
    public var kit: URL
    /// What it must remember: masking key, ledger, spool, head. One process at a time.
    public var home: URL
    /// Whether a home that is not there is made. A kit that has one has no other: its images would get other masks there.
    public var makesHome: Bool
    /// Endpoints such as `tcp://broker:7701`; the next is tried when one is gone.
    public var brokers: [String]
    /// The first digits of the run's id; nil: the deployment's only run.
    public var run: String?
    /// The most that one image's releases may show together, as a signal-to-noise ratio in decibels. Kept in the home; nil: what is
    /// kept there, else 3 dB.
    public var limitDecibels: Double?

    public init(
        deployment: URL, kit: URL, home: URL, makesHome: Bool = true, brokers: [String], run: String? = nil,
        limitDecibels: Double? = nil
    ) {
        self.deployment = deployment
        self.kit = kit
        self.home = home
        self.makesHome = makesHome
        self.brokers = brokers
        self.run = run
        self.limitDecibels = limitDecibels
    }
}

/// How far a call has come.
public struct ClientProgress: Sendable {
    public var done: Int
    public var total: Int
    /// What else there is to say: a loss, a broker that does not answer. May be empty.
    public var note: String

    public init(done: Int, total: Int, note: String = "") {
        self.done = done
        self.total = total
        self.note = note
    }

    /// Called from any thread.
    public typealias Handler = @Sendable (ClientProgress) -> Void
}
