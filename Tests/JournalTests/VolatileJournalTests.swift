import Journal
import Testing

@Suite struct VolatileJournalTests {
    @Test func everyStartIsANewBroker() {
        let journal = VolatileJournal(random: SystemRandomNumberGenerator())
        let first = journal.start {}, second = journal.start {}
        #expect(first.broker != second.broker)
        #expect(first.entries.isEmpty)
    }
}
