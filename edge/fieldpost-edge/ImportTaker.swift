import EdgeImport
import EdgeJournal
import FoundationEssentials
import Logging
import RecordingModel
import ServiceSupport
import StorageIO
import SystemPackage

/// Staged footage that the journal did not take.
struct RefusedImport: Sendable {
    /// Below `imports` in the data directory.
    var folder: String
    /// Nil when the manifest cannot be read.
    var original: ImportRecord?
    var reason: String

    var name: String { original?.originalName ?? "imports/\(folder)" }
}

/// Who gives staged footage its place in the log: the running recorder, or a journal that is opened for it.
struct ImportTaker {
    /// A recorder looks about once a second; it may be busy with its disk.
    private static let patienceSeconds: Int64 = 120
    let configuration: EdgeConfiguration
    let folder: NodeFolder
    let clocks: SystemClocks

    func importedOriginals() throws -> Set<ContentHash> { try folder.reader().importedOriginals() }

    private func waiting() throws -> [String] {
        try StagingArea.waiting(dataDirectory: folder.root, storage: folder.storage).compactMap { $0.lastComponent?.string }
    }

    /// Returns when nothing waits any more.
    func takeOver() async throws -> [RefusedImport] {
        var (left, since) = (try waiting(), clocks.now().bootMilliseconds)
        var seen = Set(left)
        while !left.isEmpty {
            if try !folder.reader().isRecording {
                do {
                    return try await blocking { try takeOverHere() }
                } catch JournalError.inUse {
                    // A recorder was started just now.
                }
            }
            // The recorder says nothing to other processes but by what it does.
            try await Task.sleep(for: .milliseconds(200))
            let now = try waiting()
            if now.count < left.count { since = clocks.now().bootMilliseconds }
            left = now
            seen.formUnion(now)
            guard clocks.now().bootMilliseconds - since < Self.patienceSeconds * 1_000 else {
                let names = left.prefix(5).map { original(of: $0)?.originalName ?? $0 }.joined(separator: ", ")
                throw CommandError(
                    "the recorder has not taken over \(left.count) files in \(Self.patienceSeconds) s (\(OutputTable.printable(names))\(left.count > 5 ? ", …" : "")); they wait in \(folder.root)/imports and nothing is lost; look at the recorder's log")
            }
        }
        // A recorder sets aside what it refuses, and says why in its own log.
        return try folder.storage.list(importsFolder).filter { $0.hasSuffix(Self.asideSuffix) && seen.contains(String($0.dropLast(Self.asideSuffix.count))) }
            .map { RefusedImport(folder: $0, original: original(of: $0), reason: "the recorder refused it; its log says why, and it lies in imports/\($0)") }
    }

    private static let asideSuffix = ".refused"
    private var importsFolder: FilePath { folder.root.appending(ImportManifest.folderName) }

    private func original(of name: String) -> ImportRecord? {
        let path = importsFolder.appending(name).appending(ImportManifest.fileName)
        guard let bytes = try? folder.storage.read(path, limitBytes: ImportManifest.byteLimit) else { return nil }
        return try? JSONDecoder().decode(ImportManifest.self, from: Data(bytes)).record
    }

    private func takeOverHere() throws -> [RefusedImport] {
        var logger = Logger(label: "journal")
        logger.logLevel = .warning
        let journal = try folder.openJournal(configuration, identity: try folder.identity(), clocks: clocks, logger: logger)
        defer { journal.close() }
        return try journal.adoptImports().compactMap { taken in
            let reason: String
            switch taken.outcome {
            case .refused(let why), .delayed(let why): reason = why
            case .adopted, .alreadyKnown: return nil
            }
            return RefusedImport(folder: taken.folder, original: taken.record ?? original(of: taken.folder) ?? original(of: taken.folder + Self.asideSuffix), reason: reason)
        }
    }
}
