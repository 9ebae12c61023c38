/// What a run ended in: `summary.json`. The panel and the page are drawn from it and from nothing else.
package struct RunSummary: Codable, Sendable {
    package var run: Run
    package var clients: [Client]
    /// What masked images give away, measured by attack, at the run's cut and at others for comparison.
    package var disclosure: [Disclosure]
    /// nil: nobody sampled.
    package var quality: Quality?
    package var backbone: Backbone
    package var jobs: Jobs
    package var phases: [Phase]
    package var nodes: [Node]
    /// Files below the run's folder, by what they hold.
    package var files: [String: String]

    package struct Run: Codable, Sendable {
        package var name: String
        package var timesteps: Int
        package var schedule: String
        package var cut: Int
        /// SNR at the cut in decibels.
        package var snrDecibels: Double
        package var seconds: Double
    }

    package struct Client: Codable, Sendable {
        package var name: String
        package var holds: [String]
        package var imagesHeld: Int
        package var imagesPublished: Int
        /// Of the image that is exposed most.
        package var releases: Int
        /// The cut of the one release that would tell as much as all releases of the most exposed image.
        package var effectiveCut: Int
        /// Gaussian differential privacy's μ of the most exposed image, replace-one.
        package var mu: Double
        /// ε at δ = 1e-5 from μ.
        package var epsilon: Double
        package var bytesSent: Int
        package var bytesReceived: Int
        package var headImages: Int
        /// The ordinary noise-prediction loss over 1…ζ at the end of training; its floor is 0.
        package var headLoss: Double?
        package var samples: Int
        /// The share of samples that the classifier calls by their label.
        package var accuracy: Double?
        package var unseenSamples: Int
        package var unseenAccuracy: Double?
        /// Between its samples and the held-out images of its labels, by pixels.
        package var frechet: Double?
        package var cpuSeconds: Double
        package var peakMegabytes: Double
    }

    package struct Disclosure: Codable, Sendable {
        package var cut: Int
        /// Clients that published there; none: for comparison.
        package var publishers: [String]
        /// How many masks of each image the attacker has, all at this cut.
        package var masks: Int
        /// The cut of the one mask that shows as much.
        package var effectiveCut: Int
        /// Of all masks of an image together.
        package var snrDecibels: Double
        package var labelAccuracy: Double
        /// What a guess without looking gets right.
        package var labelChance: Double
        package var reidentification: Double
        package var candidates: Int
    }

    package struct Quality: Codable, Sendable {
        package var samples: Int
        package var accuracy: Double
        package var accuracyByLabel: [String: Double]
        /// The classifier on held-out real images.
        package var realAccuracy: Double
        package var frechet: Double
        /// Held-out real images against training images, the same statistic.
        package var realFrechet: Double
    }

    package struct Backbone: Codable, Sendable {
        package var versions: Int
        package var imagesSeen: Int
        package var buckets: [Bucket]
        /// For who reads the file without the documents.
        package var note: String? =
            "excess is Σ(L − ‖u‖² + λ·P)/Σλ, an estimate of the ordinary loss, and not loss − floor"
    }

    package struct Bucket: Codable, Sendable {
        package var from: Int
        package var to: Int
        package var loss: Double?
        /// What no model can do anything about.
        package var floor: Double?
        /// An estimate of the ordinary loss at these timesteps: docs/maths.md (3.5). What is above the floor counts by the share of the
        /// noise that could be known, and the noise that was drawn is taken out: so it is not `loss` − `floor`.
        package var excess: Double?
    }

    package struct Jobs: Codable, Sendable {
        package var accepted: Int
        package var finished: Int
        package var redelivered: Int
        package var deadLetters: Int
        package var rejected: Int
    }

    package struct Phase: Codable, Sendable {
        package var node: String
        package var name: String
        package var start: Double
        package var end: Double
    }

    package struct Node: Codable, Sendable {
        package var name: String
        package var role: String
        package var cpuSeconds: Double
        package var peakMegabytes: Double
        package var restarts: Int
    }
}
