/// Bytes that are not a sound safetensors file, or a question the file cannot answer.
package struct SafetensorsError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The file ends before its own numbers say it should.
        case truncated
        /// The header claims more bytes than the limit.
        case headerTooLarge
        /// The header is not the JSON the format prescribes.
        case malformedHeader
        /// Offsets overlap, leave gaps, run backwards or point outside the data.
        case badOffsets
        /// Shape × element size is not the number of bytes.
        case sizeMismatch
        case duplicateName
        case unknownType
        /// No tensor of that name.
        case missing
        case wrongShape
        case wrongType
        /// The file system refused.
        case unreadable
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
