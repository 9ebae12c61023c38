package import SwiftProtobuf

package import struct Foundation.Data

/// One multipart message, without the routing id: a control frame and up to three more.
package struct Frames: Sendable {
    package var control: WireControl
    /// What follows frame 0: see the head of `control.proto` for what each kind carries.
    package var attachments: [[UInt8]]

    /// Control, envelope, sealed, checkpoint.
    package static let maximumCount = 4
    /// A READY that names its leases is the longest control frame.
    package static let maximumControlLength = 1 << 20

    package init(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = []) {
        control = WireControl()
        control.version = 1
        control.body = body
        self.attachments = attachments
    }

    package init(parts: [[UInt8]]) throws(WireError) {
        guard let first = parts.first, parts.count <= Self.maximumCount else {
            throw WireError(.malformed, "a message has 1 to \(Self.maximumCount) frames, not \(parts.count)")
        }
        guard first.count <= Self.maximumControlLength else {
            throw WireError(.outOfRange, "the control frame is too long")
        }
        control = try WireControl(decoding: first, as: "control frame")
        guard control.version == 1 else {
            throw WireError(
                .unsupportedVersion, "protocol version \(control.version) is not known here; this side speaks 1")
        }
        attachments = Array(parts.dropFirst())
        guard let body = control.body else { throw WireError(.missingField, "the control frame is empty") }
        guard body.attachmentCounts.contains(attachments.count) else {
            throw WireError(
                .malformed, "a message of this kind has not \(attachments.count) frames after the control frame")
        }
    }

    /// The parts to send, numbered within the session.
    package func parts(sequence: UInt64) -> [[UInt8]] {
        var control = control
        control.sequence = sequence
        return [control.encoded] + attachments
    }
}

extension WireControl.OneOf_Body {
    /// How many frames may follow the control frame.
    var attachmentCounts: [Int] {
        switch self {
        case .submit, .workerResult, .result, .preview: [2]
        case .reseal: [0, 2]  // the broker's request has none
        case .job: [2, 3]
        case .checkpoint: [1]
        default: [0]
        }
    }
}

extension Message {
    /// Encoding a message that has no required fields and no `Any` cannot fail.
    package var encoded: [UInt8] {
        do { return try serializedBytes() } catch { fatalError("a message could not be encoded: \(error)") }
    }

    package init(decoding bytes: [UInt8], as what: String) throws(WireError) {
        var options = BinaryDecodingOptions()
        options.messageDepthLimit = 8
        do { try self.init(serializedBytes: bytes, options: options) } catch {
            throw WireError(.malformed, "the \(what) is not the protobuf message it should be")
        }
    }
}

extension Identifier {
    package init(field: Data, _ name: String) throws(WireError) {
        guard let identifier = Self(field) else {
            throw WireError(.wrongLength, "\(name) must have \(Kind.length) bytes, not \(field.count)")
        }
        self = identifier
    }
}

extension Fence {
    package init(_ message: WireFence) throws(WireError) {
        self.init(
            broker: try BrokerID(field: message.brokerID, "broker_id"), bootEpoch: message.bootEpoch,
            attempt: message.attempt)
    }

    package var message: WireFence {
        var message = WireFence()
        message.brokerID = Data(broker.bytes)
        message.bootEpoch = bootEpoch
        message.attempt = attempt
        return message
    }
}
