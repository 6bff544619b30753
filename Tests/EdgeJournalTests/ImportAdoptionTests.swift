import EdgeJournal
import EvidenceLog
import FoundationEssentials
import JournalFixtures
import RecordingModel
import StorageIO
import SystemPackage
import Testing

@Suite("Taking over imported footage")
struct ImportAdoptionTests {
    private static let card = CameraID("card")

    /// Stages one file of two segments as an importer does.
    private func stage(_ bench: JournalBench, _ original: String, folder: String, camera: CameraID? = card) throws -> ImportManifest {
        let camera = try #require(camera)
        let storage = RealStorage()
        let hash = ContentHash.sha256(Array(original.utf8))
        let boot = ImportRecord.bootID(of: hash)
        let target = bench.directory.appending(ImportManifest.folderName).appending(folder)
        try storage.makeDirectory(target)
        var segments: [SegmentRecord] = []
        for sequence in 0..<UInt64(2) {
            let stream = StreamID(camera: camera, kind: .main)
            let own = bench.clocks.bootID
            bench.clocks.call(boot)
            let wall = bench.clocks.now().wall
            let closed = try bench.write(stream, sequence, at: Moment(bootNanoseconds: Int64(sequence) * 6_000_000_000, wall: wall))
            bench.clocks.call(own)
            for (path, name) in [(closed.openPath, SegmentFiles.openName(sequence)), (closed.sidePath, SegmentFiles.sideName(sequence))] {
                try storage.rename(FilePath(path), to: target.appending(name))
            }
            segments.append(closed.record)
        }
        let manifest = ImportManifest(
            record: ImportRecord(
                camera: camera, bootID: boot, sequences: SequenceRanges(), originalName: original, originalBytes: 1_000, originalSHA256: hash,
                container: "mov,mp4", containerStartUnixMilliseconds: nil, timeSource: .fileName, clockOffsetMilliseconds: 0, operatorName: "amir",
                missing: nil),
            segments: segments)
        try storage.replace(target.appending(ImportManifest.fileName), with: Array(try JSONEncoder().encode(manifest)))
        return manifest
    }

    private func imports(_ entries: [LogEntry]) -> [ImportRecord] {
        entries.compactMap { if case .imported(let record) = $0.body { record } else { nil } }
    }

    @Test func `A staged file becomes segments and one import entry, and its folder goes`() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        _ = try stage(bench, "MOVI0001.avi", folder: "00000000000000aa")
        _ = try stage(bench, "MOVI0002.avi", folder: "00000000000000ab")
        let adopted = try journal.adoptImports()
        #expect(adopted.map(\.outcome) == [.adopted, .adopted])
        #expect(adopted.map { $0.record?.sequences.description } == ["0-1", "2-3"])
        #expect(imports(try bench.followed(journal)).map(\.originalName) == ["MOVI0001.avi", "MOVI0002.avi"])
        #expect(try RealStorage().list(bench.directory.appending(ImportManifest.folderName)).isEmpty)
        #expect(try journal.importedOriginals().count == 2)
        #expect(try journal.waiting(limit: 10).map(\.record.run) == [0, 0, 1, 1], "two files are two runs")
        #expect(try journal.check(deep: true).findings == [])
    }

    @Test func `The same file again, and a folder without a manifest, change nothing`() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        _ = try stage(bench, "a.mp4", folder: "00000000000000aa")
        try journal.adoptImports()
        let size = journal.logSize
        _ = try stage(bench, "a.mp4", folder: "00000000000000ac")
        try RealStorage().makeDirectory(bench.directory.appending("imports/00000000000000ad"))
        #expect(try journal.adoptImports().map(\.outcome) == [.alreadyKnown])
        #expect(journal.logSize == size)
        #expect(try RealStorage().list(bench.directory.appending("imports")) == ["00000000000000ad"], "an import under way is not touched")
    }

    @Test func `Footage for a camera that this node records is refused and stays`() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        _ = try stage(bench, "a.mp4", folder: "00000000000000aa", camera: CameraID("gate"))
        guard case .refused(let reason)? = try journal.adoptImports().first?.outcome else {
            Issue.record("it was taken")
            return
        }
        #expect(reason.contains("gate"))
        #expect(try RealStorage().size(bench.directory.appending("imports/00000000000000aa/manifest.json")) != nil)
    }

    @Test(arguments: ["{}", "not json", #"{"record":{},"segments":[]}"#])
    func `A manifest that no importer writes is refused`(text: String) throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        let folder = bench.directory.appending("imports/00000000000000aa")
        try RealStorage().makeDirectory(folder)
        try RealStorage().replace(folder.appending("manifest.json"), with: Array(text.utf8))
        guard case .refused? = try journal.adoptImports().first?.outcome else {
            Issue.record("it was taken")
            return
        }
        #expect(journal.failure == nil)
    }

    @Test(arguments: [SegmentFiles.openName(1), SegmentFiles.sideName(0)])
    func `A staged file that is gone stops no recorder: what is left is set aside`(name: String) throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        _ = try stage(bench, "a.mp4", folder: "00000000000000aa")
        _ = try stage(bench, "b.mp4", folder: "00000000000000ab")
        try RealStorage().remove(bench.directory.appending("imports/00000000000000aa").appending(name))
        let adopted = try journal.adoptImports()
        guard case .refused(let reason)? = adopted.first?.outcome else {
            Issue.record("it was taken: \(adopted)")
            return
        }
        #expect(reason.contains("00000000000000aa.refused"))
        #expect(adopted.dropFirst().map(\.outcome) == [.adopted])
        #expect(journal.failure == nil)
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        #expect(try RealStorage().list(bench.directory.appending("imports")) == ["00000000000000aa.refused"])
        #expect(try journal.check(deep: true).findings == [])
    }

    @Test func `Imported footage that only this node has is never too old, whatever the card's clock said`() throws {
        let bench = try JournalBench()
        bench.clocks.advance(milliseconds: 86_400_000)
        let limits = StorageLimits(reserveBytes: 1_000, lowBytes: 10, highBytes: 20, keepDays: 1)
        let journal = try bench.open(SmallDisk(bench.directory, totalBytes: 1_000_000), limits: limits)
        defer { journal.close() }
        let now = bench.clocks.now()
        try journal.record(ClockRecord(bootID: bench.clocks.bootID, bootMilliseconds: now.bootMilliseconds, wall: now.wall, reason: .fix))
        _ = try stage(bench, "a.mp4", folder: "00000000000000aa")
        try journal.adoptImports()
        bench.clocks.advance(milliseconds: 90 * 86_400_000)
        journal.keepSpaceNow()
        let stream = StreamID(camera: try #require(Self.card), kind: .main)
        #expect(try journal.holdings()[stream] == SequenceRanges(closed: 0...1))
        try journal.recordStatement([1], held: [stream: SequenceRanges([0])], logSize: journal.logSize)
        journal.keepSpaceNow()
        #expect(try journal.holdings()[stream] == SequenceRanges([1]), "what the hub holds goes by its age")
    }

    @Test func `What an import that broke off has left stays while one is under way`() throws {
        let bench = try JournalBench()
        try bench.open().close()
        let imports = bench.directory.appending(ImportManifest.folderName)
        let folder = imports.appending("00000000000000aa")
        try RealStorage().makeDirectory(folder)
        try RealStorage().replace(folder.appending("0.open.mp4"), with: [1])
        let lock = try DirectoryLock(imports.appending(ImportManifest.lockName), heldSentence: "")
        try withExtendedLifetime(lock) {
            try bench.open().close()
            #expect(try RealStorage().list(imports) == ["00000000000000aa", "lock"])
        }
    }

    @Test func `What an import that broke off has left is removed by the next start`() throws {
        let bench = try JournalBench()
        try bench.open().close()
        let imports = bench.directory.appending(ImportManifest.folderName)
        try RealStorage().makeDirectory(imports.appending("00000000000000aa"))
        try RealStorage().replace(imports.appending("00000000000000aa/0.open.mp4"), with: [1])
        try bench.open().close()
        #expect(try RealStorage().list(imports) == ["lock"])
    }

    @Test func `A crash at any call while taking over loses nothing and takes nothing twice`() throws {
        func attempt(_ storage: FaultyStorage) throws -> (JournalBench, ImportManifest, opened: Int) {
            let bench = try JournalBench()
            let setUp = try bench.open()
            setUp.close()
            let manifest = try stage(bench, "a.mp4", folder: "00000000000000aa")
            let journal = try bench.open(storage)
            let opened = storage.operations
            _ = try? journal.adoptImports()
            journal.close()
            return (bench, manifest, opened)
        }
        let whole = FaultyStorage()
        let opened = try attempt(whole).opened
        #expect(whole.operations > opened + 8)
        for death in (opened + 1)...whole.operations {
            let storage = FaultyStorage(diesAt: death, losesUnsynced: death.isMultiple(of: 2))
            let (bench, manifest, _) = try attempt(storage)
            let again = try bench.open()
            defer { again.close() }
            try again.adoptImports()
            let entries = try bench.followed(again)
            #expect(imports(entries).map(\.originalSHA256) == [manifest.record.originalSHA256], "call \(death)")
            #expect(imports(entries).first?.sequences.count == 2, "call \(death)")
            #expect(entries.compactMap(\.segment).map(\.sha256) == manifest.segments.map(\.sha256), "call \(death)")
            #expect(!entries.contains { $0.gap?.stream.camera == Self.card }, "call \(death)")
            #expect(try again.check(deep: true).findings == [], "call \(death)")
        }
    }
}
