import EdgeCapture
import Foundation
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing

@Suite("Failures")
struct FailureTests {
    @Test("A camera that refuses connections is a gap with its cause, and stopping does not wait for it")
    func refused() throws {
        let bench = try Bench(url: "rtsp://admin:s3cret@127.0.0.1:1/stream")
        bench.recorder.start()
        bench.wait(seconds: 3) { bench.sink.health.contains { $0.state == .waiting } }
        try expectQuickStop(bench)
        #expect(bench.sink.segments.isEmpty)
        #expect(bench.sink.gaps.allSatisfy { $0.cause == .cameraUnreachable })
        #expect(bench.sink.gaps.first?.detail.contains("Connection refused") == true)
        #expect(!"\(bench.sink.gaps) \(bench.sink.health)".contains("s3cret"))
        #expect(bench.sink.firstHole == nil)
    }

    @Test("A dead camera's gap holds no secret of its URL", arguments: [
        "rtsp://127.0.0.1:1/user=admin&password=s3cret&channel=1&stream=0.sdp?real_stream", "rtsp://127.0.0.1:1/user=admin_password=s3cret_channel=1",
        "rtsp://127.0.0.1:1/0/admin:s3cret/main", "rtsp://admin:s3cret@127.0.0.1:1/h264", "http://127.0.0.1:1/video.cgi?loginuse=admin&loginpas=s3cret",
        "rtsp://127.0.0.1:1/live?pwd=a s3cret",
    ])
    func secrets(url: String) throws {
        let bench = try Bench(url: url)
        bench.recorder.start()
        bench.wait(seconds: 3) { bench.sink.health.contains { $0.state == .waiting } }
        try expectQuickStop(bench)
        let gap = try #require(bench.sink.gaps.first)
        #expect(gap.detail.contains("127.0.0.1:1/"))
        #expect(bench.sink.health.contains { $0.lastError != nil })
        #expect(!"\(bench.sink.gaps) \(bench.sink.health)".contains("s3cret"), "\(gap.detail)")
    }

    @Test("A camera that accepts and says nothing is told from one that is not there")
    func silent() throws {
        let server = try SilentServer()
        let bench = try Bench(url: "rtsp://127.0.0.1:\(server.port)/stream", change: {
            $0.connectTimeoutMilliseconds = 700
            $0.stallTimeoutMilliseconds = 5_000
        })
        bench.recorder.start()
        bench.wait(seconds: 5) { bench.sink.health.contains { $0.state == .waiting } }
        usleep(800_000)
        // Now within the next attempt's open, which blocks.
        try expectQuickStop(bench)
        #expect(!bench.sink.gaps.isEmpty && bench.sink.gaps.allSatisfy { $0.cause == .cameraSilent }, "\(bench.sink.gaps)")
        #expect(bench.sink.firstHole == nil)
    }

    @Test("A missing file, an unknown codec and a bad option are told apart")
    func unsupported() throws {
        let scratch = try Scratch()
        let source = scratch.file("source.avi")
        try runTool("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-t", "1", "-c:v", "mpeg4", source)
        for (url, cause) in [
            ("file:/nonexistent.mp4", GapCause.cameraUnreachable), ("file:\(source)", .unsupported), ("test:?fps=0", .unsupported), ("gopher://x", .unsupported),
        ] {
            let bench = try Bench(url: url)
            bench.recorder.start()
            bench.wait(seconds: 3) { bench.sink.health.contains { $0.state == .waiting } }
            bench.recorder.stop()
            #expect(bench.sink.gaps.first?.cause == cause, "\(url): \(bench.sink.gaps)")
        }
    }

    @Test("When a sync fails the segment ends there, the gap says disk, and a new file goes on")
    func syncFails() throws {
        let storage = FaultyStorage { operation, count in operation == .sync && count == 3 }
        try expectFault(storage, .diskFault)
    }

    @Test("When the disk is full what is written whole is sealed, and the gap says so")
    func diskFull() throws {
        let storage = FaultyStorage(errno: .noSpace) { operation, count in operation == .append && (8...9).contains(count) }
        try expectFault(storage, .diskFull)
    }

    private func expectFault(_ storage: FaultyStorage, _ cause: GapCause) throws {
        let bench = try Bench(url: "test:?size=160x90&fps=20&gop=10&bitrate=50k", storage: storage)
        bench.recorder.start()
        bench.wait(seconds: 10) { bench.sink.gaps.contains { $0.cause == cause } && bench.sink.segments.last?.end == .length }
        bench.recorder.stop()
        #expect(bench.sink.firstHole == nil)
        #expect(bench.sink.gaps.contains { $0.cause == cause }, "\(bench.sink.gaps)")
        #expect(bench.sink.segments.map(\.sequence) == (0..<UInt64(bench.sink.segments.count)).map { $0 })
        #expect(Set(bench.sink.segments.map(\.run)) == [0, 1])
        for record in bench.sink.segments {
            try expectDecodes(bench.path(record))
            #expect(try Int64(bench.bytes(record).count) == record.bytes)
        }
        // Nothing is left behind under an open name.
        #expect(try RealStorage().list(bench.directory).count == bench.sink.segments.count * 2)
        // Of the file whose only sync failed nothing is verified.
        #expect(bench.sink.segments.contains { $0.end == .storageFault } == (cause == .diskFull))
    }

    private func expectQuickStop(_ bench: Bench) throws {
        let start = Date()
        #expect(bench.recorder.stop())
        #expect(Date().timeIntervalSince(start) < 1)
        #expect(bench.sink.health.last?.state == .stopped)
    }
}

/// Listens, and lets the kernel accept; nobody ever answers.
final class SilentServer {
    private let descriptor: Int32
    let port: Int

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, size) == 0 && listen(descriptor, 16) == 0 && getsockname(descriptor, raw, &size) == 0
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        try #require(listening)
    }

    deinit { close(descriptor) }
}

/// The real disk, but for the calls that `fails` names: the operation and its number, from 1.
final class FaultyStorage: StorageIO {
    enum Operation: Sendable { case append, sync }
    private let real = RealStorage()
    private let counts = Mutex<[Operation: Int]>([:])
    private let fails: @Sendable (Operation, Int) -> Bool
    private let errno: Errno

    init(errno: Errno = .ioError, fails: @escaping @Sendable (Operation, Int) -> Bool) {
        self.errno = errno
        self.fails = fails
    }

    func check(_ operation: Operation, _ path: FilePath) throws {
        let count = counts.withLock { counts in
            counts[operation, default: 0] += 1
            return counts[operation, default: 0]
        }
        if fails(operation, count) { throw StorageError(operation: "\(operation)", path: path, errno: errno) }
    }

    func makeDirectory(_ path: FilePath) throws { try real.makeDirectory(path) }
    func openForAppending(_ path: FilePath) throws -> any AppendingFile {
        FaultyFile(try real.openForAppending(path), path, self)
    }
    func openForReading(_ path: FilePath) throws -> any ReadingFile { try real.openForReading(path) }
    func rename(_ path: FilePath, to target: FilePath) throws { try real.rename(path, to: target) }
    func syncDirectory(_ path: FilePath) throws { try real.syncDirectory(path) }
    func remove(_ path: FilePath) throws { try real.remove(path) }
    func list(_ path: FilePath) throws -> [String] { try real.list(path) }
    func size(_ path: FilePath) throws -> Int64? { try real.size(path) }
    func space(_ path: FilePath) throws -> DiskSpace { try real.space(path) }
}

private final class FaultyFile: AppendingFile {
    private let file: any AppendingFile
    private let path: FilePath
    private let storage: FaultyStorage

    init(_ file: any AppendingFile, _ path: FilePath, _ storage: FaultyStorage) {
        self.file = file
        self.path = path
        self.storage = storage
    }

    var length: Int64 { file.length }
    func append(_ bytes: UnsafeRawBufferPointer) throws {
        do { try storage.check(.append, path) } catch {
            // As a real disk would: a part is written.
            try file.append(UnsafeRawBufferPointer(rebasing: bytes.prefix(bytes.count / 2)))
            throw error
        }
        try file.append(bytes)
    }
    func sync() throws {
        try storage.check(.sync, path)
        try file.sync()
    }
    func truncate(to length: Int64) throws { try file.truncate(to: length) }
    func close() throws { try file.close() }
}
