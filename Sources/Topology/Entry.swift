internal import Yams

/// A YAML value that knows where it was written, so that every error can say so.
struct Entry {
    enum Content {
        case scalar(String)
        case list([Entry])
        case mapping([(key: String, place: String, value: Entry)])
    }

    var content: Content
    /// "FILE:LINE", or the override that set it.
    var place: String

    /// What a person calls this kind of value.
    var kind: String {
        switch content {
        case .scalar(let text): "'\(text)'"
        case .list: "a list"
        case .mapping: "a mapping (key: value)"
        }
    }
}

extension Entry {
    /// More values than any topology has; a few lines of YAML can name each other into billions.
    private static let largestCount = 100_000

    init(yaml: String, file: String) throws(TopologyError) {
        let root: Node?
        do {
            // What a scalar means is for `Fields` to say: no patterns are tried on each.
            root = try Yams.compose(yaml: yaml, .basic)
        } catch {
            throw Self.syntaxError(error, file: file)
        }
        guard let root else { throw TopologyError(.syntax, at: "\(file):1", "the file is empty") }
        var count = 0
        self = try Self.entry(root, file: file, count: &count)
    }

    private static func entry(_ node: Node, file: String, count: inout Int) throws(TopologyError) -> Entry {
        let place = "\(file):\(node.mark?.line ?? 1)"
        count += 1
        guard count <= largestCount else { throw TopologyError(.outOfRange, at: place, "the file has too many values") }
        switch node {
        case .scalar(let scalar):
            return Entry(content: .scalar(scalar.string), place: place)
        case .sequence(let sequence):
            var list: [Entry] = []
            for element in sequence { list.append(try entry(element, file: file, count: &count)) }
            return Entry(content: .list(list), place: place)
        case .mapping(let mapping):
            var pairs: [(key: String, place: String, value: Entry)] = []
            for (key, value) in mapping {
                let keyPlace = "\(file):\(key.mark?.line ?? 1)"
                guard let name = key.scalar?.string else {
                    throw TopologyError(.wrongType, at: keyPlace, "a key must be a single word")
                }
                pairs.append((name, keyPlace, try entry(value, file: file, count: &count)))
            }
            return Entry(content: .mapping(pairs), place: place)
        case .alias:
            throw TopologyError(.syntax, at: place, "an alias (*name) that nothing is named after")
        }
    }

    private static func syntaxError(_ error: any Error, file: String) -> TopologyError {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            TopologyError(.syntax, at: "\(file):\(mark.line)", "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            TopologyError(
                .syntax, at: "\(file):\(context.mark.line)",
                "given more than once: \(duplicates.joined(separator: ", "))")
        case .reader(let problem, _, _, _):
            TopologyError(.syntax, at: file, "not YAML: \(problem)")
        default:
            TopologyError(.syntax, at: file, "not YAML: \(error)")
        }
    }
}
