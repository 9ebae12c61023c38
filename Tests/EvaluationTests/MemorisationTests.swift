import Testing
import Torch

@testable import Evaluation

@Suite struct MemorisationTests {
    @Test func copiesAreSeen() throws {
        let digits = try Digits()
        let (training, heldOut) = (digits.training.images, digits.heldOut.images)
        // "Samples" that are training images themselves, hardly changed, against the half of the training set they come
        // from.
        let half = training[0..<300]
        let copies = masked(half, signal: 0.9999, seed: 1)
        let copied = try Memorisation(samples: copies, training: half, heldOut: heldOut, seed: 1)
        #expect(copied.references == 300)
        #expect(copied.shareNearerTraining == 1)
        #expect(copied.nearestTraining < 0.1 && copied.nearestHeldOut > 1)

        // Fresh images of the same kind: as near to the one set as to the other.
        let fresh = try Memorisation(
            samples: heldOut, training: training[0..<500], heldOut: training[500..<1000], seed: 1)
        #expect(abs(fresh.shareNearerTraining - 0.5) < 0.2)
        #expect(abs(fresh.nearestTraining / fresh.nearestHeldOut - 1) < 0.1)
    }

    @Test func equallyNearCountsForNeither() throws {
        let images = Tensor.zeros([3, 1, 2, 2])
        let tie = try Memorisation(samples: images + 1, training: images, heldOut: images[0..<2], seed: 1)
        #expect(tie.shareNearerTraining == 0.5 && tie.references == 2)
        #expect(tie.nearestTraining == 2)
        #expect(throws: EvaluationError.self) {
            try Memorisation(samples: images, training: .zeros([3, 1, 3, 3]), heldOut: images, seed: 1)
        }
    }
}
