import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
import SyncProtocol
import SystemPackage

/// The socket in the hub's data directory at which `fieldpost-hub import` hands a medium's records to the hub that serves:
/// one process writes to the store. Who may open the directory may import; the medium's own rights are the importer's.
///
/// A message is its length 4 (big-endian, of what follows), its kind 1 and a payload; an answer is its length 4 and a
/// `BundleAnswer` in JSON. Every message has its answer before the next one, so that nothing queues up.
package struct BundleDesk: Sendable {
    static let socketName = "import.sock"

    enum Message: UInt8 { case begin = 1, entries, frames, settle }

    private let folder: FilePath
    private let logger: Logger

    package init(folder: FilePath, logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    /// Below the folder's descriptor: the path of a socket may have 107 bytes at most.
    static func path(_ folder: SystemPackage.FileDescriptor) -> String { "/proc/self/fd/\(folder.rawValue)/\(socketName)" }
    static func open(_ folder: FilePath) throws -> SystemPackage.FileDescriptor { try SystemPackage.FileDescriptor.open(folder, .readOnly, options: [.directory, .closeOnExec]) }

    /// One medium after another, until cancelled. Who comes meanwhile waits.
    package func serve(_ makeSink: @Sendable () -> any BundleSink) async throws {
        let descriptor = try Self.open(folder)
        defer { try? descriptor.close() }
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(
            unixDomainSocketPath: Self.path(descriptor), cleanupExistingSocketFile: true,
            serverBackPressureStrategy: .init(lowWatermark: 1, highWatermark: 2)
        ) { channel in
            channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
        }
        try await server.executeThenClose { clients in
            for try await client in clients {
                do {
                    try await client.executeThenClose { inbound, outbound in try await talk(inbound, outbound, makeSink()) }
                } catch let error where !(error is CancellationError) {
                    logger.error("an import broke off", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func talk(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, _ sink: any BundleSink) async throws {
        var received = ByteBuffer()
        for try await piece in inbound {
            received.writeImmutableBuffer(piece)
            while let length = received.getInteger(at: received.readerIndex, as: UInt32.self) {
                guard length >= 1, length <= BundleAnswer.messageBytes else { return }
                guard received.readableBytes >= Int(length) + 4 else { break }
                received.moveReaderIndex(forwardBy: 4)
                guard let kind = received.readInteger(as: UInt8.self).flatMap({ Message(rawValue: $0) }), let payload = received.readBytes(length: Int(length) - 1) else { return }
                let answer = try Array(JSONEncoder().encode(try await self.answer(kind, payload, sink)))
                var reply = ByteBuffer()
                reply.writeInteger(UInt32(answer.count))
                reply.writeBytes(answer)
                try await outbound.write(reply)
            }
            received.discardReadBytes()
        }
    }

    private func answer(_ kind: Message, _ payload: [UInt8], _ sink: any BundleSink) async throws -> BundleAnswer {
        do {
            switch kind {
            case .begin:
                guard let header = try? BundleHeader(decoding: payload) else { return BundleAnswer(problem: Problem(status: 400, title: "The bundle's header cannot be read.")) }
                return try await sink.begin(header)
            case .entries: return try await sink.entries(payload)
            case .frames: return try await sink.frames(payload)
            case .settle: return try await sink.settle()
            }
        } catch let error where !(error is CancellationError) {
            logger.error("an import failed", metadata: ["error": "\(error)"])
            return BundleAnswer(problem: Problem(status: 503, title: "The hub could not write.", detail: "Its log says why; import again when it is mended."))
        }
    }
}
