/// Tables for a terminal.
package enum TextTable {
    /// All rows at once: columns as wide as their widest cell.
    ///
    /// - Parameter indent: in front of each line.
    package static func lines(_ head: [String], _ rows: [[String]], indent: String = "  ") -> [String] {
        let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
        return ([head] + rows).map { row in
            // Nothing behind the last cell.
            let cells = row.indices.map { column in
                column == row.count - 1
                    ? row[column] : row[column] + String(repeating: " ", count: widths[column] - row[column].count)
            }
            return indent + cells.joined(separator: "  ")
        }
    }

    /// A row of a table whose columns stay where they are: a name, and figures behind it that end below each other.
    package static func row(_ cells: [String], first: Int, others: Int) -> String {
        cells.enumerated().map { column, cell in
            let gap = String(repeating: " ", count: max(1, (column == 0 ? first : others) - cell.count))
            return column == 0 ? cell + gap : gap + cell
        }.joined()
    }
}
