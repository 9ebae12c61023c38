/// A table for a terminal: columns as wide as their widest cell.
package enum TextTable {
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
}
