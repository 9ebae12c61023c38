/// The processes of a deployment on one machine: what each runs, and what it waits for. Made by `LaunchPlan+Topology.swift`,
/// carried out by `LaunchMachine` (decisions) and `Supervisor` (processes).
package struct LaunchPlan: Hashable, Sendable {
    package var nodes: [Node]
    /// Run one after another when all jobs are done and all services are stopped.
    package var closing: [Stage]

    package init(nodes: [Node], closing: [Stage] = []) {
        self.nodes = nodes
        self.closing = closing
    }

    /// One party: a process at a time, under one name.
    package struct Node: Hashable, Sendable {
        package enum Life: Hashable, Sendable {
            /// Runs until it is stopped; if it ends by itself it is started again. It has one stage.
            ///
            /// `mayEnd`: a good end means that it has nothing left to do.
            case service(mayEnd: Bool)
            /// Its stages run one after another, each to a good end.
            case job
        }

        package let name: String
        /// What a person calls it: "broker", "train", "denoise", "client".
        package let role: String
        package let life: Life
        package let stages: [Stage]
        /// A file that appears when the node can be used: a JSON object of strings, which others name as `.value`.
        package let readyFile: String?

        package init(name: String, role: String, life: Life, stages: [Stage], readyFile: String? = nil) {
            self.name = name
            self.role = role
            self.life = life
            self.stages = stages
            self.readyFile = readyFile
        }
    }

    /// One command.
    package struct Stage: Hashable, Sendable {
        package let name: String
        package let executable: String
        package let arguments: [Argument]
        /// Added to the supervisor's own environment.
        package let environment: [String: String]
        package let needs: [Need]

        package init(
            name: String, executable: String, arguments: [Argument], environment: [String: String] = [:],
            needs: [Need] = []
        ) {
            self.name = name
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.needs = needs
        }
    }

    package enum Argument: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
        case text(String)
        /// A value that a node wrote to its ready file; `before` stands for it until then.
        case value(node: String, key: String, before: String)
        /// The same as `name@value`, of a broker among several.
        case address(node: String, key: String)
        /// What these nodes have stated under a key, added up, and `most` at most.
        case sum(nodes: [String], key: String, most: Int)

        package init(stringLiteral value: String) { self = .text(value) }
    }

    /// What must have happened before a stage begins.
    package enum Need: Hashable, Sendable {
        /// The node's ready file was there once.
        case ready(String)
        /// The job's last stage has ended well.
        case done(String)
        /// The node has stated a value under this key.
        case stated(String, key: String)
    }
}

extension LaunchPlan {
    /// The command lines, to be read by a person: what is known only later stands in angle brackets.
    package var text: String {
        let stages = nodes.flatMap { node in node.stages.map { (node.name, $0) } } + closing.map { ("closing", $0) }
        return stages.map { name, stage in
            let words = stage.arguments.map { argument in
                switch argument {
                case .text(let text): text.contains(" ") ? "'\(text)'" : text
                case .value(let node, let key, let before): before.isEmpty ? "<\(node): \(key)>" : before
                case .address(let node, let key): "\(node)@<\(node): \(key)>"
                case .sum(let nodes, let key, _): "<\(nodes.joined(separator: " + ")): \(key)>"
                }
            }
            let environment = stage.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            return "\(name): " + (environment + [stage.executable] + words).joined(separator: " ")
        }.joined(separator: "\n")
    }
}
