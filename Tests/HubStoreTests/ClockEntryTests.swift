import EvidenceLog
import Foundation
import GRDB
import HubStore
import LogFixtures
import RecordingModel
import SyncProtocol
import Testing
import TestSupport

private let minute: Int64 = 60_000
private let hour: Int64 = 3_600_000
/// 2026-11-21T08:00:00Z
private let morning: Int64 = 1_795_248_000_000

@Suite struct ClockEntryTests {
    /// Two minutes in boot `a`, whose clock was never set; an hour of darkness; a minute in boot `b`, which NTP keeps.
    private func twoBoots() throws -> ToldLog {
        var log = try ToldLog()
        try log.tellSegment(0, boot: "a", at: 10_000, wall: ToldLog.wall(10_000, .none))
        try log.tellSegment(1, boot: "a", at: 70_000, wall: ToldLog.wall(70_000, .none))
        let gap = GapRecord(
            stream: log.stream, bootID: "a", startBootMilliseconds: 130_000, startWall: ToldLog.wall(130_000, .none), durationMilliseconds: 0, cause: .powerCut, detail: "dark")
        try log.tell(.gap(gap), in: "b", at: 5_000, wall: ToldLog.wall(morning + 5_000, .ntp))
        try log.tellSegment(2, boot: "b", at: 5_000, wall: ToldLog.wall(morning + 5_000, .ntp))
        return log
    }

    /// It ended an hour before `b` began.
    private func placeEarlier(_ log: inout ToldLog) throws {
        try log.tellClock("a", at: 130_000, ToldLog.wall(morning - hour, .ntp, 1_800_020), .earlierBoot)
    }

    @Test("A clock entry moves everything of its boot, says so, and keeps what was recorded")
    func redated() async throws {
        var log = try twoBoots()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        try log.push(store)
        try log.deliver(0, to: store)
        #expect(try await log.timeline(store, from: 0, to: 200_000).spans.map(\.state) == [.unknown, .onHub, .onlyOnNode, .unknown])
        let before = try store.report()
        #expect(before.unexplainedGapSeconds > 1e9)
        try placeEarlier(&log)
        try log.push(store)
        let timeline = try await log.timeline(store, from: morning - 2 * hour, to: morning + hour)
        let spans = timeline.spans.filter { $0.state != .unknown }
        #expect(spans.map(\.state) == [.onHub, .onlyOnNode, .notRecorded, .onlyOnNode])
        #expect(spans.map { $0.startUnixMilliseconds - morning } == [-hour - 120_000, -hour - 60_000, -hour, 5_000])
        #expect(spans.last?.endUnixMilliseconds == morning + 65_000)
        #expect(spans.map(\.isTimeCorrected) == [true, true, true, nil])
        #expect(spans[0].detail == "clock corrected by the node later (±30 min)")
        #expect(spans[2].detail == "dark; clock corrected by the node later (±30 min)" && spans[2].cause == .powerCut)
        let segment = try #require(timeline.segments.first)
        #expect(segment.record.startUnixMilliseconds == 10_000 && segment.startUnixMilliseconds == morning - hour - 120_000)
        #expect(segment.correctedUncertaintyMilliseconds == 1_800_026 && segment.isTimeCorrected)
        let found = try await store.segment(segment.record.sha256, node: log.node, camera: log.camera, within: (morning - 2 * hour)..<morning)
        #expect(found == segment)
        #expect(try await store.segment(segment.record.sha256, node: log.node, camera: log.camera, within: 0..<hour) == nil)
        #expect(try await log.timeline(store, from: 0, to: 200_000).spans.map(\.state) == [.unknown])
        let report = try store.report()
        #expect(report.verified && report.unexplainedGapSeconds == 0 && report.recordedSeconds == 180, "\(report)")
    }

    @Test("It does not matter whether the fix comes before, with or after what it moves", arguments: 0..<60)
    func anyOrder(seed: Int) async throws {
        var generator = SeededNumbers(seed: UInt64(seed))
        var tellings: [(inout ToldLog) throws -> Void] = (0..<6).map { number in
            { log in try log.tellSegment(UInt64(number), boot: number < 3 ? "a" : "c", at: Int64(number) * minute, wall: ToldLog.wall(Int64(number) * minute, .rtc), writtenIn: "b") }
        }
        tellings += [
            { log in try log.tellClock("a", at: 3 * minute, ToldLog.wall(morning, .ntp)) },
            { log in try log.tellClock("c", at: 6 * minute, ToldLog.wall(morning + hour, .hub)) },
            { log in
                try log.tell(.event(EventRecord(
                    camera: log.camera, source: .motion, bootID: "a", startBootMilliseconds: minute, startWall: ToldLog.wall(minute, .rtc), durationMilliseconds: 1_000, score: 70,
                    label: "yard")))
            },
        ]
        tellings.shuffle(using: &generator)
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        for tell in tellings {
            try tell(&log)
            if Bool.random(using: &generator) { try log.push(store) }
        }
        try log.push(store)
        let timeline = try await log.timeline(store, from: morning - hour, to: morning + 2 * hour)
        let known = timeline.spans.filter { $0.state != .unknown }
        #expect(known.map { [$0.startUnixMilliseconds - morning, $0.endUnixMilliseconds - morning] } == [[-3 * minute, 0], [hour - 3 * minute, hour]], "seed \(seed)")
        #expect(timeline.events.map { $0.startUnixMilliseconds - morning } == [-2 * minute], "seed \(seed)")
        #expect(timeline.events.first?.isTimeCorrected == true)
        #expect(try await store.nodeSummary(log.node)?.cameras.first?.newestUnixMilliseconds == morning + hour, "seed \(seed)")
    }

    @Test("A camera that was in 2099 for a while is not its newest for ever")
    func wrongNewest() async throws {
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        try log.tellSegment(0, boot: "a", at: 0, wall: ToldLog.wall(4_070_908_800_000, .rtc))
        try log.push(store)
        try log.deliver(0, to: store)
        #expect(try await store.nodeSummary(log.node)?.cameras.first?.newestOnHubUnixMilliseconds == 4_070_908_860_000)
        try log.tellClock("a", at: minute, ToldLog.wall(morning, .ntp), .step, in: "a")
        try log.push(store)
        let camera = try #require(try await store.nodeSummary(log.node)?.cameras.first)
        #expect(camera.newestUnixMilliseconds == morning && camera.newestOnHubUnixMilliseconds == morning)
    }

    @Test("One node's clock entries move nothing of another's")
    func ownBootsOnly() async throws {
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        var log = try ToldLog()
        try log.tellSegment(0, boot: "a", at: 0, wall: ToldLog.wall(morning, .rtc))
        try log.push(store)
        try store.addJoinToken(secretHash: .sha256([8]), name: "other", expiresUnixSeconds: ToldLog.now / 1000 + 60)
        let other = try PushedNode()
        guard case .enrolled = try store.enrol(other.node, secretHash: .sha256([8]), nowUnixMilliseconds: ToldLog.now) else { Issue.record("joining"); return }
        var foreign = try SampleLog(seed: 2, identity: other.sample.identity)
        try foreign.append(.clock(ClockRecord(bootID: "a", bootMilliseconds: 0, wall: ToldLog.wall(0, .gps), reason: .fix)))
        let signed = try foreign.seal()
        _ = try store.hello(
            HelloRequest(
                session: 1, status: NodeStatus(software: "test", bootID: "b", uptimeMilliseconds: 1, clock: ToldLog.wall(0, .none), disk: nil, cameras: []),
                log: foreign.log, logSize: signed.checkpoint.size, checkpoint: signed, holdings: [], backlog: Backlog(), statementLogSize: nil, statementGeneration: nil),
            from: other.node, nowUnixMilliseconds: ToldLog.now)
        var machine = HubPushMachine(verifier: try store.verifier(other.node, foreign.log))
        let (lines, start, checkpoint) = foreign.batch(0)
        guard case .storeEntries(let batch, let entries, let verifier) = try machine.receive(.entries(try EntryBatch(start: start, lines: lines, checkpoint: checkpoint).encoded()), state: { _ in nil })
        else { Issue.record("a batch was not taken"); return }
        try store.storeEntries(batch, entries: entries, verifier: verifier, nowUnixMilliseconds: ToldLog.now)
        #expect(try await log.timeline(store, from: morning, to: morning + minute).spans.map(\.state) == [.onlyOnNode])
    }

    @Test("A boot of 4,000 segments is re-dated within seconds")
    func longBoot() async throws {
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        for number in 0..<UInt64(4_000) { try log.tellSegment(number, boot: "a", at: Int64(number) * minute, wall: ToldLog.wall(Int64(number) * minute, .none)) }
        try log.push(store)
        try log.tellClock("a", at: 0, ToldLog.wall(morning, .ntp))
        let began = ContinuousClock.now
        try log.push(store)
        #expect(ContinuousClock.now - began < .seconds(6))
        #expect(try await log.timeline(store, from: morning, to: morning + minute).spans.map(\.state) == [.onlyOnNode])
    }
}

@Suite struct OtherEntryTests {
    @Test("What the node overwrote is lost with the reason and no backlog, until a stick brings it after all; released footage stays")
    func removals() async throws {
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        for number in 0..<UInt64(5) { try log.tellSegment(number, boot: "a", at: Int64(number) * minute, wall: ToldLog.wall(morning + Int64(number) * minute, .ntp)) }
        try log.push(store)
        try log.deliver(0, to: store)
        try log.tellRemoval("0", .space, released: true)
        try log.tellRemoval("1-2", .space)
        try log.tellRemoval("3,900-9007199254740000", .missing)
        try log.push(store)
        func spans() async throws -> [TimelineSpan] { try await log.timeline(store, from: morning, to: morning + 5 * minute).spans }
        #expect(try await spans().map(\.state) == [.onHub, .lost, .onlyOnNode])
        #expect(try await spans()[1].detail == "overwritten at the node before it was forwarded")
        #expect(try await store.nodeSummary(log.node)?.onlyOnNode.segments == 1)
        try log.deliver(2, to: store)
        #expect(try await spans().map(\.state) == [.onHub, .lost, .onHub, .lost, .onlyOnNode])
        #expect(try await spans()[3].detail == "its file was missing at the node")
        #expect(try await store.nodeSummary(log.node)?.onHub.segments == 2)
        let report = try store.report()
        #expect(report.verified && report.unexplainedGapSeconds == 0 && report.segmentsKnown == 5)
    }

    @Test("Footage from cards says whose it is, and the months between two files are nobody's hole")
    func imports() async throws {
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        for (number, start) in [Int64(0), 90 * 24 * hour].enumerated() {
            let original = ContentHash.sha256([UInt8(number)])
            let boot = ImportRecord.bootID(of: original)
            try log.tellSegment(UInt64(number), boot: boot, at: 0, wall: ToldLog.wall(morning + start, .none), writtenIn: "b")
            try log.tell(.imported(ImportRecord(
                camera: log.camera, bootID: boot, sequences: SequenceRanges([UInt64(number)]), originalName: "CLIP\(number).MP4", originalBytes: 100, originalSHA256: original,
                container: "mov,mp4", containerStartUnixMilliseconds: nil, timeSource: .fileName, clockOffsetMilliseconds: 0, operatorName: "Anna", missing: nil)))
        }
        try log.push(store)
        let timeline = try await log.timeline(store, from: morning, to: morning + hour)
        #expect(timeline.imports.map(\.record.originalName) == ["CLIP0.MP4"])
        #expect(timeline.imports.first?.endUnixMilliseconds == morning + minute)
        #expect(try store.report().unexplainedGapSeconds == 0)
        // A correction moves them like any other boot.
        try log.tellClock(ImportRecord.bootID(of: .sha256([1])), at: 0, ToldLog.wall(morning + 30 * minute, .ntp))
        try log.push(store)
        #expect(try await log.timeline(store, from: morning, to: morning + hour).imports.map(\.record.originalName) == ["CLIP0.MP4", "CLIP1.MP4"])
    }

    @Test("A flood of events is cut in the answer")
    func manyEvents() async throws {
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        try log.tellSegment(0, boot: "a", at: 0, wall: ToldLog.wall(morning, .ntp))
        for number in 0..<Int64(1_100) {
            try log.tell(.event(EventRecord(
                camera: log.camera, source: .webhook, bootID: "a", startBootMilliseconds: number * 10, startWall: ToldLog.wall(morning + number * 10, .ntp), durationMilliseconds: 0,
                score: 100, label: "door")))
        }
        try log.push(store)
        let timeline = try await log.timeline(store, from: morning, to: morning + minute)
        #expect(timeline.events.count == CameraTimeline.listMax && timeline.events.first?.startUnixMilliseconds == morning)
        #expect(timeline.events.first?.isTimeCorrected == nil)
    }

    /// The catalogue as the version before this one made it.
    private static let oldSchema = """
        CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
        INSERT INTO grdb_migrations VALUES ('store-1');
        CREATE TABLE nodes (
            id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL, enrolled_ms INTEGER NOT NULL,
            session INTEGER NOT NULL DEFAULT 0, current_log TEXT, last_contact_ms INTEGER, status TEXT, clock_offset_ms INTEGER,
            held_segments INTEGER NOT NULL DEFAULT 0, held_bytes INTEGER NOT NULL DEFAULT 0, held_ms INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
        CREATE TABLE join_tokens (secret_hash TEXT PRIMARY KEY, name TEXT NOT NULL, expires_s INTEGER NOT NULL, used_by TEXT, used_ms INTEGER) WITHOUT ROWID;
        CREATE TABLE logs (
            node TEXT NOT NULL, log TEXT NOT NULL, verifier TEXT NOT NULL, entry_bytes INTEGER NOT NULL, checkpoint_bytes INTEGER NOT NULL,
            PRIMARY KEY (node, log)
        ) WITHOUT ROWID;
        CREATE TABLE forks (node TEXT NOT NULL, log TEXT NOT NULL, seen_ms INTEGER NOT NULL, checkpoint TEXT NOT NULL);
        CREATE TABLE segments (
            node TEXT NOT NULL, log TEXT NOT NULL, camera TEXT NOT NULL, kind TEXT NOT NULL, sequence INTEGER NOT NULL,
            log_index INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, bytes INTEGER NOT NULL,
            sha256 TEXT NOT NULL, held INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL,
            PRIMARY KEY (node, log, camera, kind, sequence)
        ) WITHOUT ROWID;
        CREATE INDEX segments_by_time ON segments (node, camera, kind, end_ms);
        CREATE INDEX segments_by_hash ON segments (sha256);
        CREATE INDEX segments_by_sequence ON segments (node, camera, kind, sequence);
        CREATE TABLE cameras (
            node TEXT NOT NULL, camera TEXT NOT NULL, newest_ms INTEGER NOT NULL, newest_held_ms INTEGER, PRIMARY KEY (node, camera)
        ) WITHOUT ROWID;
        CREATE INDEX segments_missing ON segments (node, bytes) WHERE held = 0;
        CREATE TABLE gaps (
            node TEXT NOT NULL, log TEXT NOT NULL, log_index INTEGER NOT NULL, camera TEXT NOT NULL, kind TEXT NOT NULL,
            start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, cause TEXT NOT NULL, detail TEXT NOT NULL,
            PRIMARY KEY (node, log, log_index)
        ) WITHOUT ROWID;
        CREATE INDEX gaps_by_time ON gaps (node, camera, kind, end_ms);
        INSERT INTO nodes SELECT * FROM new.nodes;
        INSERT INTO logs SELECT node, log, verifier, entry_bytes, checkpoint_bytes FROM new.logs;
        INSERT INTO segments SELECT node, log, camera, kind, sequence, log_index, recorded_start_ms, recorded_start_ms + end_boot_ms - start_boot_ms, bytes, sha256, held, record
            FROM new.segments;
        INSERT INTO gaps SELECT node, log, log_index, camera, kind, recorded_start_ms, recorded_start_ms + end_boot_ms - start_boot_ms, cause, detail FROM new.gaps;
        INSERT INTO cameras SELECT node, camera, 4070908800000, NULL FROM new.cameras;
        """

    @Test("A hub of the version before takes up everything that it had passed over in its logs")
    func migrated() async throws {
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        try log.tellSegment(0, boot: "a", at: 0, wall: ToldLog.wall(0, .none))
        try log.tellSegment(1, boot: "a", at: minute, wall: ToldLog.wall(minute, .none))
        try log.tell(.gap(GapRecord(
            stream: log.stream, bootID: "a", startBootMilliseconds: 2 * minute, startWall: ToldLog.wall(2 * minute, .none), durationMilliseconds: minute, cause: .cameraLost, detail: "gone")), in: "a")
        try log.tell(.event(EventRecord(
            camera: log.camera, source: .onvif, bootID: "a", startBootMilliseconds: minute, startWall: ToldLog.wall(minute, .none), durationMilliseconds: 5_000, score: 50, label: "line")))
        try log.tellRemoval("1", .age)
        try log.tellClock("a", at: 0, ToldLog.wall(morning, .ntp))
        try log.push(store)
        try log.deliver(0, to: store)
        let expected = try await log.timeline(store, from: morning - hour, to: morning + hour)
        #expect(expected.spans.map(\.state) == [.unknown, .onHub, .lost, .notRecorded, .unknown] && expected.events.count == 1)

        let old = try StoreFolder(ofSameHubAs: folder)
        for name in ["logs", "blobs"] { try FileManager.default.copyItem(atPath: folder.directory.path(name), toPath: old.directory.path(name)) }
        // There was a second level of folders.
        let blobs = files(under: old.directory.path("blobs")).map { URL(filePath: $0) }
        for blob in blobs {
            let deeper = blob.deletingLastPathComponent().appending(path: String(blob.lastPathComponent.dropFirst(2).prefix(2)))
            try FileManager.default.createDirectory(at: deeper, withIntermediateDirectories: false)
            try FileManager.default.moveItem(at: blob, to: deeper.appending(path: blob.lastPathComponent))
        }
        let database = try DatabaseQueue(path: old.directory.path("catalogue.sqlite"))
        try await database.writeWithoutTransaction { [from = folder.directory.path("catalogue.sqlite")] db in
            try db.execute(sql: "ATTACH DATABASE ? AS new", arguments: [from])
            try db.execute(sql: Self.oldSchema)
        }
        try database.close()
        let migrated = try old.open()
        #expect(try await log.timeline(migrated, from: morning - hour, to: morning + hour) == expected)
        #expect(try await migrated.nodeSummary(log.node)?.cameras.first?.newestUnixMilliseconds == morning + 2 * minute)
        #expect(!blobs.isEmpty && files(under: old.directory.path("blobs")).sorted() == blobs.map(\.path).sorted())
        let report = try migrated.report()
        #expect(report.verified && report.recordedSeconds == 120 && report.unexplainedGapSeconds == 0, "\(report)")
        // And it goes on.
        try log.tellSegment(2, boot: "a", at: 3 * minute, wall: ToldLog.wall(3 * minute, .none))
        try log.push(migrated)
        #expect(try await log.timeline(migrated, from: morning + 3 * minute, to: morning + 4 * minute).spans.map(\.isTimeCorrected) == [true])
    }
}
