/// Why a command that was rightly asked for could not be carried out: said without the usage line, and the command ends with 1.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
