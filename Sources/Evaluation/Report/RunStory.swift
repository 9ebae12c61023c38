/// What a run came to, in a few sentences for somebody who has never seen one.
struct RunStory {
    private let summary: RunSummary

    init(_ summary: RunSummary) {
        self.summary = summary
    }

    var sentences: [String] { [left, shown, drawn, unseen].compactMap(\.self) }

    private var left: String? {
        let published = summary.clients.reduce(0) { $0 + $1.imagesPublished }
        guard published > 0 else { return nil }
        let counts = summary.clients.filter { $0.imagesPublished > 0 }.map(\.releases)
        let most = counts.max() ?? 1
        let often = most == 1 ? "once" : counts.min() == most ? "\(most) times" : "up to \(most) times"
        let cuts = Set(summary.disclosure.filter { !$0.publishers.isEmpty }.map(\.cut)).sorted().map(String.init)
        return
            "What left the clients: \(published) images noised to timestep ζ = \(cuts.joined(separator: " or ")) of "
            + "\(summary.run.timesteps), each \(often), with their labels, sealed for the workers. The broker reads none."
    }

    /// Of what was published; else there is nothing to tell.
    private var shown: String? {
        guard
            let row = summary.disclosure.filter({ !$0.publishers.isEmpty }).max(by: { $0.snrDecibels < $1.snrDecibels })
        else { return nil }
        return
            "What that gives away: who has the masked images reads the label off \(row.labelAccuracy.percent) of them (by guessing "
            + "\(row.labelChance.percent)) and finds the very image among \(row.candidates) for \(row.reidentification.percent)."
    }

    private var drawn: String? {
        summary.quality.map {
            "What came of it: \($0.samples) new images of what each client holds; a classifier sees in \($0.accuracy.percent) of them what "
                + "was asked for (in real images: \($0.realAccuracy.percent))."
        }
    }

    private var unseen: String? {
        let parts = summary.clients.filter { $0.unseenSamples > 0 }
        guard !parts.isEmpty else { return nil }
        let all = parts.reduce(0) { $0 + $1.unseenSamples }
        let right = parts.reduce(0) { $0 + Double($1.unseenSamples) * ($1.unseenAccuracy ?? 0) } / Double(all)
        return
            "And \(all) images of what a client never held, learned by the workers from the others: \(right.percent) right. The client's "
            + "own half of the model has never seen such an image, and that shows."
    }
}
