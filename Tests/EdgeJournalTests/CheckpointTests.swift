import EdgeJournal
import EvidenceLog
import FoundationEssentials
import JournalFixtures
import RecordingModel
import StorageIO
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("Stored checkpoints, and an index that fails")
struct CheckpointTests {
    let bench: JournalBench
    let real = RealStorage()
    init() throws { bench = try JournalBench() }

    private func storedCheckpoints() throws -> Int {
        LogFolder.checkpoints(in: try real.read(bench.logFolder().appending(LogFolder.checkpointsName))).checkpoints.count
    }

    @Test("a hub that follows push by push makes no checkpoint be stored, and can go on after any start and key change")
    func ephemeral() throws {
        var journal = try bench.open()
        var hub = LogVerifier(node: bench.node, log: journal.logID)
        for life in 0..<3 {
            let stored = try life == 0 ? 0 : storedCheckpoints()
            for push in 0..<80 {
                try journal.deliver(try bench.gap(JournalBench.gate, milliseconds: 20))
                let signed = try journal.checkpointNow()
                while let batch = try journal.batch(from: hub.size, limitBytes: 1 << 20) {
                    _ = try hub.append(batch.lines, from: batch.start, leadingTo: batch.checkpoint)
                }
                #expect(hub.size == signed.checkpoint.size && hub.root == signed.checkpoint.root)
                #expect(try journal.frontier(at: hub.size) == hub.root)
                if push == 40 {
                    bench.clocks.advance(milliseconds: 3_600_000)
                    journal.tick()
                }
            }
            #expect(try storedCheckpoints() - stored <= 5)
            journal.close()
            bench.clocks.advance(milliseconds: 500)
            journal = try bench.open()
            #expect(try journal.frontier(at: hub.size) == hub.root)
        }
        defer { journal.close() }
        #expect(try journal.check(deep: true).findings == [])
    }

    @Test("more checkpoints than one piece of their file are read again, whole and torn")
    func manyStored() throws {
        var journal = try bench.open()
        for _ in 0..<400 {
            try journal.deliver(try bench.gap(JournalBench.gate, milliseconds: 60_000))
            try journal.flush()
            journal.tick()
        }
        let path = try bench.logFolder().appending(LogFolder.checkpointsName)
        #expect(try real.size(path) ?? 0 > 65_536 && storedCheckpoints() >= 400)
        let last = try journal.status().lastCheckpoint
        journal.close()
        #expect(try bench.reader.status().lastCheckpoint == last)
        let file = try real.openForAppending(path)
        try file.append(Array("fieldpost.node/torn".utf8))
        try file.close()
        #expect(try bench.reader.check(deep: false).findings == [.tornCheckpoint(bytes: 19)])
        #expect(try bench.reader.status().lastCheckpoint == last)
        journal = try bench.open()
        defer { journal.close() }
        #expect(try journal.check(deep: false).findings == [])
        #expect(try bench.followed(journal).count > 400)
    }

    @Test("an index whose pages are damaged is made anew at the start")
    func damagedPages() throws {
        do {
            let journal = try bench.open()
            for _ in 0..<40 { try bench.record(journal, JournalBench.gate) }
            journal.close()
        }
        let path = bench.directory.appending("index.sqlite")
        for name in ["index.sqlite-wal", "index.sqlite-shm"] { try real.remove(bench.directory.appending(name)) }
        let bytes = try real.read(path)
        try real.replace(path, with: bytes.prefix(4_096) + [UInt8](repeating: 7, count: max(0, bytes.count - 4_096)))
        let journal = try bench.open()
        defer { journal.close() }
        #expect(journal.nextSequence(for: try #require(JournalBench.gate)) == 40)
        #expect(try journal.status().segments == 40 && journal.check(deep: true).findings == [])
    }

    @Test("an index that cannot be kept on the disk at all does not keep it from recording")
    func noIndex() throws {
        do {
            let journal = try bench.open()
            try bench.record(journal, JournalBench.gate)
            journal.close()
        }
        for name in ["", "-wal", "-shm"] { try real.remove(FilePath(bench.directory.appending("index.sqlite").string + name)) }
        try real.makeDirectory(bench.directory.appending("index.sqlite"))
        let journal = try bench.open()
        defer { journal.close() }
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        #expect(try journal.status().segments == 2)
        #expect(try bench.followed(journal).compactMap(\.segment).map(\.sequence) == [0, 1])
    }

    @Test("an index that is damaged while it records is made anew from the log, and recording goes on")
    func failsAtRunTime() throws {
        var journal = try bench.open()
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        try execute("DROP TABLE entries", on: bench.directory.appending("index.sqlite"))
        for _ in 0..<3 { try bench.record(journal, JournalBench.gate) }
        try journal.recordStatement([1], held: [try #require(JournalBench.gate): SequenceRanges([0])], logSize: 4)
        try journal.flush()
        journal.tick()
        #expect(journal.failure == nil && journal.logSize == 7)
        #expect(try journal.status().segments == 4 && journal.waiting(limit: 10).map(\.record.sequence) == [1, 2, 3])
        try execute("DROP TABLE entries", on: bench.directory.appending("index.sqlite"))
        #expect(try journal.status().segments == 4, "also when a question finds it")
        #expect(try bench.followed(journal).compactMap(\.segment).count == 4)
        journal.close()
        journal = try bench.open()
        defer { journal.close() }
        #expect(try journal.status().segments == 4 && journal.waiting(limit: 10).map(\.record.sequence) == [1, 2, 3])
        #expect(try journal.check(deep: true).findings == [])
        #expect(try !real.list(bench.directory).contains("index.damaged"))
    }

    /// Through the SQLite library that the journal has loaded: this target may not import it.
    private func execute(_ sql: String, on path: FilePath) throws {
        typealias Open = @convention(c) (UnsafePointer<CChar>, UnsafeMutablePointer<OpaquePointer?>) -> Int32
        typealias Execute = @convention(c) (OpaquePointer?, UnsafePointer<CChar>, OpaquePointer?, OpaquePointer?, OpaquePointer?) -> Int32
        typealias Close = @convention(c) (OpaquePointer?) -> Int32
        let open = unsafeBitCast(try #require(dlsym(nil, "sqlite3_open")), to: Open.self)
        let execute = unsafeBitCast(try #require(dlsym(nil, "sqlite3_exec")), to: Execute.self)
        let close = unsafeBitCast(try #require(dlsym(nil, "sqlite3_close")), to: Close.self)
        var database: OpaquePointer?
        try #require(open(path.string, &database) == 0)
        defer { _ = close(database) }
        try #require(execute(database, sql, nil, nil, nil) == 0)
    }
}
