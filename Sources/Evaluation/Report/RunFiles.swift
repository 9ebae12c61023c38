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
        do { plan = try PlanRecord(contentsOf: folder.appending(path: "plan.json")) } catch {
            throw EvaluationError(.badRun, error.message)
        }
        let nodes = folder.appending(path: "nodes.json")
        do { record = try JSONDecoder().decode(RunRecord.self, from: Data(contentsOf: nodes)) } catch {
            throw EvaluationError(
                .badRun, "\(nodes.path) cannot be read, or is of another version of collafuse: start the run again")
        }
    }

    private static let advice = "name what a topology's `out:` names, such as out/demo after `make demo`"
}
