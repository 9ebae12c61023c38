import Foundation
import Images
import Safetensors
import Testing

/// Against Pillow's reading of the same files.
@Suite struct ImageFileTests {
    /// Two decoders may round a JPEG's inverse transform by one level differently.
    @Test(arguments: [
        ("grey.png", 0), ("colour.png", 0), ("alpha.png", 0), ("palette.png", 0), ("grey16.png", 0), ("bits.png", 0),
        ("grey.jpg", 1), ("colour.jpg", 1), ("progressive.jpg", 1),
    ])
    func readsWhatPillowReads(name: String, tolerance: Int) throws {
        let expected = try SafetensorsArchive(contentsOf: goldens.appending(path: "expected.safetensors")).entry(name)
        let shape = ImageShape(channels: expected.shape[0], height: expected.shape[1], width: expected.shape[2])
        let image = try ImageFile.read(goldens.appending(path: name), shape: shape)
        let levels = image.values.map { Int((($0 + 1) * 127.5).rounded()) }
        let furthest = zip(levels, try expected.integers()).map { abs($0 - $1) }.max()
        #expect(try #require(furthest) <= tolerance)
        #expect(image.values.allSatisfy { abs($0) <= 1 })
    }

    @Test func greyServesARunInColour() throws {
        let grey = try ImageFile.read(
            goldens.appending(path: "grey.png"), shape: .init(channels: 1, height: 5, width: 7))
        let colour = try ImageFile.read(
            goldens.appending(path: "grey.png"), shape: .init(channels: 3, height: 5, width: 7))
        #expect(colour.values == grey.values + grey.values + grey.values)
    }

    @Test(arguments: [
        ("grey.png", ImageShape(channels: 1, height: 7, width: 5), "1×5×7", "1×7×5"),
        ("colour.png", ImageShape(channels: 1, height: 5, width: 7), "3×5×7", "1×5×7"),
        ("colour.jpg", ImageShape(channels: 3, height: 8, width: 8), "3×16×24", "3×8×8"),
    ])
    func anotherShapeIsNamed(name: String, wanted: ImageShape, foundText: String, wantedText: String) throws {
        let error = try #require(failure { try ImageFile.read(goldens.appending(path: name), shape: wanted) })
        #expect(error.code == .wrongShape)
        for part in [name, foundText, wantedText] { #expect(error.message.contains(part)) }
    }

    /// Every length but the whole: none may crash, and each error names the file.
    @Test(arguments: ["grey.png", "colour.png", "palette.png", "grey.jpg", "progressive.jpg"])
    func everyTruncationIsAnError(name: String) throws {
        let whole = try Data(contentsOf: goldens.appending(path: name))
        let expected = try SafetensorsArchive(contentsOf: goldens.appending(path: "expected.safetensors")).entry(name)
        let shape = ImageShape(channels: expected.shape[0], height: expected.shape[1], width: expected.shape[2])
        for length in 0..<whole.count {
            // The last two bytes of a JPEG are its end marker; libjpeg is content once the last row is out.
            if name.hasSuffix(".jpg") && length >= whole.count - 2 { continue }
            let error = failure { try ImageFile.decode(whole.prefix(length), named: name, shape: shape) }
            #expect(error?.code == .unreadable, "\(length) of \(whole.count) bytes: \(String(describing: error))")
            #expect(error?.message.contains(name) == true)
        }
    }

    /// Any byte changed: an error or a picture, never a crash. Fixed changes, so that a failure repeats.
    @Test(arguments: ["grey.png", "palette.png", "colour.jpg", "progressive.jpg"])
    func noDamageCrashes(name: String) throws {
        let whole = try Data(contentsOf: goldens.appending(path: name))
        let expected = try SafetensorsArchive(contentsOf: goldens.appending(path: "expected.safetensors")).entry(name)
        let shape = ImageShape(channels: expected.shape[0], height: expected.shape[1], width: expected.shape[2])
        var refused = 0
        for position in whole.indices {
            for mask: UInt8 in [0x01, 0x80, 0xFF] {
                var damaged = whole
                damaged[position] ^= mask
                if let error = failure({ try ImageFile.decode(damaged, named: name, shape: shape) }) {
                    refused += 1
                    #expect(error.message.contains(name))
                }
            }
        }
        #expect(refused > whole.count / 2)  // the format's own checks were reached
    }

    @Test func otherFilesAreRefused() throws {
        let shape = grey8
        #expect(failure { try ImageFile.decode(Data("hello".utf8), named: "a.png", shape: shape) }?.code == .unreadable)
        #expect(failure { try ImageFile.decode(Data(), named: "a.png", shape: shape) }?.code == .unreadable)
        #expect(failure { try ImageFile.read(URL(filePath: "/nowhere/a.png"), shape: shape) }?.code == .unreachable)
        let cmyk = failure {
            try ImageFile.read(goldens.appending(path: "cmyk.jpg"), shape: .init(channels: 3, height: 16, width: 24))
        }
        #expect(cmyk?.code == .unreadable && cmyk?.message.contains("cmyk.jpg") == true)
    }

    /// A header that claims 100,000 × 100,000 pixels is refused for its shape, before 10 GB are asked for.
    @Test func aHugeHeaderCostsNothing() throws {
        var bytes = try Data(contentsOf: goldens.appending(path: "grey.png"))
        bytes.replaceSubrange(16..<24, with: [0, 1, 0x86, 0xA0, 0, 1, 0x86, 0xA0])
        var checksum: UInt32 = 0xFFFF_FFFF  // of the header chunk: type and 13 bytes
        for byte in bytes[12..<29] {
            checksum ^= UInt32(byte)
            for _ in 0..<8 { checksum = checksum & 1 == 1 ? checksum >> 1 ^ 0xEDB8_8320 : checksum >> 1 }
        }
        bytes.replaceSubrange(29..<33, with: withUnsafeBytes(of: (~checksum).bigEndian) { Array($0) })
        let error = try #require(failure { try ImageFile.decode(bytes, named: "bomb.png", shape: grey8) })
        #expect(error.code == .wrongShape)
        #expect(error.message.contains("1×100000×100000"))
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let colour = Image(
            shape: .init(channels: 3, height: 3, width: 4), values: (0..<36).map { Float($0 * 7) / 127.5 - 1 })
        for image in [ramp(from: 5), colour] {
            let again = try ImageFile.decode(try PNG.encode(image), named: "again", shape: image.shape)
            for (before, after) in zip(image.values, again.values) { #expect(abs(before - after) < 1e-6) }
        }
    }

    @Test func valuesOutsideAreClampedNotWrapped() throws {
        let wild = Image(shape: .init(channels: 1, height: 1, width: 4), values: [-3, 3, .nan, .infinity])
        let again = try ImageFile.decode(try PNG.encode(wild), named: "wild", shape: wild.shape)
        #expect(again.values == [-1, 1, -1, 1])
    }
}
