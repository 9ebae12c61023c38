extension StepScheduler {
    /// A job as the scheduler knows it; never used again.
    package struct Ticket: Hashable, Sendable {
        package let number: Int
    }

    package struct SampleID: Hashable, Sendable {
        package let ticket: Ticket
        /// Place in the list that was added.
        package let index: Int

        package init(ticket: Ticket, index: Int) {
            self.ticket = ticket
            self.index = index
        }
    }

    /// What can share a forward pass.
    package struct GroupKey: Hashable, Sendable {
        /// Version of the backbone.
        package let model: UInt64
        /// [C, H, W]
        package let shape: [Int]
        /// Of the texts that samples come with; 0: none.
        package let tokens: Int

        package init(model: UInt64, shape: [Int], tokens: Int = 0) {
            self.model = model
            self.shape = shape
            self.tokens = tokens
        }
    }

    package struct Sample: Hashable, Sendable {
        /// How often the network is asked on the way from its start to its cut: once a step, or twice (Heun).
        package let passes: Int
        /// Run with and without its label.
        package let guided: Bool
        /// Above 0 for a sample that comes from another worker.
        package let passesDone: Int

        package init(passes: Int, guided: Bool = false, passesDone: Int = 0) {
            self.passes = passes
            self.guided = guided
            self.passesDone = passesDone
        }

        /// Network inputs that it takes in a pass.
        var width: Int { StepScheduler.width(guided: guided) }
        var isThrough: Bool { passesDone == passes }
    }

    package struct Slot: Hashable, Sendable {
        package let sample: SampleID
        /// Counts the sample's passes from 0.
        package let pass: Int
        package let guided: Bool
        /// With this pass it is at its cut.
        package let isLast: Bool

        /// Network inputs that it takes.
        package var width: Int { StepScheduler.width(guided: guided) }
    }

    private static func width(guided: Bool) -> Int { guided ? 2 : 1 }

    package struct Iteration: Hashable, Sendable {
        package let group: GroupKey
        package let slots: [Slot]

        /// Network inputs of the pass.
        package var width: Int { slots.reduce(0) { $0 + $1.width } }
    }

    package struct Advance: Hashable, Sendable {
        /// Samples that reached their cut with this pass.
        package var retired: [SampleID]
        /// Jobs all of whose samples have.
        package var completed: [Ticket]
    }
}
