import Foundation

/// One client's grid with words around it, as an SVG that needs nothing else: what it held, what left, what the workers made, what
/// came out.
package struct RunPicture {
    package let client: String
    private let cut: Int
    private let held: [String]
    private let unseen: [String]
    private let png: [UInt8]
    /// Of the PNG, in pixels.
    private let width: Int
    private let height: Int

    /// Pixels for the words on the left and above.
    private static let left = 40, top = 52
    /// Tiles in a row of the grid: four pictures, and a gap between one column of them and the next.
    private static let pictures = 4, tiles = 19

    /// - Parameters:
    ///   - held: names of the rows of labels that it holds; `unseen`: of those below, which it never held.
    ///   - png: as `collafuse client sample` drew it. nil when it is no PNG.
    package init?(client: String, cut: Int, held: [String], unseen: [String], png: [UInt8]) {
        // Signature, length and type of the first chunk, then width and height, big-endian.
        guard png.count > 24, png[1..<4].elementsEqual("PNG".utf8), !(held + unseen).isEmpty else { return nil }
        func number(_ at: Int) -> Int { png[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
        width = number(16)
        height = number(20)
        self.client = client
        self.cut = cut
        self.held = held
        self.unseen = unseen
        self.png = png
    }

    package var svg: String {
        let tile = Double(width) / Double(Self.tiles), row = Double(height) / Double(held.count + unseen.count)
        var words = ""
        func say(_ text: String, _ x: Double, _ y: Double, _ kind: String = "", anchor: String = "middle") {
            words +=
                "<text x=\"\(x.formatted(1))\" y=\"\(y.formatted(1))\" text-anchor=\"\(anchor)\" class=\"\(kind)\">"
            words += "\(text.htmlEscaped)</text>"
        }
        let heads = [
            ("\(client)'s own", "stays there"), ("noised to ζ = \(cut)", "all that leaves"),
            ("denoised to ζ", "by the workers"), ("finished", "by \(client)'s head"),
        ]
        for (column, head) in heads.enumerated() {
            let middle = Double(Self.left) + tile * (Double(column * (Self.pictures + 1)) + Double(Self.pictures) / 2)
            say(head.0, middle, 22, "head")
            say(head.1, middle, 40)
        }
        for (index, name) in (held + unseen).enumerated() {
            say(name, Double(Self.left) - 8, Double(Self.top) + row * (Double(index) + 0.5) + 4, "head", anchor: "end")
        }
        if !unseen.isEmpty {
            // In the empty field under what it holds.
            let middle = Double(Self.left) + tile * (Double(Self.pictures) + 0.5)
            let begin = Double(Self.top) + row * (Double(held.count) + Double(unseen.count) / 2)
            say("\(client) never held these:", middle, begin - 10, "head")
            say("the workers learned them from", middle, begin + 10)
            say("the other clients' masked images", middle, begin + 28)
        }
        let (whole, tall) = (Self.left + width + 12, Self.top + height + 12)
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(whole) \(tall)" width="\(whole)" height="\(tall)" role="img" \
            aria-label="\("\(client): its own images, masked, denoised by the workers, finished by its head".htmlEscaped)">
            <style>.run text{font:13px system-ui,sans-serif;fill:#4b5563}.run .head{font-weight:600;fill:#111827}</style>
            <g class="run"><rect width="\(whole)" height="\(tall)" fill="#fff"/>
            <image x="\(Self.left)" y="\(Self.top)" width="\(width)" height="\(height)" style="image-rendering:pixelated" \
            href="data:image/png;base64,\(Data(png).base64EncodedString())"/>
            \(words)</g></svg>
            """
    }
}
