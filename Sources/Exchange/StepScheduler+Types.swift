extension StepScheduler {
    /// A job as the scheduler knows it; never used again.
    package struct Ticket: Hashable, Sendable {
        let number: Int
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

        package init(model: UInt64, shape: [Int]) {
            self.model = model
            self.shape = shape
        }
    }

    package struct Sample: Hashable, Sendable {
        /// From its start to its cut, falling strictly: n + 1 timesteps are n steps.
        package let timesteps: [Int]
        /// Run with and without its label.
        package let guided: Bool

        package init(timesteps: [Int], guided: Bool = false) {
            self.timesteps = timesteps
            self.guided = guided
        }

        var width: Int { guided ? 2 : 1 }
    }

    package struct Slot: Hashable, Sendable {
        package let sample: SampleID
        /// Counts from 0.
        package let step: Int
        /// The timestep at which the network is asked.
        package let from: Int
        /// The timestep to which the sampler goes.
        package let to: Int
        package let guided: Bool
        /// `to` is the sample's cut.
        package let isLast: Bool
    }

    package struct Iteration: Hashable, Sendable {
        package let group: GroupKey
        package let slots: [Slot]
    }

    package struct Advance: Hashable, Sendable {
        /// Samples that reached their cut with this pass.
        package var retired: [SampleID]
        /// Jobs all of whose samples have.
        package var completed: [Ticket]
    }
}
