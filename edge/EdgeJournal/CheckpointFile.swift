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
    private(set) var positions: [Position] = []
    private(set) var last: Checkpoint?
    private let path: FilePath
    private let storage: any StorageIO
    private var length: Int64 = 0
    private var file: (any AppendingFile)?
    private var isNameDurable = false

    /// Opens the file if it is there; cuts off a torn last record. A year of one checkpoint a minute is about 160 MB on
    /// disk and 13 MB here.
    /// - Throws: `LogStore.Damage` for a whole record that is no checkpoint of this log, or out of order.
    init(_ path: FilePath, log: LogID, storage: any StorageIO) throws {
        self.path = path
        self.storage = storage
        guard var reader = try reader() else { return }
        while true {
            switch try reader.next() {
            case .checkpoint(let signed, let length):
                guard signed.checkpoint.log == log, signed.checkpoint.size > last?.size ?? 0 else {
                    throw LogStore.Damage(description: "the checkpoint of size \(signed.checkpoint.size) is out of order")
                }
                add(signed, length: length)
            case .malformed(isLast: false): throw LogStore.Damage(description: "a stored checkpoint cannot be read, after size \(last?.size ?? 0)")
            // A disk that writes blocks in any order may have the end of the last record without its middle.
            case .torn, .malformed(isLast: true):
                let file = try storage.openForAppending(path)
                try file.truncate(to: length)
                try file.sync()
                try file.close()
                return
            case .end: return
            }
        }
    }

    /// Reads the stored checkpoints from the first on; nil when there are none.
    func reader() throws -> CheckpointReader? { try CheckpointReader(path, storage: storage) }

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
            // What reached the disk is unknown: the next call opens the file again and cuts it back first. If it can be
            // cut now, a process that starts before the power fails does not find a record that was never durable.
            try? file?.close()
            file = nil
            _ = try? writable()
            throw error
        }
        add(signed, length: bytes.count)
    }

    /// The last record is taken back, and gone from the disk with the next `append`.
    func removeLast() throws {
        guard let record = positions.popLast() else { return }
        length = record.offset
        last = try positions.last.map { try read($0).checkpoint }
        try? file?.close()
        file = nil
    }

    private func writable() throws -> any AppendingFile {
        if let file { return file }
        let opened = try storage.openForAppending(path)
        if opened.length != length { try opened.truncate(to: length) }
        // Also for a file that is there: whoever made it may have died before its name was durable.
        if !isNameDurable { try storage.syncDirectory(path.removingLastComponent()) }
        isNameDurable = true
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

    func contains(size: UInt64) -> Bool {
        let index = firstIndex(above: size)
        return index > 0 && positions[index - 1].size == size
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
