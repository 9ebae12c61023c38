/// What passed between the hub and one key, counted in frames' bytes, without encryption and TCP.
package struct Traffic: Hashable, Sendable {
    package var messagesIn = 0
    package var messagesOut = 0
    package var bytesIn = 0
    package var bytesOut = 0

    package init() {}
}
