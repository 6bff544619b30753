import Crypto
import EvidenceLog
import Foundation
import GRDB
import HubStore
import Logging
import RecordingModel
import StorageIO
import Testing

@Suite struct StoreSegmentTests {
    /// The path's type is not of a module that these tests depend on, so it is left to inference.
    private static func path<Path: ExpressibleByStringLiteral>(_ text: String) -> Path where Path.StringLiteralType == String { Path(stringLiteral: text) }

    /// A camera that shows the same picture twice makes equal bytes at two times, and a proxy may equal its main stream.
    @Test func ofEqualBytesTheOneInTheWindowIsFound() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "fieldpost-store-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let small = try SmallStore()
        let hub = try HubStore(
            dataDirectory: Self.path(folder.path), hub: small.hub, signer: try must(NoteSigner(name: "hub.example", algorithm: .cosignature)), generation: 1,
            storage: RealStorage(), logger: Logger(label: "test"))
        let hash = small.records[0].sha256
        func insert(_ sequence: UInt64, _ kind: StreamKind, at offset: Int64, isHeld: Bool = true) async throws {
            var record = small.records[0]
            record.stream = StreamID(camera: small.camera, kind: kind)
            record.sequence = sequence
            record.startWall.unixMilliseconds = SmallStore.day + offset
            let text = String(decoding: try JSONEncoder().encode(record), as: UTF8.self)
            let values: StatementArguments = [
                small.node.description, "log", small.camera.description, kind.rawValue, Int64(sequence), Int64(sequence), record.startUnixMilliseconds,
                record.endUnixMilliseconds, record.bytes, hash.hex, isHeld, text,
            ]
            let columns = "node, log, camera, kind, sequence, log_index, start_ms, end_ms, bytes, sha256, held, record"
            try await hub.catalogue.write { try $0.execute(sql: "INSERT INTO segments (\(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", arguments: values) }
        }
        try await insert(0, .main, at: 0)
        try await insert(1, .proxy, at: 600_000)
        try await insert(2, .main, at: 1_200_000)
        try await insert(3, .main, at: 1_800_000, isHeld: false)
        func found(_ window: Range<Int64>?, _ kinds: Set<StreamKind> = [.main]) async throws -> UInt64? {
            let window = window.map { ($0.lowerBound + SmallStore.day)..<($0.upperBound + SmallStore.day) }
            return try await hub.segment(hash, node: small.node, camera: small.camera, kinds: kinds, within: window)?.record.sequence
        }
        #expect(try await found(nil) == 0)
        #expect(try await found(0..<60_000) == 0)
        #expect(try await found(1_200_000..<1_260_000) == 2)
        #expect(try await found(600_000..<660_000) == nil)
        #expect(try await found(1_800_000..<1_860_000) == nil)
        #expect(try await found(60_000..<1_200_000) == nil)
        // A proxy is found where it may be, and after what the camera sent.
        #expect(try await found(600_000..<660_000, [.main, .proxy]) == 1)
        #expect(try await found(nil, [.main, .proxy]) == 0)
        #expect(try await found(nil, [.thumbs]) == nil)
    }
}
