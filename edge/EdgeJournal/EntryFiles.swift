import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

/// Reads a log's files of entries in order, one file in memory at a time. Changes nothing, and may be used while a
/// recorder appends.
struct EntryFiles {
    let storage: any StorageIO
    let directory: FilePath

    struct File {
        var first: UInt64
        var path: FilePath
    }

    /// How far the whole lines go, and what follows them.
    struct End {
        var entries: UInt64
        var tornBytes = 0
        /// A file that does not begin where the one before it ends; its lines were not read.
        var misplaced: String?
    }

    func list() throws -> [File] {
        try storage.list(directory).compactMap { name in
            LogFolder.firstIndex(ofEntryFile: name).map { File(first: $0, path: directory.appending(name)) }
        }.sorted { $0.first < $1.first }
    }

    /// Calls `body` with every whole line from the beginning of the log.
    func forEachLine(_ body: (_ index: UInt64, _ line: ArraySlice<UInt8>) throws -> Void) throws -> End {
        var end = End(entries: 0)
        for file in try list() {
            guard file.first == end.entries, end.tornBytes == 0 else {
                end.misplaced = file.path.lastComponent?.string
                return end
            }
            let bytes = try storage.read(file.path, limitBytes: Self.fileLimit)
            end.tornBytes = try LogFolder.forEachLine(in: bytes) { _, line in
                try body(end.entries, line)
                end.entries += 1
            }
        }
        return end
    }

    /// A file is closed soon after it passes `LogFolder.entryFileBytes`.
    static let fileLimit = 64 << 20
}
