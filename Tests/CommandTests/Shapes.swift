/// A topology of made-up shapes, for commands that compute nothing.
enum Shapes {
    /// - Parameter clients: an element of the list each.
    static func topology(clients: String...) -> String {
        """
        run: {name: shapes, timesteps: 100, cut: 40, image: [1, 8, 8], labels: [disc, square],
              backbone: {channels: [8, 16], layers: 1}}
        workers:
          - {name: trainer, role: train}
          - {name: denoiser, role: denoise}
        clients:
        \(clients.map { "  - {\($0)}" }.joined(separator: "\n"))
        out: made
        """
    }
}
