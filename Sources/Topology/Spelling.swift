/// ": did you mean 'guidance'?" when a known word is near, else the known words.
func closest(to word: String, among known: [String]) -> String {
    // Of two that are as near, the one with the same letters: they were only typed in another order.
    let letters = word.lowercased().sorted()
    let nearest = known.map {
        (
            word: $0, distance: editDistance(word.lowercased(), $0.lowercased()),
            others: $0.lowercased().sorted() != letters
        )
    }.min { ($0.distance, $0.others ? 1 : 0) < ($1.distance, $1.others ? 1 : 0) }
    guard let nearest, nearest.distance <= max(2, word.count / 3), nearest.distance < word.count else {
        return known.isEmpty ? "" : " (there is: \(known.joined(separator: ", ")))"
    }
    return ": did you mean '\(nearest.word)'?"
}

/// The least number of letters inserted, dropped, changed or swapped with their neighbour that makes one word the other
/// (optimal string alignment).
func editDistance(_ a: String, _ b: String) -> Int {
    let a = Array(a), b = Array(b)
    var rows = [Array(0...b.count)]
    for i in 1..<(a.count + 1) {
        var row = [i]
        for j in 1..<(b.count + 1) {
            var least = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { least = min(least, rows[i - 2][j - 2] + 1) }
            row.append(least)
        }
        rows.append(row)
    }
    return rows[a.count][b.count]
}
