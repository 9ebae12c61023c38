/// A table for a terminal: columns as wide as their widest cell.
enum TextTable {
    static func lines(_ head: [String], _ rows: [[String]]) -> [String] {
        let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
        return ([head] + rows).map { row in
            // Nothing behind the last cell.
            row.indices.reduce("") { line, column in
                let cell = row[column], isLast = column == row.count - 1
                return line + "  " + cell + (isLast ? "" : String(repeating: " ", count: widths[column] - cell.count))
            }
        }
    }
}
