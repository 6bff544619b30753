import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

/// The stored checkpoints of a log being written: a file that only grows, and where each one lies in it.
/// Owned by the thread that owns the log.
final class CheckpointFile {
    struct Position: Hashable {
        var size: UInt64
        var offset: Int64
        var length: Int
    }
    /// What opening found, for the scan of the log to compare with; dropped afterwards.
    private(set) var opened: [Checkpoint] = []
    private(set) var positions: [Position] = []
    private(set) var last: Checkpoint?
    private let path: FilePath
    private let storage: any StorageIO
    private var length: Int64 = 0
    private var file: (any AppendingFile)?

    /// A year of one checkpoint a minute is about 160 MB.
    static let byteLimit = 1 << 30

    /// Opens the file if it is there; cuts off a torn last record.
    /// - Throws: `LogStore.Damage` for a whole record that is no checkpoint of this log, or out of order.
    init(_ path: FilePath, log: LogID, storage: any StorageIO) throws {
        self.path = path
        self.storage = storage
        guard try storage.size(path) != nil else { return }
        let bytes = try storage.read(path, limitBytes: Self.byteLimit)
        var isReading = true
        while isReading {
            switch LogFolder.checkpoint(in: bytes, at: Int(length)) {
            case .checkpoint(let signed, let end):
                guard signed.checkpoint.log == log, signed.checkpoint.size > last?.size ?? 0 else {
                    throw LogStore.Damage(description: "the checkpoint of size \(signed.checkpoint.size) is out of order")
                }
                opened.append(signed.checkpoint)
                add(signed, length: end - Int(length))
            case .malformed: throw LogStore.Damage(description: "a stored checkpoint cannot be read, after size \(last?.size ?? 0)")
            case .torn:
                let file = try storage.openForAppending(path)
                try file.truncate(to: length)
                try file.sync()
                try file.close()
                isReading = false
            case .end: isReading = false
            }
        }
    }

    func forgetRoots() { opened = [] }

    private func add(_ signed: SignedCheckpoint, length: Int) {
        positions.append(Position(size: signed.checkpoint.size, offset: self.length, length: length))
        last = signed.checkpoint
        self.length += Int64(length)
    }

    /// Stores a checkpoint durably.
    /// - Precondition: its size is above that of the last one.
    func append(_ signed: SignedCheckpoint) throws {
        let bytes = LogFolder.encode(signed)
        do {
            let file = try writable()
            try file.append(bytes)
            try file.sync()
        } catch {
            // What reached the disk is unknown: the next call opens the file again and cuts it back first.
            try? file?.close()
            file = nil
            throw error
        }
        add(signed, length: bytes.count)
    }

    private func writable() throws -> any AppendingFile {
        if let file { return file }
        let isNew = try storage.size(path) == nil
        let opened = try storage.openForAppending(path)
        if opened.length != length { try opened.truncate(to: length) }
        if isNew { try storage.syncDirectory(path.removingLastComponent()) }
        file = opened
        return opened
    }

    func read(_ position: Position) throws -> SignedCheckpoint {
        let bytes = try storage.openForReading(path).read(at: position.offset, count: position.length)
        guard case .checkpoint(let signed, _) = LogFolder.checkpoint(in: bytes, at: 0) else {
            throw LogStore.Damage(description: "the stored checkpoint of size \(position.size) cannot be read")
        }
        return signed
    }

    func position(size: UInt64) -> Position? {
        let index = firstIndex(above: size == 0 ? 0 : size - 1)
        return index < positions.count && positions[index].size == size ? positions[index] : nil
    }

    /// Index in `positions` of the first checkpoint whose size is above this one.
    func firstIndex(above size: UInt64) -> Int {
        var low = 0
        var high = positions.count
        while low < high {
            let middle = (low + high) / 2
            if positions[middle].size <= size { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
