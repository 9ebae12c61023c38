internal import Foundation

/// How another thread asks a supervisor to stop: Ctrl-C and SIGTERM do it through `watchSignals`.
package final class StopRequests: Sendable {
    /// Readable when there is a request.
    let descriptor: Int32
    private let writer: Int32

    package init() throws(LaunchError) {
        guard let pipe = PipeEnds() else { throw LaunchError(.system, "no pipe: \(String(cString: strerror(errno)))") }
        descriptor = pipe.reader
        writer = pipe.writer
    }

    deinit {
        close(descriptor)
        close(writer)
    }

    package func stop() {
        var byte: UInt8 = 1
        _ = write(writer, &byte, 1)  // a full pipe holds requests enough
    }

    /// Whether somebody asked since the last call.
    func take() -> Bool {
        var byte: UInt8 = 0
        return read(descriptor, &byte, 1) == 1
    }

    /// Turns Ctrl-C, SIGTERM and the terminal's end into requests for as long as the result is kept.
    package func watchSignals() -> SignalWatch {
        SignalWatch(
            sources: [SIGINT, SIGTERM, SIGHUP].map { number in
                signal(number, SIG_IGN)  // else the default action comes first
                let source = DispatchSource.makeSignalSource(signal: number)
                source.setEventHandler { self.stop() }
                source.resume()
                return source
            })
    }

    package struct SignalWatch {
        let sources: [any DispatchSourceSignal]
    }
}
