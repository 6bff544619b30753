import Dispatch
import FoundationEssentials
import SyncProtocol
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The other end of `BundleDesk`. Used by one task; its calls block on a queue of their own.
package final class BundleSocket: BundleSink {
    private let socket: FileDescriptor
    private let queue = DispatchQueue(label: "fieldpost.import.socket")

    /// - Throws: when no hub listens in this data directory.
    package init(folder: FilePath) throws {
        let descriptor = try BundleDesk.open(folder)
        defer { try? descriptor.close() }
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw Errno(rawValue: errno) }
        self.socket = FileDescriptor(rawValue: socket)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(BundleDesk.path(descriptor).utf8).prefix($0.count - 1)) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        // Where this throws, deinit closes.
        guard result == 0 else { throw Errno(rawValue: errno) }
    }

    deinit { try? socket.close() }

    package func begin(_ header: BundleHeader) async throws -> BundleAnswer { try await ask(.begin, header.encoded) }
    package func entries(_ wire: [UInt8]) async throws -> BundleAnswer { try await ask(.entries, wire) }
    package func frames(_ wire: [UInt8]) async throws -> BundleAnswer { try await ask(.frames, wire) }
    package func settle() async throws -> BundleAnswer { try await ask(.settle, []) }

    private func ask(_ kind: BundleDesk.Message, _ payload: [UInt8]) async throws -> BundleAnswer {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { [socket] in continuation.resume(with: Result { try Self.exchange(socket, kind, payload) }) }
        }
    }

    private static func exchange(_ socket: FileDescriptor, _ kind: BundleDesk.Message, _ payload: [UInt8]) throws -> BundleAnswer {
        do {
            try withUnsafeBytes(of: UInt32(payload.count + 1).bigEndian) { _ = try socket.writeAll($0) }
            try socket.writeAll([kind.rawValue] + payload)
            let length = try read(socket, 4).reduce(0) { $0 << 8 | Int($1) }
            guard length <= BundleAnswer.messageBytes else { throw Errno.messageTooLong }
            return try JSONDecoder().decode(BundleAnswer.self, from: Data(read(socket, length)))
        } catch let error as Errno {
            throw Problem(status: 503, title: "The hub that serves has gone away (\(error)).", detail: "What was imported stays; start it and import again.")
        }
    }

    private static func read(_ socket: FileDescriptor, _ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = try bytes.withUnsafeMutableBytes { try socket.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...])) }
            guard got > 0 else { throw Errno.connectionReset }
            filled += got
        }
        return bytes
    }
}
