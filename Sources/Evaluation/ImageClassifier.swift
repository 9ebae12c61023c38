package import Torch

/// A small convolutional network that names what an image shows.
///
///     [conv 3×3 → group norm → relu → pool 2] until the side is at most 4 → linear → relu → linear
///
/// At 8×8 the first block keeps its size, so that there are always two. 43,000 parameters for the digits, trained in
/// seconds to .98.
package struct ImageClassifier: Module {
    /// Width of the penultimate layer.
    package static let featureCount = 64

    private struct Block {
        let convolution: Conv2d
        let norm: GroupNorm
        let pools: Bool
    }

    private let blocks: [Block]
    private let hidden: Linear
    private let output: Linear

    /// For images [N, channels, side, side], side at least 4.
    package init(channels: Int, side: Int, classes: Int, _ source: inout ParameterSource) {
        precondition(side >= 4, "images of at least 4×4")
        var blocks: [Block] = []
        var (inputs, width, size) = (channels, 32, side)
        func block(pools: Bool) -> Block {
            let convolution = Conv2d(inputs, width, kernel: 3, padding: 1, &source)
            return Block(convolution: convolution, norm: GroupNorm(groups: 8, width, &source), pools: pools)
        }
        if side <= 8 {
            blocks.append(block(pools: false))
            inputs = width
        }
        while size > 4 {
            blocks.append(block(pools: true))
            inputs = width
            width = min(2 * width, 64)
            size /= 2
        }
        self.blocks = blocks
        hidden = Linear(inputs * size * size, Self.featureCount, &source)
        output = Linear(Self.featureCount, classes, &source)
    }

    /// Logits [N, classes].
    package func callAsFunction(_ images: Tensor) -> Tensor { output(features(images)) }

    /// The penultimate layer [N, featureCount]: a description of the image in the classifier's own terms.
    package func features(_ images: Tensor) -> Tensor {
        var x = images
        for block in blocks {
            x = block.norm(block.convolution(x)).relu()
            if block.pools { x = x.maxPooled(2) }
        }
        return hidden(x.flattened(1)).relu()
    }

    package func name(_ parameters: inout ParameterNames) {
        for (index, block) in blocks.enumerated() {
            parameters.add("blocks.\(index).conv", block.convolution)
            parameters.add("blocks.\(index).norm", block.norm)
        }
        parameters.add("hidden", hidden)
        parameters.add("output", output)
    }
}

extension ImageClassifier {
    /// The most likely label of each image.
    package func predictions(_ images: Tensor) -> [Int] {
        withoutGradients { inPieces(images) { self($0).argmax(1) } }.integers
    }

    /// Features of any number of images.
    package func allFeatures(_ images: Tensor) -> Tensor { withoutGradients { inPieces(images, features) } }

    /// Share of the images whose most likely label is their own.
    package func accuracy(on data: LabelledImages) -> Double {
        let right = zip(predictions(data.images), data.labels).count { $0 == $1 }
        return Double(right) / Double(data.count)
    }

    /// The accuracy among the images of each label; nil where there are none.
    package func accuracyByLabel(on data: LabelledImages) -> [Double?] {
        var (right, all) = ([Int](repeating: 0, count: data.classes), [Int](repeating: 0, count: data.classes))
        for (prediction, label) in zip(predictions(data.images), data.labels) {
            all[label] += 1
            if prediction == label { right[label] += 1 }
        }
        return zip(right, all).map { $1 == 0 ? nil : Double($0) / Double($1) }
    }
}

/// Applies a function to 512 rows at a time, so that memory does not grow with the number of images.
func inPieces(_ rows: Tensor, _ function: (Tensor) -> Tensor) -> Tensor {
    let count = rows.size(0)
    return .concatenated(stride(from: 0, to: count, by: 512).map { function(rows[$0..<min($0 + 512, count)]) }, 0)
}
