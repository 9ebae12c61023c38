/// The moments between which a crash may come. Outside of tests nothing listens.
struct StorageSteps: Sendable {
    enum Step: String, CaseIterable, Sendable {
        case ledgerAppend, ledgerAppended
        case spoolFill, spoolFilled, spoolNamed
        case surface, surfaced
        case wipe, wiped
    }

    var reach: @Sendable (Step) throws(ClientError) -> Void = { _ throws(ClientError) in }
}
