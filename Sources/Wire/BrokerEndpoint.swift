/// Where a broker listens, as people write it: `tcp://HOST:PORT`, or `NAME@tcp://HOST:PORT` where a deployment has several brokers.
package struct BrokerEndpoint: Hashable, Sendable {
    package let name: String?
    /// As libzmq takes it.
    package let endpoint: String

    /// - Returns: nil when it does not look like one; if anybody is there will be seen.
    package init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1).map(String.init)
        guard let endpoint = parts.last, Self.isEndpoint(endpoint) else { return nil }
        name = parts.count == 2 ? parts[0] : nil
        self.endpoint = endpoint
    }

    /// What is said of one that is none.
    package static func refusal(_ text: String) -> String {
        "“\(text)” is nowhere that a broker listens: write tcp://HOST:PORT"
    }

    /// What is wrong with the brokers that a command was given; nil: nothing.
    package static func fault(in texts: [String]) -> String? {
        texts.isEmpty
            ? "Name a broker: --broker tcp://HOST:PORT" : texts.first { BrokerEndpoint($0) == nil }.map(refusal)
    }

    private static func isEndpoint(_ text: String) -> Bool {
        guard text.hasPrefix("tcp://") else { return text.hasPrefix("ipc://") }
        let parts = text.dropFirst("tcp://".count).split(separator: ":", omittingEmptySubsequences: false)
        return parts.count >= 2 && parts[0] != "" && parts.last.flatMap { UInt16($0) } ?? 0 > 0
    }
}
