import EvidenceLog
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// Appends records to a bundle, from file to file. A file is synced before the next one begins.
struct BundleWriter: ~Copyable {
    private let folder: FilePath
    private var header: BundleHeader
    private let storage: any StorageIO
    private let fileBytes: Int64
    private let syncEveryBytes: Int64
    private var file: any AppendingFile
    private(set) var contents: BundleContents
    /// Bytes that this writer has written, and how many of them the medium has.
    private(set) var writtenBytes: Int64 = 0
    private(set) var syncedBytes: Int64 = 0

    /// - Parameter survey: the bundle to go on with; nil for a new one.
    init(_ survey: BundleSurvey?, new: (folder: FilePath, header: BundleHeader), storage: any StorageIO, fileBytes: Int64, syncEveryBytes: Int64) throws {
        folder = survey?.folder ?? new.folder
        contents = survey?.contents ?? BundleContents()
        self.storage = storage
        self.fileBytes = fileBytes
        self.syncEveryBytes = syncEveryBytes
        (file, header) = try survey.map { try Self.goOn($0, storage) } ?? Self.begin(new.folder, new.header, storage)
    }

    private static func begin(_ folder: FilePath, _ header: BundleHeader, _ storage: any StorageIO) throws -> (any AppendingFile, BundleHeader) {
        try storage.makeDirectory(folder)
        let file = try file(folder, header, storage)
        // The folders of the bundle, of the node, and of all bundles, each named in the one above it.
        var above = folder
        for _ in 0..<3 {
            above = above.removingLastComponent()
            try storage.syncDirectory(above)
        }
        return (file, header)
    }

    private static func goOn(_ survey: BundleSurvey, _ storage: any StorageIO) throws -> (any AppendingFile, BundleHeader) {
        var header = survey.header
        header.number = survey.lastFile
        for number in try BundleSurvey.files(of: survey.folder, storage).reversed() where number > survey.lastFile {
            try storage.remove(survey.folder.appending(BundleNames.fileName(number)))
        }
        guard survey.lastLength > 0 else { return (try file(survey.folder, header, storage), header) }
        let file = try storage.openForAppending(survey.folder.appending(BundleNames.fileName(survey.lastFile)))
        try file.truncate(to: survey.lastLength)
        try file.sync()
        return (file, header)
    }

    private static func file(_ folder: FilePath, _ header: BundleHeader, _ storage: any StorageIO) throws -> any AppendingFile {
        let file = try storage.openForAppending(folder.appending(BundleNames.fileName(header.number)))
        try file.truncate(to: 0)
        try file.append(header.encoded)
        try file.sync()
        try storage.syncDirectory(folder)
        return file
    }

    mutating func write(_ frame: Frame) throws { try write(wire: FrameCoding.encode(frame)) }
    mutating func write(_ mark: BundleMark) throws { try write(wire: mark.encoded) }

    private mutating func write(wire: [UInt8]) throws {
        if file.length + Int64(wire.count) > fileBytes, file.length > Int64(BundleHeader.byteCount) {
            try sync()
            try file.close()
            header.number += 1
            file = try Self.file(folder, header, storage)
        }
        try file.append(wire)
        writtenBytes += Int64(wire.count)
        // What is read back by the same rules is what counts.
        var reader = BundleReader(length: Int64(wire.count), from: 0) { Array(wire[Int($0)..<min(wire.count, Int($0) + $1)]) }
        guard let record = try reader.next(), contents.take(record) else { throw CourierError("a record of the bundle contradicts those before it; remove \(folder) and export again") }
        if writtenBytes - syncedBytes >= syncEveryBytes { try sync() }
    }

    mutating func sync() throws {
        try file.sync()
        // The recorder needs the memory more than the medium does.
        file.forget()
        syncedBytes = writtenBytes
    }

    mutating func finish(_ checkpoint: SignedCheckpoint) throws {
        try write(.end(records: contents.records, bytes: contents.bytes, checkpoint: checkpoint))
        try sync()
        try storage.syncDirectory(folder)
    }

    mutating func close() throws {
        try sync()
        try file.close()
    }
}
