import Foundation
import Testing
import Wire

struct IdentifierTests {
    @Test func lengths() {
        for length in [0, 1, 15, 17, 31, 32, 33] { #expect(JobID([UInt8](repeating: 1, count: length)) == nil) }
        for length in [0, 16, 31, 33] { #expect(RunID([UInt8](repeating: 1, count: length)) == nil) }
        #expect(JobID([UInt8](repeating: 1, count: 16)) != nil)
        #expect(RunID([UInt8](repeating: 1, count: 32)) != nil)
        #expect(throws: WireError.self) { try JobID(field: Data(count: 15), "job_id") }
        #expect { try JobID(field: Data(count: 15), "job_id") } throws: {
            "\($0)".contains("job_id") && "\($0)".contains("16")
        }
    }

    @Test func text() throws {
        let id = try #require(JobID((0..<16).map { UInt8($0 * 17) }))
        #expect(id.description == "00112233445566778899aabbccddeeff")
        #expect(id.short == "00112233")
        let client = try #require(ClientID(id.bytes.reversed()))
        #expect("\(JobKey(client: client, job: id))" == "ffeeddcc/00112233")
    }

    @Test func randomOnesDiffer() {
        var random = SystemRandomNumberGenerator()
        #expect(Set((0..<1000).map { _ in JobID.random(using: &random) }).count == 1000)
    }

    @Test func hex() {
        let all = (0...255).map(UInt8.init)
        #expect([UInt8](hex: all.hex) == all)
        #expect([UInt8](hex: all.hex.uppercased()) == all)
        #expect([UInt8](hex: "") == [])
        for text in ["a", "abc", "0g", "0x", " 1", "+1", "-1", "٣٣", "１２", "\u{b2}\u{b3}", "0\u{301}"] {
            #expect([UInt8](hex: text) == nil, "\(text)")
        }
    }
}
