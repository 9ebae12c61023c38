import Testing
import Torch

@testable import Evaluation

@Suite struct ClassifierTests {
    @Test func readsHeldOutDigits() throws {
        let digits = try Digits()
        let heldOut = digits.heldOut
        let classifier = ClassifierTraining(seed: 1).train(on: digits.training)
        #expect(classifier.accuracy(on: heldOut) >= 0.95)
        #expect(classifier.accuracyByLabel(on: heldOut).allSatisfy { ($0 ?? 0) > 0.8 })
        #expect(classifier.allFeatures(heldOut.images).shape == [heldOut.count, ImageClassifier.featureCount])
        #expect(heldOut.chance < 0.12)
    }

    @Test func theSameSeedTrainsTheSameClassifier() throws {
        let some = try Digits().training.selecting(Array(0..<128))
        var training = ClassifierTraining(seed: 2)
        training.epochs = 1
        let (a, b) = (training.train(on: some), training.train(on: some))
        #expect(a.parameters.map(\.floats) == b.parameters.map(\.floats))
        training.seed = 3
        #expect(training.train(on: some).parameters.map(\.floats) != a.parameters.map(\.floats))
    }

    @Test func largerImagesFitToo() {
        var source = ParameterSource(seed: 1)
        let classifier = ImageClassifier(channels: 3, side: 32, classes: 5, &source)
        #expect(classifier(.zeros([2, 3, 32, 32])).shape == [2, 5])
    }

    @Test(arguments: [
        (EvaluationError.Code.badLabel, [0, 10], Float(0)), (.badLabel, [-1, 0], 0), (.mismatch, [0], 0),
        (.notFinite, [0, 1], .nan),
    ])
    func dataThatCannotBeMeasured(_ code: EvaluationError.Code, _ labels: [Int], _ value: Float) {
        let images = Tensor(Array(repeating: value, count: 32), shape: [2, 1, 4, 4])
        let error = #expect(throws: EvaluationError.self) {
            try LabelledImages(images: images, labels: labels, classes: 10)
        }
        #expect(error?.code == code)
    }
}
