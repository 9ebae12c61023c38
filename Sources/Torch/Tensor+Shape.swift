import CTorch

// Views (all but `pad`, `flipped`, `repeated`, joins and look-ups) share their elements with the source.

extension Tensor {
    /// The same elements in another shape; one dimension may be −1. Copies only where it must.
    package func reshaped(_ shape: Int...) -> Tensor { reshaped(shape) }

    package func reshaped(_ shape: [Int]) -> Tensor {
        Tensor.withInt64s(shape) { sizes, rank in .make("reshaped", self) { ct_reshape($0, sizes, rank, $1) } }
    }

    /// Stretches dimensions of size 1; −1 keeps one as it is.
    package func expanded(_ shape: [Int]) -> Tensor {
        Tensor.withInt64s(shape) { sizes, rank in .make("expanded", self) { ct_expand($0, sizes, rank, $1) } }
    }

    package func permuted(_ dims: Int...) -> Tensor {
        Tensor.withInt64s(dims) { order, rank in .make("permuted", self) { ct_permute($0, order, rank, $1) } }
    }

    package func transposed(_ dim0: Int, _ dim1: Int) -> Tensor {
        .make("transposed", self) { ct_transpose($0, Int64(dim0), Int64(dim1), $1) }
    }

    /// Inserts a dimension of size 1.
    package func unsqueezed(_ dim: Int) -> Tensor { .make("unsqueezed", self) { ct_unsqueeze($0, Int64(dim), $1) } }

    /// Removes a dimension of size 1.
    package func squeezed(_ dim: Int) -> Tensor { .make("squeezed", self) { ct_squeeze($0, Int64(dim), $1) } }

    /// Joins the dimensions from `start` to `end`, both included.
    package func flattened(_ start: Int = 0, _ end: Int = -1) -> Tensor {
        .make("flattened", self) { ct_flatten($0, Int64(start), Int64(end), $1) }
    }

    /// Elements start ..< start + length along a dimension.
    package func narrowed(_ dim: Int, from start: Int, length: Int) -> Tensor {
        .make("narrowed", self) { ct_narrow($0, Int64(dim), Int64(start), Int64(length), $1) }
    }

    /// One position along a dimension, which disappears.
    package func selected(_ dim: Int, _ index: Int) -> Tensor {
        .make("selected", self) { ct_select($0, Int64(dim), Int64(index), $1) }
    }

    /// Every `step`-th element of a range along a dimension.
    package func sliced(_ dim: Int, _ range: Range<Int>, step: Int = 1) -> Tensor {
        .make("sliced", self) {
            ct_slice($0, Int64(dim), Int64(range.lowerBound), Int64(range.upperBound), Int64(step), $1)
        }
    }

    /// One position along the first dimension.
    package subscript(index: Int) -> Tensor { selected(0, index) }

    /// A range along the first dimension.
    package subscript(range: Range<Int>) -> Tensor { narrowed(0, from: range.lowerBound, length: range.count) }

    package func flipped(_ dims: Int...) -> Tensor {
        Tensor.withInt64s(dims) { order, rank in .make("flipped", self) { ct_flip($0, order, rank, $1) } }
    }

    /// Every element `count` times in a row along a dimension.
    package func repeated(_ count: Int, _ dim: Int) -> Tensor {
        .make("repeated", self) { ct_repeat_interleave($0, Int64(count), Int64(dim), $1) }
    }

    /// Adds a border of a constant: (before, after) of the last dimension, then of the one before it, and so on.
    package func padded(_ amounts: [Int], with value: Double = 0) -> Tensor {
        Tensor.withInt64s(amounts) { pad, count in .make("padded", self) { ct_pad($0, pad, count, value, $1) } }
    }

    /// Joins along an existing dimension.
    package static func concatenated(_ tensors: [Tensor], _ dim: Int) -> Tensor {
        make("concatenated", tensors) { ct_cat($0, $1, Int64(dim), $2) }
    }

    /// Joins along a new dimension.
    package static func stacked(_ tensors: [Tensor], _ dim: Int = 0) -> Tensor {
        make("stacked", tensors) { ct_stack($0, $1, Int64(dim), $2) }
    }

    /// Cuts into pieces of these sizes, which add up to the dimension.
    package func split(_ sizes: [Int], _ dim: Int) -> [Tensor] {
        var handles = [ct_tensor?](repeating: nil, count: sizes.count)
        Tensor.withInt64s(sizes) { lengths, count in
            handles.withUnsafeMutableBufferPointer { out in
                Tensor.run("split", self) { ct_split(handle, lengths, count, Int64(dim), out.baseAddress) }
            }
        }
        return handles.map(Tensor.init(taking:))
    }

    /// Cuts into `count` equal pieces.
    package func chunked(_ count: Int, _ dim: Int) -> [Tensor] {
        let size = size(dim)
        precondition(
            !isDefined || size.isMultiple(of: count), "\(size) elements do not divide into \(count) equal pieces")
        return split(Array(repeating: size / count, count: count), dim)
    }

    /// The positions that a vector of int64 names, along a dimension.
    package func gathered(_ dim: Int, rows index: Tensor) -> Tensor {
        .make("gathered(rows:)", self, index) { ct_index_select($0, Int64(dim), $1, $2) }
    }

    /// For each element of `index` (int64, same rank) the element of self at that position along a dimension.
    package func gathered(_ dim: Int, at index: Tensor) -> Tensor {
        .make("gathered(at:)", self, index) { ct_gather($0, Int64(dim), $1, $2) }
    }
}
