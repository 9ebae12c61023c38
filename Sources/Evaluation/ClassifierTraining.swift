import Foundation
package import Torch

/// How a classifier is trained. The same settings, data and seed give the same classifier.
package struct ClassifierTraining: Hashable, Sendable {
    package var epochs = 12
    package var batchSize = 64
    /// The peak; it falls to zero along a half cosine.
    package var learningRate = 3e-3
    package var weightDecay = 0.05
    package var seed: UInt64

    package init(seed: UInt64) { self.seed = seed }

    /// Call `Runtime.flushDenormals()` on the thread first: the moments of dead units decay into numbers that cost a
    /// CPU a hundred times a normal one.
    ///
    /// - Parameter change: what is done to each batch before it is learnt from, with the number of the step: noise,
    ///   for an attacker.
    package func train(on data: LabelledImages, change: (Tensor, UInt32) -> Tensor = { images, _ in images })
        -> ImageClassifier
    {
        var source = ParameterSource(seed: seed)
        let (channels, side) = (data.images.size(1), data.images.size(2))
        let classifier = ImageClassifier(channels: channels, side: side, classes: data.classes, &source)
        var optimiser = AdamW(classifier, learningRate: learningRate, weightDecay: weightDecay)
        var words = CounterRandom(seed: seed).sequence(purpose: .evaluation)
        var order = Array(0..<data.count)
        let batches = (data.count + batchSize - 1) / batchSize
        for step in 0..<epochs * batches {
            if step.isMultiple(of: batches) { order.shuffle(using: &words) }
            let first = step % batches * batchSize
            let batch = data.selecting(Array(order[first..<min(first + batchSize, data.count)]))
            let progress = Double(step) / Double(epochs * batches)
            optimiser.learningRate = learningRate * 0.5 * (1 + cos(.pi * progress))
            optimiser.dropGradients()
            classifier(change(batch.images, UInt32(step))).crossEntropy(Tensor(batch.labels)).backward()
            optimiser.step()
        }
        return classifier
    }
}
