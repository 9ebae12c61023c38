internal import Chain
public import Foundation
public import Logging
internal import Synchronization
internal import Torch
internal import Trust
internal import Wire

/// A data owner's end of a run: publishes masked images, trains the head, draws samples.
///
///     let client = try CollaFuseClient(
///         ClientSettings(deployment: public, kit: kit, home: home, brokers: ["tcp://broker:7701"]), logger: logger)
///     defer { client.close() }
///     let images = try client.images(at: folder)
///     print(try await client.publish(images, cut: 500).text)
///     print(try await client.trainHead(on: images, cut: 500, settings: HeadTraining(images: 50_000)).text)
///     print(try await client.sample(SampleRequest(held: images.labels, perLabel: 10, cut: 500), beside: images, into: out).text)
///
/// Images stay in this process. Whatever was begun and interrupted goes on when the same call is made again. One process at a
/// time may use a home. Calls may be cancelled; they reconnect by themselves and wait for as long as no broker answers.
public final class CollaFuseClient: Sendable {
    let descriptor: RunDescriptor
    let credentials: Credentials
    let release: Release
    let runner: JobRunner
    let session: Session
    let heads: HeadHome
    let logger: Logger
    /// Of the calls for samples that are under way.
    let claims = JobClaims()
    /// What opening did to the home that its owner should know of: that it was made, or has another limit now.
    public let homeNotes: [String]

    /// Opens keys, deployment and home, and begins to connect.
    ///
    /// - Throws: `badSettings` for keys or folders that are not what they should be, and for a home that is not this client's; `storage`
    ///   for one that is in use or damaged.
    public init(_ settings: ClientSettings, logger: Logger) throws {
        credentials = try Credentials(settings, now: .now)
        descriptor = credentials.run.descriptor
        release = try Release(
            opening: settings.home, run: credentials.run, client: credentials.client,
            limitDecibels: settings.limitDecibels, mayMake: settings.makesHome, only: credentials.home)
        homeNotes = Self.settleIn(settings, release, isNamed: credentials.home != nil)
        self.logger = logger
        let strays = StrayResults()
        session = try Session(
            client: credentials.client, identity: credentials.curve, brokers: credentials.brokers, logger: logger,
            keysArrived: { [credentials] in credentials.accept(poolKeyBundle: $0) },
            strayArrived: { job, answer in strays.take(job, answer, logger) })
        runner = JobRunner(release: release, session: session, credentials: credentials)
        strays.runner.withLock { [runner] in $0 = runner }
        heads = HeadHome(home: settings.home, runID: "\(credentials.run.id)")
    }

    /// Names the home in the kit, and says what is new about it.
    private static func settleIn(_ settings: ClientSettings, _ release: Release, isNamed: Bool) -> [String] {
        var notes: [String] = []
        if release.isNew {
            notes.append(
                "made a new home, \(settings.home.path): keep it, and name it in every command of this client. In it are the key of "
                    + "its masks and the ledger of what leaves")
        }
        if let former = release.formerLimit, let limit = settings.limitDecibels {
            notes.append(
                String(
                    format: "the owner's limit on what one image shows in all is %.1f dB from now on; it was %.1f dB",
                    limit, former))
        }
        if !isNamed {
            do { try KitHome.write(release.fingerprint, in: settings.kit) } catch {
                notes.append("another home would not be told from this one, since its kit cannot name it: \(error)")
            }
        }
        return notes
    }

    /// What the operator named the run.
    public var runName: String { descriptor.name }
    /// Names of the labels; a label's number is its place.
    public var labelNames: [String] { descriptor.labels }
    /// T
    public var timesteps: Int { descriptor.schedule.timesteps }
    /// Channels, height, width.
    public var imageShape: [Int] { [descriptor.image.channels, descriptor.image.height, descriptor.image.width] }

    /// Reads a folder of PNG and JPEG files (a sub-folder a label) or a safetensors file with `images` and `labels`.
    ///
    /// - Throws: `badImages`, naming the file; `badRequest` for a label that the run has not.
    public func images(at url: URL, labels: [Int]? = nil, part: ClientImages.Part = .train) throws -> ClientImages {
        try ClientImages(at: url, labels: labels, part: part, run: descriptor)
    }

    /// Waits until a denoising worker has a backbone that was trained on so many images, by what the broker says of it.
    public func waitForBackbone(images: Int, progress: ClientProgress.Handler = { _ in }) async throws {
        while true {
            do {
                let seen = Int(clamping: try await session.status().model.imagesSeen)
                progress(ClientProgress(done: min(seen, images), total: images))
                if seen >= images { return }
            } catch let error as ClientError where error.code == .refused {
                progress(ClientProgress(done: 0, total: images, note: error.message))
            }
            try await Task.sleep(for: .milliseconds(250))
        }
    }

    /// Ends the connection; calls under way end with `CancellationError`.
    public func close() { session.close() }

    func cut(_ timestep: Int) throws(ClientError) -> Cut {
        do { return try descriptor.cut(timestep) } catch { throw ClientError(.badRequest, error.message) }
    }
}
