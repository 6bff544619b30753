import Crypto
import EvidenceLog
import FoundationEssentials
import RecordingModel
import StorageIO
import SystemPackage

/// One open segment file and its side file. After any error only `salvage` and `discard` may be called.
package final class SegmentWriter {
    /// What the file holds up to a point between two fragments.
    package struct Progress {
        package var bytes: Int64
        var sideBytes: Int64
        var hash: SHA256
        package var fragments = MerkleFrontier()
        package var fragmentCount = 0
        package var frames = 0
        package var durationTicks: Int64 = 0

        package var sha256: ContentHash? { ContentHash(Array(hash.finalize())) }
    }

    package let sequence: UInt64
    package let header: SideHeader
    package let openPath: FilePath
    package let sidePath: FilePath
    private let storage: any StorageIO
    private let directory: FilePath
    private let data: any AppendingFile
    private let side: any AppendingFile
    /// Everything appended; and what is durable of it.
    package private(set) var complete: Progress
    private var synced: Progress?
    /// A failed sync is final: a second try would succeed and prove nothing.
    private var syncFailure: (any Error)?
    private var directorySynced = false

    package init(storage: any StorageIO, directory: FilePath, sequence: UInt64, header: SideHeader, initBytes: [UInt8]) throws {
        self.storage = storage
        self.directory = directory
        self.sequence = sequence
        self.header = header
        openPath = directory.appending(SegmentFiles.openName(sequence))
        sidePath = directory.appending(SegmentFiles.sideName(sequence))
        try Self.setAside(openPath, sidePath, storage: storage, at: header.startBootMilliseconds)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = Array(try encoder.encode(header)) + [UInt8(ascii: "\n")]
        do {
            side = try storage.openForAppending(sidePath)
            try side.append(line)
            data = try storage.openForAppending(openPath)
            try data.append(initBytes)
        } catch {
            try? storage.remove(openPath)
            try? storage.remove(sidePath)
            throw error
        }
        var hash = SHA256()
        hash.update(data: initBytes)
        complete = Progress(bytes: Int64(initBytes.count), sideBytes: Int64(line.count), hash: hash)
    }

    /// A file in the way is one that could neither be cut nor removed. It is kept, under a name that recovery knows.
    private static func setAside(_ open: FilePath, _ side: FilePath, storage: any StorageIO, at milliseconds: Int64) throws {
        let paths = try [open, side].filter { try storage.size($0) != nil }
        guard !paths.isEmpty else { return }
        var mark = milliseconds
        func aside(_ path: FilePath) -> FilePath { FilePath("\(path.string).aside-\(mark)") }
        // Another boot's file may have the same one.
        while try [open, side].contains(where: { try storage.size(aside($0)) != nil }) { mark += 1 }
        for path in paths { try storage.rename(path, to: aside(path)) }
    }

    package func append(_ fragment: UnsafeRawBufferPointer, summary: FragmentWriter.Summary) throws {
        var fragmentHash = SHA256()
        fragmentHash.update(bufferPointer: fragment)
        guard let hash = ContentHash(Array(fragmentHash.finalize())) else { return }
        let record = FragmentRecord(
            offset: complete.bytes, length: Int64(fragment.count), sha256: hash, durationTicks90k: summary.durationTicks,
            frames: summary.frames)
        // The record first: a fragment without one is cut off by recovery, a record without its fragment is skipped.
        try side.append(record.encoded)
        try data.append(fragment)
        complete.sideBytes += Int64(FragmentRecord.recordBytes)
        complete.bytes += Int64(fragment.count)
        complete.hash.update(bufferPointer: fragment)
        complete.fragments.append(MerkleTree.leafHash(hash.bytes))
        complete.fragmentCount += 1
        complete.frames += summary.frames
        complete.durationTicks += summary.durationTicks
    }

    var hasUnsynced: Bool { complete.fragmentCount > synced?.fragmentCount ?? 0 }

    package func sync() throws {
        if let syncFailure { throw syncFailure }
        do {
            try data.sync()
            try side.sync()
            if !directorySynced { try storage.syncDirectory(directory) }
        } catch {
            syncFailure = error
            throw error
        }
        directorySynced = true
        synced = complete
    }

    /// - Parameter isReadSoon: whether the disk's memory of it is of use: what was just recorded is sent or watched next.
    package func close(isReadSoon: Bool = true) {
        if !isReadSoon { data.forget() }
        // All that was promised is synced; closing can only fail to free a descriptor.
        try? data.close()
        try? side.close()
    }

    enum Salvage {
        /// The files hold just this.
        case verified(Progress)
        /// They hold this and more, which could not be cut off: recovery will.
        case left(Progress)
        /// There was nothing, and the files are removed.
        case nothing
    }

    /// After an error: cuts both files back to what is verified. What was synced is never removed.
    func salvage() -> Salvage {
        if syncFailure == nil, complete.fragmentCount > 0, (try? cut(to: complete)) != nil, (try? sync()) != nil {
            close()
            return .verified(complete)
        }
        guard let synced, synced.fragmentCount > 0 else {
            discard()
            return .nothing
        }
        let isCut = (try? cut(to: synced)) != nil
        close()
        return isCut ? .verified(synced) : .left(synced)
    }

    /// A segment without a fragment uses no sequence number and leaves no file.
    package func discard() {
        close()
        try? storage.remove(openPath)
        try? storage.remove(sidePath)
    }

    private func cut(to progress: Progress) throws {
        try data.truncate(to: progress.bytes)
        try side.truncate(to: progress.sideBytes)
    }
}
