import Testing

@testable import Wire

@Suite struct BrokerEndpointTests {
    @Test func whatPeopleWrite() throws {
        let plain = try #require(BrokerEndpoint("tcp://broker.example:7701"))
        #expect(plain.name == nil && plain.endpoint == "tcp://broker.example:7701")
        let named = try #require(BrokerEndpoint("broker-2@tcp://[::1]:5620"))
        #expect(named.name == "broker-2" && named.endpoint == "tcp://[::1]:5620")
        #expect(BrokerEndpoint("ipc:///run/broker") != nil)
    }

    @Test func whatIsWrongWithSeveral() {
        #expect(BrokerEndpoint.fault(in: ["tcp://a:1", "b@tcp://c:2"]) == nil)
        #expect(BrokerEndpoint.fault(in: [])?.contains("Name a broker") == true)
        #expect(BrokerEndpoint.fault(in: ["tcp://a:1", "nonsense"]) == BrokerEndpoint.refusal("nonsense"))
    }

    @Test(arguments: [
        "", "@", "nonsense", "broker@", "tcp://", "tcp://:7701", "tcp://broker", "tcp://broker:", "tcp://broker:0",
        "tcp://broker:70000", "tcp://broker:http", "http://broker:80",
    ]) func whatIsNone(text: String) {
        #expect(BrokerEndpoint(text) == nil)
    }
}
