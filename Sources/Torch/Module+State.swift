package import Safetensors

extension Module {
    /// A copy of all parameters under their keys.
    package func state(metadata: [String: String] = ["format": "pt"]) throws(SafetensorsError) -> SafetensorsArchive {
        try archive(namedParameters, metadata: metadata)
    }

    /// Fills the parameters from a checkpoint, converting to each parameter's own type.
    ///
    /// Everything is checked before the first parameter changes. Throws `missingKey`, `unexpectedKey`, `wrongShape`,
    /// `wrongType`, `notFinite`.
    /// - Parameter prefix: what the checkpoint writes before this network's keys, for example `ema.`; other keys are
    ///   then left alone.
    package func load(_ archive: SafetensorsArchive, prefix: String = "") throws(TorchError) {
        let parameters = namedParameters
        var known: Set<String> = []
        var values: [Tensor] = []
        for (key, parameter) in parameters {
            known.insert(prefix + key)
            values.append(try checked(archive, prefix + key, like: parameter))
        }
        let extra = archive.names.filter { $0.hasPrefix(prefix) && !known.contains($0) }
        guard extra.isEmpty else {
            throw TorchError(
                .unexpectedKey,
                "The checkpoint has \(extra.count) tensors this network does not know: "
                    + "\(extra.prefix(5).joined(separator: ", "))."
            )
        }
        withoutGradients {
            for ((_, parameter), value) in zip(parameters, values) { parameter.copy(from: value) }
        }
    }

    private func checked(_ archive: SafetensorsArchive, _ key: String, like parameter: Tensor) throws(TorchError)
        -> Tensor
    {
        guard let entry = archive[key] else {
            throw TorchError(.missingKey, "The checkpoint has no tensor \"\(key)\": it belongs to another network.")
        }
        guard entry.shape == parameter.shape else {
            throw TorchError(
                .wrongShape,
                "\"\(key)\" has the shape \(entry.shape) in the checkpoint and \(parameter.shape) in the network.")
        }
        let value = try Tensor(entry)
        guard value.dtype.isFloatingPoint == parameter.dtype.isFloatingPoint else {
            throw TorchError(
                .wrongType, "\"\(key)\" is \(value.dtype) in the checkpoint and \(parameter.dtype) in the network.")
        }
        guard value.isFinite else {
            throw TorchError(
                .notFinite, "\"\(key)\" contains NaN or infinity: the checkpoint is damaged or its training diverged.")
        }
        let converted = value.to(parameter.dtype)
        guard converted.isFinite else {
            throw TorchError(
                .notFinite, "\"\(key)\" holds values too large for \(parameter.dtype): load it as bfloat16 or float32.")
        }
        return converted
    }
}

/// Named tensors as an archive.
package func archive(
    _ tensors: [(key: String, tensor: Tensor)], metadata: [String: String] = [:]
) throws(SafetensorsError) -> SafetensorsArchive {
    var archive = SafetensorsArchive(metadata: metadata)
    for (key, tensor) in tensors { try archive.append(tensor.entry(named: key)) }
    return archive
}
