extension Entry {
    /// Applies `--set workers.trainer.images=20000`: keys by name, list elements by their `name` or their place from 0.
    ///
    /// A key that is not there yet is added; whether it means something is checked when the topology is read.
    mutating func apply(override text: String) throws(TopologyError) {
        let place = "--set \(text)"
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, path.allSatisfy({ !$0.isEmpty }) else {
            throw TopologyError(.syntax, at: place, "an override is KEY.KEY=VALUE")
        }
        let value = try Entry(yaml: parts[1].isEmpty ? "''" : String(parts[1]), file: place).moved(to: place)
        try set(path[...], to: value, place: place)
    }

    private mutating func set(_ path: ArraySlice<String>, to value: Entry, place: String) throws(TopologyError) {
        guard let key = path.first else {
            self = value
            return
        }
        switch content {
        case .scalar:
            throw TopologyError(.wrongType, at: place, "'\(key)' cannot be set: what it is in is a single value")
        case .mapping(var pairs):
            if let index = pairs.firstIndex(where: { $0.key == key }) {
                try pairs[index].value.set(path.dropFirst(), to: value, place: place)
            } else {
                var added = Entry(content: .mapping([]), place: place)
                try added.set(path.dropFirst(), to: value, place: place)
                pairs.append((key, place, added))
            }
            content = .mapping(pairs)
        case .list(var list):
            guard let index = list.firstIndex(where: { $0.name == key }) ?? Int(key).filter(list.indices.contains)
            else {
                let names = list.enumerated().map { $1.name ?? String($0) }
                throw TopologyError(
                    .unknownKey, at: place, "there is no '\(key)' in the list" + closest(to: key, among: names))
            }
            try list[index].set(path.dropFirst(), to: value, place: place)
            content = .list(list)
        }
    }

    private var name: String? {
        guard case .mapping(let pairs) = content,
            case .scalar(let name)? = pairs.first(where: { $0.key == "name" })?.value.content
        else { return nil }
        return name
    }

    private func moved(to place: String) -> Entry {
        let content: Content =
            switch self.content {
            case .scalar: self.content
            case .list(let list): .list(list.map { $0.moved(to: place) })
            case .mapping(let pairs): .mapping(pairs.map { ($0.key, place, $0.value.moved(to: place)) })
            }
        return Entry(content: content, place: place)
    }
}

extension Optional {
    fileprivate func filter(_ isIncluded: (Wrapped) -> Bool) -> Wrapped? { flatMap { isIncluded($0) ? $0 : nil } }
}
