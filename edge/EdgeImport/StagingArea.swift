import FoundationEssentials
import RecordingModel
import StorageIO
import SystemPackage

/// The folder `imports` in a data directory, where one importer at a time leaves what the journal takes over.
package final class StagingArea: Sendable {
    let root: FilePath
    let storage: any StorageIO
    private let lock: DirectoryLock
    /// Names rise with the time of the import and the order of its files, and the journal takes over in order of names.
    private let session: UInt64

    /// Removes what imports that broke off have left.
    /// - Throws: `DirectoryIsLocked` while another import is under way.
    package init(dataDirectory: FilePath, storage: any StorageIO, nowUnixMilliseconds: Int64) throws {
        root = dataDirectory.appending(ImportManifest.folderName)
        self.storage = storage
        try storage.makeDirectory(root)
        try storage.syncDirectory(dataDirectory)
        lock = try DirectoryLock(root.appending(ImportManifest.lockName), heldSentence: "another import into \(dataDirectory) is under way; wait for its end")
        session = UInt64(clamping: nowUnixMilliseconds / 1_000) & 0xFFFF_FFFF
        for name in try storage.list(root) where ImportManifest.isFolder(name) {
            if try storage.size(root.appending(name).appending(ImportManifest.fileName)) == nil { remove(root.appending(name)) }
        }
    }

    /// Complete folders that the journal has not taken over yet.
    package static func waiting(dataDirectory: FilePath, storage: any StorageIO) throws -> [FilePath] {
        let root = dataDirectory.appending(ImportManifest.folderName)
        return try storage.list(root).filter(ImportManifest.isFolder).map { root.appending($0) }
            .filter { try storage.size($0.appending(ImportManifest.fileName)) != nil }
    }

    /// The originals in complete folders: known, though the log does not tell of them yet.
    package func waitingOriginals() throws -> Set<ContentHash> {
        let folders = try Self.waiting(dataDirectory: root.removingLastComponent(), storage: storage)
        return Set(
            try folders.compactMap { folder in
                // The journal may have taken it over since it was listed.
                guard try storage.size(folder.appending(ImportManifest.fileName)) != nil else { return nil }
                let bytes = try storage.read(folder.appending(ImportManifest.fileName), limitBytes: ImportManifest.byteLimit)
                // One that cannot be read is the journal's to set aside.
                return try? JSONDecoder().decode(ImportManifest.self, from: Data(bytes)).record.originalSHA256
            })
    }

    /// - Parameter index: of the file within the import.
    func makeFolder(_ index: Int) throws -> FilePath {
        var number = session << 32 | UInt64(index)
        while true {
            let digits = String(number, radix: 16)
            let folder = root.appending(String(repeating: "0", count: 16 - digits.count) + digits)
            // Of an import within the same second, complete and not taken over yet.
            guard try !storage.list(root).contains(folder.lastComponent?.string ?? "") else {
                number += 1 << 24
                continue
            }
            try storage.makeDirectory(folder)
            try storage.syncDirectory(root)
            return folder
        }
    }

    /// - Returns: false when no recorder runs that could make room.
    func askForRoom(_ freeBytes: Int64) throws -> Bool {
        guard DirectoryLock.isHeld(root.removingLastComponent().appending("lock")) else { return false }
        try storage.replace(root.appending(ImportManifest.wantedName), with: Array(String(freeBytes).utf8))
        return true
    }

    func needNoRoom() { try? storage.remove(root.appending(ImportManifest.wantedName)) }

    deinit { needNoRoom() }

    /// Makes the folder complete: written last, and durable when this returns.
    func commit(_ manifest: ImportManifest, in folder: FilePath) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes = Array(try encoder.encode(manifest))
        guard bytes.count <= ImportManifest.byteLimit else { throw FileTooLong() }
        try storage.replace(folder.appending(ImportManifest.fileName), with: bytes)
    }

    /// As far as it can be removed; what stays is removed at the next import.
    func remove(_ folder: FilePath) {
        // The manifest first: without it nothing takes the rest for whole.
        let names = ((try? storage.list(folder)) ?? []).sorted { $0 == ImportManifest.fileName && $1 != ImportManifest.fileName }
        for name in names { try? storage.remove(folder.appending(name)) }
        try? storage.removeDirectory(folder)
    }
}

struct FileTooLong: Error, CustomStringConvertible {
    let description = "the file has too many segments for one import; cut it in two with ffmpeg"
}
