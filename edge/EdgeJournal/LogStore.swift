import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

/// A log on disk that is being written: appends lines, keeps the right edge of its tree, finds lines by index.
///
/// Owned by one thread at a time. After a failed append the log is as it was before it, in a new file; where even
/// that is impossible it refuses everything (`JournalError.failed`).
final class LogStore {
    let log: LogID
    let storage: any StorageIO
    let directory: FilePath
    private(set) var frontier = MerkleFrontier()
    /// Indexes of the `key` entries, rising. The first is 0.
    private(set) var keyIndexes: [UInt64] = []
    let checkpoints: CheckpointFile

    private struct File {
        var first: UInt64
        var path: FilePath
        var length: Int64
    }
    /// Where an entry begins: one mark for every `markEvery` entries and for the first of each file.
    private struct Mark {
        var index: UInt64
        var file: Int
        var offset: Int64
    }
    private static let markEvery: UInt64 = 64
    /// The tree's edge before every such entry, so that the root at any size costs at most so many lines.
    private var frontiers: [MerkleFrontier] = []
    private static let frontierEvery: UInt64 = 1_024
    private let fileBytes: Int64
    private var files: [File] = []
    private var marks: [Mark] = []
    private var current: (any AppendingFile)?
    private var isNameDurable = false
    /// The file in use had a failed write: what it holds ends at its length here, and it is not appended to again.
    private var isCurrentSpent = false

    var size: UInt64 { frontier.size }
    var root: ContentHash { frontier.root }

    /// Why a stored log cannot be continued. The journal then begins another one.
    struct Damage: Error, CustomStringConvertible {
        var description: String
    }

    /// Opens the log or begins an empty one. Cuts a torn tail: what follows the last newline, and whole lines that
    /// are no entries and that no checkpoint covers (a file system may bring back the blocks of one append out of order).
    /// - Throws: `Damage` when what a checkpoint covers is missing or altered.
    init(_ log: LogID, in directory: FilePath, storage: any StorageIO, fileBytes: Int64 = LogFolder.entryFileBytes) throws {
        self.log = log
        self.directory = directory
        self.storage = storage
        self.fileBytes = fileBytes
        try storage.makeDirectory(directory)
        checkpoints = try CheckpointFile(directory.appending(LogFolder.checkpointsName), log: log, storage: storage)
        try scan()
    }

    private func scan() throws {
        let found = try EntryFiles(storage: storage, directory: directory).list()
        let covered = checkpoints.last?.size ?? 0
        var stored = try checkpoints.reader()
        func nextStored() throws -> Checkpoint? {
            guard case .checkpoint(let signed, _)? = try stored?.next() else { return nil }
            return signed.checkpoint
        }
        var pending = try nextStored()
        for (ordinal, file) in found.enumerated() {
            guard file.first == size else { throw Damage(description: "entries from \(size) on are missing") }
            let bytes = try storage.read(file.path, limitBytes: EntryFiles.fileLimit)
            var whole = 0
            var firstBad: Int?
            _ = try LogFolder.forEachLine(in: bytes) { offset, line in
                guard firstBad == nil else { return }
                if size >= covered, (try? LogEntry(line: line)) == nil {
                    firstBad = offset
                    return
                }
                if offset == 0 { files.append(File(first: size, path: file.path, length: 0)) }
                note(line, file: files.count - 1, offset: Int64(offset))
                whole = offset + line.count + 1
                if let next = pending, next.size == size {
                    guard next.root == root else { throw Damage(description: "entries before \(size) do not lead to their checkpoint") }
                    pending = try nextStored()
                }
            }
            if whole == 0 { files.append(File(first: size, path: file.path, length: 0)) }
            files[files.count - 1].length = Int64(whole)
            if whole < bytes.count {
                guard ordinal == found.count - 1 else { throw Damage(description: "a line is torn within the log, at entry \(size)") }
                try cut(file.path, to: Int64(whole))
            }
        }
        guard pending == nil else { throw Damage(description: "\(size) entries are left of \(covered) under a checkpoint") }
    }

    private func note(_ line: some Sequence<UInt8>, file: Int, offset: Int64) {
        let line = Array(line)
        if offset == 0 || size.isMultiple(of: Self.markEvery) { marks.append(Mark(index: size, file: file, offset: offset)) }
        // A quote inside a JSON string is escaped, so these bytes can only be the field itself.
        if line.contains(Self.keyKind) { keyIndexes.append(size) }
        if size.isMultiple(of: Self.frontierEvery) { frontiers.append(frontier) }
        frontier.append(MerkleTree.leafHash(line))
    }
    private static let keyKind = Array(#""kind":"key""#.utf8)

    /// Whether the entry at this index is a `key` entry.
    func hasKey(at index: UInt64) -> Bool {
        var low = 0
        var high = keyIndexes.count
        while low < high {
            let middle = (low + high) / 2
            if keyIndexes[middle] < index { low = middle + 1 } else { high = middle }
        }
        return low < keyIndexes.count && keyIndexes[low] == index
    }

    private func cut(_ path: FilePath, to length: Int64) throws {
        let file = try storage.openForAppending(path)
        try file.truncate(to: length)
        try file.sync()
        try file.close()
    }

    /// Appends all lines (without newlines) and makes them durable with one sync. After an error none of them is in
    /// the log, and the next append goes to a new file.
    func append(_ lines: [[UInt8]]) throws {
        guard !lines.isEmpty else { return }
        for line in lines {
            guard line.count <= LogEntry.byteLimit, !line.contains(UInt8(ascii: "\n")) else { throw LogFault.entryTooLong }
        }
        let file = try writable()
        let ordinal = files.count - 1
        var buffer: [UInt8] = []
        for line in lines {
            buffer += line
            buffer.append(UInt8(ascii: "\n"))
        }
        do {
            try file.append(buffer)
            try file.sync()
        } catch {
            isCurrentSpent = true
            // If it can be cut now, a process that starts before the power fails finds no lines that were never durable.
            try? cut(files[ordinal].path, to: files[ordinal].length)
            throw error
        }
        for line in lines {
            note(line, file: ordinal, offset: files[ordinal].length)
            files[ordinal].length += Int64(line.count + 1)
        }
    }

    /// The file to append to; a new one when the last is full or spent.
    private func writable() throws -> any AppendingFile {
        if isCurrentSpent, let last = files.last {
            // A failed sync is final for its file: it is cut back to what is known to be durable and left.
            try? current?.close()
            current = nil
            try cut(last.path, to: last.length)
            if last.length == 0 {
                // A new file would get the same name; an empty one has nothing that could be lost.
                try storage.remove(last.path)
                files.removeLast()
            }
            isCurrentSpent = false
        } else if let last = files.last, last.length < fileBytes {
            if let current { return current }
            let file = try storage.openForAppending(last.path)
            // Whoever made the file may have died before its name was durable.
            if !isNameDurable { try storage.syncDirectory(directory) }
            isNameDurable = true
            current = file
            return file
        }
        try? current?.close()
        current = nil
        let path = directory.appending(LogFolder.entryFileName(first: size))
        let file = try storage.openForAppending(path)
        try storage.syncDirectory(directory)
        isNameDurable = true
        files.append(File(first: size, path: path, length: 0))
        current = file
        return file
    }

    /// The lines `from..<to`, clipped to the log.
    func lines(_ range: Range<UInt64>) throws -> [[UInt8]] {
        let to = min(range.upperBound, size)
        guard range.lowerBound < to else { return [] }
        var markIndex = lastMark(notAfter: range.lowerBound)
        var result: [[UInt8]] = []
        while markIndex < marks.count, marks[markIndex].index < to {
            // Read up to the last mark needed in this file with one call.
            let start = marks[markIndex]
            var next = markIndex + 1
            while next < marks.count, marks[next].index < to, marks[next].file == start.file { next += 1 }
            let isSameFile = next < marks.count && marks[next].file == start.file
            let end = isSameFile ? marks[next].offset : files[start.file].length
            let bytes = try storage.openForReading(files[start.file].path).read(at: start.offset, count: Int(end - start.offset))
            guard bytes.count == Int(end - start.offset) else { throw Damage(description: "the log is shorter than it was") }
            var index = start.index
            _ = LogFolder.forEachLine(in: bytes) { _, line in
                if index >= range.lowerBound, index < to { result.append(Array(line)) }
                index += 1
            }
            markIndex = next
        }
        return result
    }

    private func lastMark(notAfter index: UInt64) -> Int {
        var low = 0
        var high = marks.count
        while low < high {
            let middle = (low + high) / 2
            if marks[middle].index <= index { low = middle + 1 } else { high = middle }
        }
        return max(0, low - 1)
    }

    /// The root at the present size or an earlier one.
    func root(at asked: UInt64) throws -> ContentHash {
        guard asked <= size else { throw JournalError.beyondLog(size: size, asked: asked) }
        if asked == size { return root }
        let mark = asked / Self.frontierEvery
        var partial = frontiers[Int(mark)]
        for line in try lines((mark * Self.frontierEvery)..<asked) { partial.append(MerkleTree.leafHash(line)) }
        return partial.root
    }
}
