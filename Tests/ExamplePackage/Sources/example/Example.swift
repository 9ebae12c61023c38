import CollaFuseClient
import Foundation
import Logging

/// `example DEPLOYMENT KIT HOME IMAGES`: opens a client, reads its images, and says what has left it so far.
@main
struct Example {
    static func main() async throws {
        let paths = CommandLine.arguments.dropFirst().map { URL(filePath: $0) }
        let client = try CollaFuseClient(
            ClientSettings(deployment: paths[0], kit: paths[1], home: paths[2], brokers: ["tcp://127.0.0.1:5610"]),
            logger: Logger(label: "example"))
        defer { client.close() }
        let images = try client.images(at: paths[3], labels: [0, 1])
        print("run \(client.runName): \(client.labelNames.count) labels, images of \(client.imageShape)")
        print("\(images.count) images here, \(await client.exposure().releases) of them released")
    }
}
