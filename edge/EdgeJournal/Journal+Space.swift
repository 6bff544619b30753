import Dispatch
import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

extension Journal {
    /// How often free space is looked at, besides after every commit.
    static let spaceIntervalMilliseconds = 1_000
    private static let roundsAtOnce = 8
    private static let refusedFoldersMax = 10_000

    /// What the disk allows. Never waits for it.
    package var diskState: DiskState { disk.withLock { $0 } }

    func scheduleSpaceCheck() {
        queue.asyncAfter(deadline: .now() + .milliseconds(Self.spaceIntervalMilliseconds)) { [weak self] in
            guard let self, self.inbox.withLock({ !$0.isClosing && $0.failure == nil }) else { return }
            self.keepSpace()
            self.adoptWaiting()
            self.scheduleSpaceCheck()
        }
    }

    /// What an importer beside this recorder has staged.
    private func adoptWaiting() {
        do {
            let taken = try adoptOnQueue(except: refusedFolders.withLock { $0 })
            for case (let folder, .refused(let reason)) in taken.map({ ($0.folder, $0.outcome) }) {
                refusedFolders.withLock { if $0.count < Self.refusedFoldersMax { $0.insert(folder) } }
                logger.error("staged footage was refused", metadata: ["folder": "\(folder)", "reason": "\(reason)"])
            }
            if taken.contains(where: { $0.outcome == .adopted }) { listeners.withLock { $0.notify() } }
        } catch {
            logger.error("an import could not be taken over", metadata: ["error": "\(error)"])
        }
    }

    /// Looks at the disk, gives footage up where it must, and says whether there is space to record. Runs on the serial
    /// queue; a timer and every commit call it, and a simulation may.
    func keepSpace() {
        guard inbox.withLock({ $0.failure == nil && $0.lock != nil }) else { return }
        do {
            try storage.verifyInPlace()
            try keepSpaceInRounds()
        } catch let error as JournalError {
            guard case .unreadable = error else { return fail(error) }
            // Pins that cannot be read: nothing goes, because anything may be pinned.
            settle(try? storage.space(files.root), problem: "no footage is given up, because \(error)")
        } catch {
            fail(error)
        }
    }

    /// The same from any thread, after what was delivered before; waits for it.
    package func keepSpaceNow() {
        queue.sync {
            drain()
            keepSpace()
        }
    }

    /// See `ImportManifest.wantedName`. What an import that was killed has left asks for nothing.
    private func freeBytesForImport() throws -> Int64 {
        let path = files.imports.appending(ImportManifest.wantedName)
        guard let size = try storage.size(path), size <= 20, DirectoryLock.isHeld(files.imports.appending(ImportManifest.lockName)) else { return 0 }
        return Int64(String(decoding: try storage.read(path), as: UTF8.self)) ?? 0
    }

    private func keepSpaceInRounds() throws {
        let importWantsFree = try freeBytesForImport()
        for _ in 0..<Self.roundsAtOnce {
            let space = try storage.space(files.root)
            let marks = options.limits.marks(totalBytes: space.totalBytes)
            let wanted = marks.bytesToFree(availableBytes: space.availableBytes)
            let outcome = try withWriter { writer in
                try Retention(writer: writer).round(
                    bytesToFree: wanted, bytesForImport: max(0, importWantsFree - space.availableBytes), now: writer.clocks.now())
            }
            switch outcome {
            case .more: continue
            case .enough:
                settle(space, problem: nil)
                if space.availableBytes >= marks.highBytes { try withWriter { $0.ballast.restore(in: space) } }
                return
            case .nothingLeft:
                let isFull = marks.isFull(availableBytes: space.availableBytes)
                settle(space, problem: isFull ? "the disk is full and nothing on it may be given up: forward, unpin, or free space by hand" : nil)
                return
            }
        }
        settle(try storage.space(files.root), problem: nil)
        queue.async { self.keepSpace() }
    }

    /// Once full, recording waits for half the way back to the low mark, so that it does not begin and end at every check.
    private func settle(_ space: DiskSpace?, problem: String?) {
        let (before, after) = disk.withLock { disk -> (Bool, Bool) in
            let before = disk.mayRecord
            disk.space = space
            if let space {
                let marks = options.limits.marks(totalBytes: space.totalBytes)
                disk.mayRecord = space.availableBytes >= (before ? marks.reserveBytes : (marks.reserveBytes + marks.lowBytes) / 2)
            }
            disk.problem = disk.mayRecord ? problem : problem ?? "the disk is full: only its reserve for the log is left"
            return (before, disk.mayRecord)
        }
        if before, !after { logger.error("recording waits, because the disk is full", metadata: ["available_bytes": "\(space?.availableBytes ?? 0)"]) }
        if !before, after { logger.notice("there is space again: recording goes on") }
    }

    /// The file of a segment that its entry names is gone, though its folder is there: the loss becomes an entry, so that
    /// the hub learns of it.
    func noteMissing(_ id: SegmentID) {
        queue.async {
            do {
                try self.storage.verifyInPlace()
                guard try DirectoryIdentity.read(self.files, self.storage)?.node == self.options.node, try self.storage.size(self.files.sealed(id)) == nil else { return }
                try self.withWriter { writer in
                    guard let candidate = try writer.index.candidate(id) else { return }
                    try Retention(writer: writer).remove([candidate], .missing)
                }
                self.listeners.withLock { $0.notify() }
            } catch {
                self.logger.error("a missing segment could not be noted", metadata: ["segment": "\(id)", "error": "\(error)"])
            }
        }
    }
}

/// A file that holds space for the log: when the disk is full to the last block it is removed, and the entries
/// that say so can still be written.
struct Ballast {
    let path: FilePath
    let storage: any StorageIO
    let logger: Logger

    /// A 256th of the disk, 256 KiB to 8 MiB.
    static func bytes(totalBytes: Int64) -> Int64 { min(8 << 20, max(256 << 10, totalBytes / 256)) }

    /// Makes it when it is missing; a failure may be tried again.
    func restore(in space: DiskSpace) {
        do {
            let wanted = Self.bytes(totalBytes: space.totalBytes)
            guard try storage.size(path) ?? 0 < wanted else { return }
            try storage.allocate(path, bytes: wanted)
        } catch {
            logger.warning("the reserve for the log could not be made", metadata: ["error": "\(error)"])
            try? storage.remove(path)
        }
    }

    /// Gives its space to the log. False when there was none.
    func release() -> Bool {
        guard (try? storage.size(path)) ?? nil != nil, (try? storage.remove(path)) != nil else { return false }
        logger.warning("the disk is full: the log takes its reserve")
        return true
    }
}
