import Foundation
import Images
import Testing

@Suite struct ImageGridTests {
    /// Two rows of 1×2 images, twice as large, one pixel apart: written out by hand.
    @Test func laysOutRowsAndColumns() {
        let shape = ImageShape(channels: 1, height: 1, width: 2)
        let a = Image(shape: shape, values: [-1, 0])
        let b = Image(shape: shape, values: [0.5, 0.25])
        let grid = ImageGrid(rows: [[a, b], [b]], scale: 2, padding: 1).image()
        let w: Float = 1
        #expect(grid.shape == ImageShape(channels: 1, height: 7, width: 11))
        #expect(
            grid.values == [
                w, w, w, w, w, w, w, w, w, w, w,
                w, -1, -1, 0, 0, w, 0.5, 0.5, 0.25, 0.25, w,
                w, -1, -1, 0, 0, w, 0.5, 0.5, 0.25, 0.25, w,
                w, w, w, w, w, w, w, w, w, w, w,
                w, 0.5, 0.5, 0.25, 0.25, w, w, w, w, w, w,
                w, 0.5, 0.5, 0.25, 0.25, w, w, w, w, w, w,
                w, w, w, w, w, w, w, w, w, w, w,
            ])
    }

    @Test func coloursStayInTheirPlanes() {
        let shape = ImageShape(channels: 3, height: 1, width: 1)
        let grid = ImageGrid(rows: [[Image(shape: shape, values: [-1, 0, 1])]], scale: 1, padding: 0).image()
        #expect(grid.values == [-1, 0, 1])
    }

    /// Of four channels the first three are red, green and blue; of two the first is grey.
    @Test(arguments: [(2, 1), (4, 3), (9, 3)])
    func showsTheFirstChannels(channels: Int, shown: Int) throws {
        let levels = (0..<channels * 2).map { Float($0 * 13) / 127.5 - 1 }
        let image = Image(shape: ImageShape(channels: channels, height: 1, width: 2), values: levels)
        let png = try ImageGrid(rows: [[image]], scale: 1, padding: 0).png()
        let read = try ImageFile.decode(png, named: "grid", shape: ImageShape(channels: shown, height: 1, width: 2))
        for (before, after) in zip(levels, read.values) { #expect(abs(before - after) < 1e-6) }
        #expect(read.values.count == 2 * shown)
    }

    @Test func isWrittenAsAPicture() throws {
        try inTemporaryFolder { folder in
            let file = folder.appending(path: "grid.png")
            let grid = ImageGrid(rows: [[ramp(from: 0), ramp(from: 9)]], scale: 1, padding: 1)
            try grid.png().write(to: file)
            let again = try ImageFile.read(file, shape: ImageShape(channels: 1, height: 10, width: 19))
            for (before, after) in zip(grid.image().values, again.values) { #expect(abs(before - after) < 1e-6) }
        }
    }
}
