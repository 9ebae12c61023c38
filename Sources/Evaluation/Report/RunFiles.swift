internal import Foundation
internal import Launch

/// What `collafuse up` left of a run, to be judged.
struct RunFiles {
    let plan: PlanRecord
    let record: RunRecord

    /// - Throws: `badRun`, which says what the folder lacks and which one is wanted.
    init(folder: URL) throws(EvaluationError) {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder), isFolder.boolValue else {
            throw EvaluationError(.badRun, "There is no folder \(folder.path): \(Self.advice)")
        }
        guard FileManager.default.fileExists(atPath: folder.appending(path: "plan.json").path) else {
            throw EvaluationError(
                .badRun, "\(folder.path) is not the folder of a run, it has no plan.json: \(Self.advice)")
        }
        guard FileManager.default.fileExists(atPath: folder.appending(path: "nodes.json").path) else {
            throw EvaluationError(
                .badRun,
                "The run in \(folder.path) has not come to its end, it has no nodes.json: wait for `collafuse up`, or start it again"
            )
        }
        plan = try Self.read("plan.json", in: folder)
        record = try Self.read("nodes.json", in: folder)
    }

    private static let advice = "name what a topology's `out:` names, such as out/demo after `make demo`"

    private static func read<Value: Decodable>(_ name: String, in folder: URL) throws(EvaluationError) -> Value {
        let file = folder.appending(path: name)
        do { return try JSONDecoder().decode(Value.self, from: Data(contentsOf: file)) } catch {
            throw EvaluationError(
                .badRun,
                "\(file.path) cannot be read, or is of another version of collafuse: start the run again (\(error))")
        }
    }
}
