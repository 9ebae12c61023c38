import Foundation
import Synchronization
import ZeroMQ

/// A port of this machine that passes bytes on to another, and lets everybody who connects wait first.
final class SlowRelay: Sendable {
    let port: UInt16
    private let listener: Int32
    private let open: Mutex<[Int32]>

    init(to target: UInt16, delay: TimeInterval) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, address, &length) == 0
            }
        }
        guard bound else { throw POSIXError(.EADDRNOTAVAIL) }
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
        open = Mutex([listener])
        Thread.detachNewThread { [self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                Thread.detachNewThread { self.serve(client, target, delay) }
            }
        }
    }

    /// Threads that wait or pass on end.
    func stop() {
        open.withLock { sockets in
            for socket in sockets { shutdown(socket, Int32(SHUT_RDWR)) }
        }
    }

    private func serve(_ client: Int32, _ target: UInt16, _ delay: TimeInterval) {
        Thread.sleep(forTimeInterval: delay)
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.address(target)
        let isThere = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        open.withLock { $0 += [client, server] }
        guard isThere else { return }
        Thread.detachNewThread { Self.pass(server, client) }
        Self.pass(client, server)
    }

    private static func pass(_ from: Int32, _ to: Int32) {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(from, &bytes, bytes.count, 0)
            guard count > 0, send(to, bytes, count, Int32(MSG_NOSIGNAL)) == count else { break }
        }
        shutdown(to, Int32(SHUT_RDWR))
    }

    private static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }
}
