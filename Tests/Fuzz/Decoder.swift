/// What is fuzzed: each decoder that sees another party's bytes, or a file that somebody else may have written.
///
/// A decoder may refuse an input with an error of its room. It must not trap, hang or take memory that the input does not justify;
/// and what it takes must mean the same when it is written and read again.
enum Decoder: String, CaseIterable {
    /// A message's frames, as broker, client and worker read them.
    case control
    /// The frames of a job, a result and a checkpoint that the broker passes on.
    case envelope
    /// What is inside a ciphertext, and ciphertexts that were tampered with.
    case sealed
    case safetensors
    /// libzmq's question who may come in.
    case zap
    /// Topologies and load plans.
    case yaml
    /// Key files, node requests, signed statements.
    case keys
    /// Whole conversations with a broker, in which the other side says what it likes.
    case broker
    /// The same with a client's and a worker's machine, whose broker lies.
    case peers

    /// Makes once what every input needs.
    func harness() throws -> ([UInt8]) -> Void {
        switch self {
        case .control: return fuzzControl
        case .envelope: return fuzzEnvelope
        case .sealed: return try SealedHarness().run
        case .safetensors: return fuzzSafetensors
        case .zap: return fuzzAccess
        case .yaml: return fuzzYAML
        case .keys: return try KeysHarness().run
        case .broker: return fuzzBroker
        case .peers: return fuzzPeers
        }
    }
}

/// Cuts an input into pieces: two bytes of length, little-endian, then so many bytes or what is left.
func pieces(_ input: [UInt8]) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var rest = input[...]
    while rest.count >= 2 {
        let length = Int(rest.removeFirst()) | Int(rest.removeFirst()) << 8
        pieces.append(Array(rest.prefix(length)))
        rest = rest.dropFirst(length)
    }
    return pieces
}
