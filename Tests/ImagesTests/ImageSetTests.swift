import Foundation
import Images
import Safetensors
import Testing

@Suite struct ImageSetTests {
    let digits = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "topology/digits/digits.safetensors")
    let names = (0...9).map(String.init)

    @Test func theDigits() throws {
        let all = try ImageSet(contentsOf: digits, shape: grey8, labelNames: names)
        #expect(all.count == 1797)
        let heldOut = all.filtered(part: .heldOut)
        #expect(heldOut.count == 359)
        #expect(all.filtered(part: .training).count == 1797 - 359)
        // A stratified fifth, of classes of 174 to 183 images.
        for label in 0..<10 { #expect((34...37).contains(heldOut.filtered(labels: [label]).count)) }
        let mine = all.filtered(labels: [4, 5, 6], part: .training)
        #expect(Set(mine.items.map(\.label)) == [4, 5, 6])
        #expect(mine.items.allSatisfy { $0.part == .training })
        // The first image of scikit-learn's set is a 0 whose first row is 0 0 5 13 9 1 0 0 of 16.
        #expect(all.items[0].label == 0)
        let row = try all.image(at: 0).values.prefix(8).map { ($0 + 1) * 8 }
        #expect(row == [0, 0, 5, 13, 9, 1, 0, 0])
    }

    @Test func namesStayTheSameWhateverIsFiltered() throws {
        let all = try ImageSet(contentsOf: digits, shape: grey8, labelNames: names)
        let nines = all.filtered(labels: [9])
        let first = try #require(nines.items.first)
        let place = try #require(all.items.firstIndex { $0.name == first.name })
        #expect(first.name == "digits.safetensors#9" && place == 9)
        #expect(try nines.image(at: 0).values == all.image(at: place).values)
        #expect(Set(all.items.map(\.name)).count == all.count)
    }

    @Test func valuesAreTheImagesOneAfterAnother() throws {
        let all = try ImageSet(contentsOf: digits, shape: grey8, labelNames: names)
        let values = try all.values([7, 3])
        #expect(values == (try all.image(at: 7).values) + (try all.image(at: 3).values))
    }

    @Test func aFolderIsLabelledByItsSubfolders() throws {
        try inTemporaryFolder { folder in
            for (path, start) in [
                ("b/2.png", 2), ("b/1.png", 1), ("a/x/3.PNG", 3), ("plain.png", 4), (".hidden.png", 5),
            ] {
                let file = folder.appending(path: path)
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try PNG.encode(ramp(from: start)).write(to: file)
            }
            try Data("notes".utf8).write(to: folder.appending(path: "notes.txt"))
            let set = try ImageSet(contentsOf: folder, shape: grey8, labelNames: ["a", "b"])
            #expect(set.items.map(\.name) == ["a/x/3.PNG", "b/1.png", "b/2.png", "plain.png"])
            #expect(set.items.map(\.label) == [0, 1, 1, nil])
            for (value, wanted) in zip(try set.image(at: 2).values, ramp(from: 2).values) {
                #expect(abs(value - wanted) < 1e-6)
            }
            #expect(set.filtered(labels: [1]).count == 2)

            let error = failure { try ImageSet(contentsOf: folder, shape: grey8, labelNames: ["a", "c"]) }
            #expect(error?.code == .badLabel && error?.message.contains("/b is named after no label") == true)
            let unlabelled = try ImageSet(contentsOf: folder, shape: grey8, labelNames: [])
            #expect(unlabelled.items.allSatisfy { $0.label == nil })
        }
    }

    /// Latents: pictures cannot hold them, a safetensors file can.
    @Test func otherNumbersOfChannels() throws {
        try inTemporaryFolder { folder in
            let four = ImageShape(channels: 4, height: 1, width: 2), file = folder.appending(path: "x.safetensors")
            try PNG.encode(ramp(from: 1)).write(to: folder.appending(path: "1.png"))
            let error = failure { try ImageSet(contentsOf: folder, shape: four, labelNames: []) }
            #expect(error?.code == .wrongShape && error?.message.contains("[N, 4, 1, 2]") == true)
            var archive = SafetensorsArchive()
            let values: [Float] = [-1, -0.5, 0, 0.5, 1, 0.25, -0.25, 0]
            try archive.append(.init(name: "images", shape: [1, 4, 1, 2], floats: values))
            try archive.write(to: file)
            #expect(try ImageSet(contentsOf: file, shape: four, labelNames: []).values([0]) == values)
            #expect(failure { try ImageSet(contentsOf: file, shape: grey8, labelNames: []) }?.code == .wrongShape)
        }
    }

    @Test func aDamagedFileInAFolderIsNamedWhenItIsRead() throws {
        try inTemporaryFolder { folder in
            try PNG.encode(ramp(from: 0)).dropLast(20).write(to: folder.appending(path: "cut.png"))
            try Data("GIF89a".utf8).write(to: folder.appending(path: "wrong.png"))
            let set = try ImageSet(contentsOf: folder, shape: grey8, labelNames: [])
            for (index, name) in ["cut.png", "wrong.png"].enumerated() {
                let error = failure { try set.image(at: index) }
                #expect(error?.code == .unreadable && error?.message.contains(name) == true)
            }
        }
    }

    @Test func nothingThereIsSaid() throws {
        try inTemporaryFolder { folder in
            #expect(failure { try ImageSet(contentsOf: folder, shape: grey8, labelNames: []) }?.code == .badSet)
            let missing = folder.appending(path: "missing")
            #expect(failure { try ImageSet(contentsOf: missing, shape: grey8, labelNames: []) }?.code == .unreachable)
        }
    }

    struct Wrong: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: ImageError.Code
        let says: String
        let make: @Sendable (inout SafetensorsArchive) throws -> Void
    }

    static let wrongFiles = [
        Wrong(testDescription: "no images", code: .badSet, says: "images") { archive in
            try archive.append(.init(name: "other", shape: [1], uint8s: [0]))
        },
        Wrong(testDescription: "another shape", code: .wrongShape, says: "1×4×4") { archive in
            try archive.append(.init(name: "images", shape: [2, 4, 4], uint8s: Array(repeating: 0, count: 32)))
        },
        Wrong(testDescription: "a flat shape", code: .badSet, says: "[2, 64]") { archive in
            try archive.append(.init(name: "images", shape: [2, 64], uint8s: Array(repeating: 0, count: 128)))
        },
        Wrong(testDescription: "label out of range", code: .badLabel, says: "label 3") { archive in
            try archive.append(.init(name: "images", shape: [2, 8, 8], uint8s: Array(repeating: 0, count: 128)))
            try archive.append(.init(name: "labels", shape: [2], int64s: [0, 3]))
        },
        Wrong(testDescription: "too few labels", code: .badSet, says: "labels") { archive in
            try archive.append(.init(name: "images", shape: [2, 8, 8], uint8s: Array(repeating: 0, count: 128)))
            try archive.append(.init(name: "labels", shape: [1], int64s: [0]))
        },
        Wrong(testDescription: "above the maximum", code: .badSet, says: "maximum of 16") { archive in
            archive.metadata["maximum"] = "16"
            try archive.append(.init(name: "images", shape: [1, 8, 8], uint8s: Array(repeating: 17, count: 64)))
        },
        Wrong(testDescription: "outside −1 to 1", code: .badSet, says: "outside") { archive in
            try archive.append(.init(name: "images", shape: [1, 8, 8], floats: Array(repeating: .nan, count: 64)))
        },
        Wrong(testDescription: "empty", code: .badSet, says: "no image") { archive in
            try archive.append(.init(name: "images", shape: [0, 8, 8], uint8s: []))
        },
    ]

    @Test(arguments: wrongFiles)
    func aWrongFileIsNamed(wrong: Wrong) throws {
        try inTemporaryFolder { folder in
            let file = folder.appending(path: "set.safetensors")
            var archive = SafetensorsArchive()
            try wrong.make(&archive)
            try archive.write(to: file)
            let error = try #require(
                failure { try ImageSet(contentsOf: file, shape: grey8, labelNames: ["a", "b", "c"]) })
            #expect(error.code == wrong.code)
            #expect(error.message.contains("set.safetensors") && error.message.contains(wrong.says), "\(error)")
        }
    }

    @Test func aLyingHeaderIsAnError() throws {
        try inTemporaryFolder { folder in
            let file = folder.appending(path: "lies.safetensors")
            let header = #"{"images":{"dtype":"U8","shape":[1000000,8,8],"data_offsets":[0,64000000]}}"#
            var bytes = Data(withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) })
            bytes.append(contentsOf: header.utf8)
            bytes.append(Data(count: 64))
            try bytes.write(to: file)
            let error = try #require(failure { try ImageSet(contentsOf: file, shape: grey8, labelNames: []) })
            #expect(error.code == .badSet && error.message.contains("lies.safetensors"))
        }
    }
}
