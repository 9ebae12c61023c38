package import Chain
internal import SwiftProtobuf

internal import struct Foundation.Data

/// A run descriptor beside the very bytes that were signed and hashed.
///
/// As with an ``Envelope``, the bytes are never made again from the fields: the run id is their hash.
package struct RunDocument: Hashable, Sendable {
    package let bytes: [UInt8]
    package let descriptor: RunDescriptor

    /// Labels and config take most of it.
    package static let maximumLength = 4 << 20

    package init(_ descriptor: RunDescriptor) {
        self.bytes = WireRunDescriptor(descriptor).encoded
        self.descriptor = descriptor
    }

    /// - Throws: `malformed`, or `outOfRange` with what is wrong with which field.
    package init(bytes: [UInt8]) throws(WireError) {
        guard bytes.count <= Self.maximumLength else { throw WireError(.outOfRange, "the run descriptor is too long") }
        self.bytes = bytes
        self.descriptor = try RunDescriptor(try WireRunDescriptor(decoding: bytes, as: "run descriptor"))
    }
}

extension WireRunDescriptor {
    package init(_ descriptor: RunDescriptor) {
        self.init()
        name = descriptor.name
        schedule = WireSchedule(descriptor.schedule)
        image.channels = UInt32(descriptor.image.channels)
        image.height = UInt32(descriptor.image.height)
        image.width = UInt32(descriptor.image.width)
        label = descriptor.labels
        backboneConfig = descriptor.backboneConfig
        allowedCut = descriptor.allowedCuts.map(UInt32.init)
        nonce = Data(descriptor.nonce)
        createdMs = descriptor.created
    }
}

extension RunDescriptor {
    package init(_ message: WireRunDescriptor) throws(WireError) {
        guard message.hasSchedule, message.hasImage else {
            throw WireError(.missingField, "the run descriptor lacks its schedule or its image shape")
        }
        let schedule = try Schedule(message.schedule)
        do {
            try self.init(
                name: message.name, schedule: schedule,
                image: ImageShape(
                    channels: Int(message.image.channels), height: Int(message.image.height),
                    width: Int(message.image.width)),
                labels: message.label, backboneConfig: message.backboneConfig,
                allowedCuts: message.allowedCut.map(Int.init),
                nonce: Array(message.nonce), created: message.createdMs)
        } catch {
            throw WireError(.outOfRange, "run descriptor: \(error.message)")
        }
    }
}

extension WireSchedule {
    package init(_ schedule: Schedule) {
        self.init()
        timesteps = UInt32(schedule.timesteps)
        offsetNoise = schedule.offsetNoise
        rescaled = schedule.isRescaled
        switch schedule.kind {
        case .linear(let start, let end):
            kind = .linear
            self.start = start
            self.end = end
        case .scaledLinear(let start, let end):
            kind = .scaledLinear
            self.start = start
            self.end = end
        case .cosine(let offset):
            kind = .cosine
            start = offset
        case .sigmoid(let start, let end, let tau):
            kind = .sigmoid
            self.start = start
            self.end = end
            self.tau = tau
        case .betaSigmoid(let start, let end):
            kind = .betaSigmoid
            self.start = start
            self.end = end
        case .table(let betas):
            kind = .table
            beta = betas
        }
    }
}

extension Schedule {
    package init(_ message: WireSchedule) throws(WireError) {
        let kind: Kind
        switch message.kind {
        case .linear: kind = .linear(start: message.start, end: message.end)
        case .scaledLinear: kind = .scaledLinear(start: message.start, end: message.end)
        case .cosine: kind = .cosine(offset: message.start)
        case .sigmoid: kind = .sigmoid(start: message.start, end: message.end, tau: message.tau)
        case .betaSigmoid: kind = .betaSigmoid(start: message.start, end: message.end)
        case .table: kind = .table(message.beta)
        case .unspecified, .UNRECOGNIZED: throw WireError(.outOfRange, "the schedule's kind is not known here")
        }
        do {
            try self.init(
                kind, timesteps: Int(message.timesteps), offsetNoise: message.offsetNoise, isRescaled: message.rescaled)
        } catch {
            throw WireError(.outOfRange, "schedule: \(error.message)")
        }
    }
}
