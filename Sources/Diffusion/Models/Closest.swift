/// The name that `name` was most likely meant to be: fewest letters to insert, drop or change; of equals the first by alphabet.
///
/// nil: none is near. One letter in three may be wrong, and two of a short word.
func closest(to name: String, among known: Set<String>) -> String? {
    let best = known.sorted().map { ($0, edits(from: Array(name), to: Array($0))) }.min { $0.1 < $1.1 }
    guard let (candidate, distance) = best, distance <= max(2, name.count / 3), distance < name.count else {
        return nil
    }
    return candidate
}

/// Levenshtein's distance.
private func edits(from a: [Character], to b: [Character]) -> Int {
    var row = Array(0...b.count)
    for (i, letter) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in b.enumerated() {
            let substituted = diagonal + (letter == other ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
        }
    }
    return row[b.count]
}
