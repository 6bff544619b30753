import Crypto
import EvidenceLog
import FoundationEssentials
import LogFixtures
import RecordingModel
import SyncProtocol

/// A site whose node says what nodes say: entries of every kind, hellos, and the hub's answers, made by the programs' own types.
/// The same seed makes the same bytes (signatures aside, which are random on some machines). What differs from node to node
/// (names, keys, hashes, times) differs from seed to seed, so that a dictionary learns none of it.
struct SampleSite {
    private var numbers: SeededNumbers
    private let cameras: [(id: CameraID, codecs: String, width: Int, height: Int, bytes: Int64, initHash: ContentHash)]
    private let boot: String
    private let config: String
    private let log: LogID
    private let hub: HubID
    private let node: NodeID
    private let signer: NoteSigner
    private let hubSigner: NoteSigner
    private let source: (ClockSource, Int64)
    private var bootMilliseconds: Int64
    private let wallOffset: Int64
    private var next: [StreamID: UInt64] = [:]
    private var logSize: UInt64

    init(seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let names = ["gate", "yard", "door", "north", "ramp", "pass", "cam1", "cam2", "front", "well", "tower", "a"].shuffled(using: &numbers)
        let kinds: [(String, Int, Int, Int64)] = [
            ("avc1.42c01e", 640, 360, 420_000), ("avc1.4d401f", 1280, 720, 1_900_000), ("avc1.640028", 1920, 1080, 7_400_000), ("hvc1.1.6.L93.90", 1280, 720, 900_000),
            ("hvc1.1.6.L120.90", 1920, 1080, 3_600_000), ("avc1.640028,mp4a.40.2", 1920, 1080, 7_600_000),
        ]
        cameras = try (0..<Int.random(in: 1...4, using: &numbers)).map { place in
            let kind = kinds[Int.random(in: 0..<kinds.count, using: &numbers)]
            return (try CameraID(names[place]).orThrow("a camera"), kind.0, kind.1, kind.2, kind.3, Self.hash(&numbers))
        }
        boot = Self.uuid(&numbers)
        config = String(Self.hash(&numbers).hex.prefix(12))
        log = try LogID(String(Self.hash(&numbers).hex.prefix(32))).orThrow("a log")
        hub = HubID(keyHash: Self.hash(&numbers))
        node = NodeID(keyHash: Self.hash(&numbers))
        signer = try NoteSigner(name: log.origin, algorithm: .ed25519, privateKeyBytes: Self.hash(&numbers).bytes).orThrow("a signer")
        hubSigner = try NoteSigner(name: "fieldpost.hub/\(hub)", algorithm: .cosignature, privateKeyBytes: Self.hash(&numbers).bytes).orThrow("a signer")
        source = [(.rtc, 60_000), (.ntp, Int64.random(in: 2...80, using: &numbers)), (.gps, 1), (.hub, Int64.random(in: 50...900, using: &numbers))].randomElement(using: &numbers) ?? (.none, 0)
        bootMilliseconds = Int64.random(in: 5_000...900_000_000, using: &numbers)
        wallOffset = 1_760_000_000_000 + Int64.random(in: 0...90_000_000_000, using: &numbers)
        logSize = UInt64.random(in: 1...200_000, using: &numbers)
        self.numbers = numbers
    }

    // MARK: Values

    private static func hash(_ numbers: inout SeededNumbers) -> ContentHash { .sha256((0..<16).map { _ in UInt8.random(in: .min ... .max, using: &numbers) }) }
    private mutating func hash() -> ContentHash { Self.hash(&numbers) }
    private static func uuid(_ numbers: inout SeededNumbers) -> String {
        let hex = Array(hash(&numbers).hex)
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(hex[$0]) }.joined(separator: "-")
    }
    private mutating func pick<Value>(_ values: [Value]) -> Value { values[Int.random(in: 0..<values.count, using: &numbers)] }
    private mutating func number(_ range: ClosedRange<Int64>) -> Int64 { .random(in: range, using: &numbers) }
    private mutating func tenths(_ range: ClosedRange<Int64>) -> Double { Double(number(range)) / 10 }

    private func wall(_ milliseconds: Int64) -> WallEstimate { WallEstimate(unixMilliseconds: wallOffset + milliseconds, source: source.0, uncertaintyMilliseconds: source.1) }
    private mutating func sequence(_ stream: StreamID) -> UInt64 {
        let value = next[stream] ?? UInt64(number(0...90_000))
        next[stream] = value + 1
        return value
    }

    // MARK: Entries

    private mutating func segment(_ kind: StreamKind) -> SegmentRecord {
        let camera = pick(cameras)
        let stream = StreamID(camera: camera.id, kind: kind)
        let sequence = sequence(stream)
        let isThumbnails = kind == .thumbs
        let seconds: Int64 = isThumbnails ? 3_600 : pick([10, 60, 60, 60])
        let rate: Int64 = isThumbnails ? 0 : pick([10, 12, 15, 25, 25])
        let milliseconds = seconds * 1_000 + number(-40...40)
        let main = SequenceRanges(closed: sequence...(isThumbnails ? sequence + 60 : sequence))
        var made: MadeRecord?
        if isThumbnails { made = MadeRecord(kind: .thumbnails, encoder: "mjpeg, libavcodec 59.37.100", settings: "every 30 s and at events, at most 8192 bytes", sources: main, sourceSHA256: hash()) }
        if kind == .proxy {
            made = MadeRecord(
                kind: .transcoded, encoder: pick(["libx264, libavcodec 59.37.100", "h264_v4l2m2m, libavcodec 59.37.100"]),
                settings: "\(number(64...150) * 1_000) bit/s, longer side 480 px at most, 15 pictures/s at most, a key frame in 4 s at least, preset=veryfast profile=baseline", sources: main, sourceSHA256: hash())
        }
        return SegmentRecord(
            stream: stream, sequence: sequence, run: UInt64(number(0...9)), bootID: boot, startBootMilliseconds: bootMilliseconds - milliseconds, endBootMilliseconds: bootMilliseconds,
            startWall: wall(bootMilliseconds - milliseconds), bytes: isThumbnails ? number(300_000...900_000) : camera.bytes * seconds / 60 * number(70...130) / 100, sha256: hash(),
            fragmentRoot: hash(), fragmentCount: isThumbnails ? 120 : Int(seconds / 2), initBytes: number(560...860), initSHA256: kind == .main ? camera.initHash : hash(),
            codecs: isThumbnails ? "jpeg" : kind == .proxy ? "avc1.42c01e" : camera.codecs, widthPixels: kind == .main ? camera.width : 480, heightPixels: kind == .main ? camera.height : 270,
            mediaStartTicks90k: isThumbnails ? 0 : Int64(sequence) * seconds * 90_000, mediaDurationTicks90k: seconds * 90_000, frames: isThumbnails ? 120 : Int(seconds * rate), drops: 0,
            end: pick([.length, .length, .length, .length, .length, .length, .stopped, .cameraLost, .eventOver, .power, .powerCut]), configVersion: config,
            isKeyFramesOnly: number(0...30) == 0 ? true : nil, made: made)
    }

    private mutating func gap() -> GapRecord {
        let (cause, detail): (GapCause, String) = pick([
            (.starting, "the recorder started and waits for the camera's first key frame"), (.stopped, "the recorder was stopped"), (.powerCut, "the node lost power or its process was killed"),
            (.cameraUnreachable, "Connection refused (no RTSP answer)"), (.cameraUnreachable, "No route to host"), (.cameraSilent, "no packet for 10 s"), (.cameraLost, "the camera closed the connection"),
            (.schedule, "the configured hours leave this time out"), (.noEvent, "there was no event"), (.power, "Reduced: \(number(20...60)) % battery"),
            (.diskFull, "the disk is full, and nothing may be given up"),
        ])
        let milliseconds = number(3...900_000)
        return GapRecord(
            stream: StreamID(camera: pick(cameras).id, kind: .main), bootID: boot, startBootMilliseconds: bootMilliseconds - milliseconds, startWall: wall(bootMilliseconds - milliseconds),
            durationMilliseconds: milliseconds, cause: cause, detail: detail)
    }

    private mutating func estimate() -> EnergyEstimate {
        let (basis, confidence): (String, PowerConfidence) = pick([("shunt", .high), ("gauge", .high), ("counted", .medium), ("voltage", .low)])
        return EnergyEstimate(
            bootMilliseconds: bootMilliseconds, batteryPercent: tenths(100...1000), batteryConfidence: confidence, batteryBasis: basis, batteryVolts: tenths(118...144),
            batteryWatts: tenths(-90...300), batteryCelsius: tenths(-150...380), panelWatts: tenths(0...600), loadWatts: tenths(35...90), secondsToEmpty: pick([nil, Double(number(9_000...400_000))]))
    }

    private mutating func power() -> PowerRecord {
        let (from, state): (PowerState, PowerState) = pick([(.full, .reduced), (.reduced, .full), (.reduced, .sparse), (.sparse, .reduced), (.full, .surplus), (.surplus, .full), (.sparse, .hibernate), (.hibernate, .sparse)])
        let weather = pick(["", ", \(number(40...100)) % of a clear sky expected", ", cloudy days expected (\(number(5...39)) % of a clear sky)"])
        return PowerRecord(
            from: from, state: state, reason: "\(state.word): \(number(10...100)) % battery\(weather)\(pick(["", ", the plan saves for later", ", the plan affords more"]))", estimate: estimate(),
            darkUntilUnixMilliseconds: state == .hibernate ? wallOffset + bootMilliseconds + 30_000_000 : nil)
    }

    private mutating func removal() -> RemovalRecord {
        let stream = StreamID(camera: pick(cameras).id, kind: pick([.main, .main, .proxy, .thumbs]))
        let first = UInt64(number(0...80_000))
        return RemovalRecord(
            stream: stream, sequences: SequenceRanges(closed: first...first + UInt64(number(0...40))), bytes: number(400_000...90_000_000), durationMilliseconds: number(10...2_400) * 1_000,
            reason: pick([.space, .space, .age, .missing]))
    }

    private mutating func body() throws -> EntryBody {
        switch number(0...99) {
        case 0..<52: return .segment(segment(.main))
        case 52..<60: return .segment(segment(.proxy))
        case 60..<66: return .segment(segment(.thumbs))
        case 66..<72: return .gap(gap())
        case 72..<79:
            let (kind, label): (EventRecord.Source, String) = pick([(.motion, "gate zone"), (.motion, "whole picture"), (.onvif, "tns1:RuleEngine/CellMotionDetector/Motion"), (.onvif, "tns1:VideoSource/MotionAlarm"), (.webhook, "person"), (.manual, "seen by the crew")])
            return .event(EventRecord(
                camera: pick(cameras).id, source: kind, bootID: boot, startBootMilliseconds: bootMilliseconds - 9_000, startWall: wall(bootMilliseconds - 9_000), durationMilliseconds: number(900...60_000),
                score: Int(number(5...100)), label: label))
        case 79..<84: return .power(power())
        case 84..<88: return .released(removal())
        case 88..<90: return .evicted(removal())
        case 90..<92: return .clock(ClockRecord(bootID: boot, bootMilliseconds: bootMilliseconds, wall: wall(bootMilliseconds), reason: pick([.fix, .drift, .step, .earlierBoot])))
        case 92..<94: return .boot(BootRecord(software: "fieldpost-edge 0.1", previousStopWasClean: pick([true, false])))
        case 94..<96: return .config(ConfigRecord(version: config, cameras: cameras.map(\.id)))
        case 96: return .recovered(RecoveredRecord(segment: SegmentID(stream: StreamID(camera: pick(cameras).id, kind: .main), sequence: UInt64(number(0...9_000))), keptBytes: number(9_000...900_000), lostBytes: number(0...9_000), sealed: true))
        case 97:
            let name = hash()
            return .imported(ImportRecord(
                camera: pick(cameras).id, bootID: "import-\(name.hex.prefix(32))", sequences: SequenceRanges(closed: 0...3), originalName: pick(["GX010042.MP4", "cut.avi", "VID_20260714_093012.mp4"]), originalBytes: number(90_000...900_000_000),
                originalSHA256: name, container: pick(["mov,mp4", "avi", "mpegts", "matroska,webm"]), containerStartUnixMilliseconds: pick([nil, wallOffset]), timeSource: pick([.container, .fileName, .fileModified]),
                clockOffsetMilliseconds: 0, operatorName: pick(["me", "crew"]), missing: pick([nil, "sound left out", "the file breaks off after 2.8 s"])))
        default:
            let key = try NoteSigner(name: log.origin, algorithm: .ed25519, privateKeyBytes: hash().bytes).orThrow("a key").verifier.text
            // The forms of a P-256 public key and a signature in DER, of which only the beginnings are always the same.
            let identity = [0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04] + hash().bytes + hash().bytes
            let signature = [0x30, 0x45, 0x02, 0x20] + hash().bytes + [0x02, 0x21, 0x00] + hash().bytes
            return .key(KeyRecord(epoch: UInt64(number(0...900)), key: key, attestation: number(0...3) == 0 ? .init(identityKey: Data(identity), signature: Data(signature)) : nil))
        }
    }

    private mutating func line(_ body: EntryBody? = nil) throws -> [UInt8] {
        bootMilliseconds += number(40...20_000)
        return try LogEntry(bootID: boot, at: Moment(bootNanoseconds: bootMilliseconds * 1_000_000, wall: wall(bootMilliseconds)), body: body ?? self.body()).encoded()
    }

    /// The next entries, and the checkpoint they lead to.
    /// - Parameter isFootageOnly: segments of cameras and nothing else, as in a quiet hour
    mutating func batch(_ count: Int, isFootageOnly: Bool = false) throws -> EntryBatch {
        let start = logSize
        let lines = try (0..<count).map { _ in try line(isFootageOnly ? .segment(segment(.main)) : nil) }
        logSize += UInt64(count)
        return EntryBatch(start: start, lines: lines, checkpoint: try SignedCheckpoint(Checkpoint(log: log, size: logSize, root: hash()), signer: signer))
    }

    // MARK: Messages

    private mutating func streams() -> [StreamHoldings] {
        cameras.flatMap { camera in
            StreamKind.allCases.map { kind in
                let first = UInt64(number(0...2_000))
                return StreamHoldings(stream: StreamID(camera: camera.id, kind: kind), sequences: SequenceRanges(closed: first...first + UInt64(number(1...80_000))))
            }
        }
    }

    mutating func status() -> NodeStatus {
        let health = cameras.map { camera in
            CameraHealth(
                camera: camera.id, state: pick([.recording, .recording, .recording, .standby, .connecting, .waiting]), sinceBootMilliseconds: number(900...4_000_000), lastError: pick([nil, nil, nil, "Connection refused (no RTSP answer)"]),
                packets: UInt64(number(900...90_000_000)), drops: 0, bytes: UInt64(number(900_000...90_000_000_000)), connects: UInt64(number(1...40)))
        }
        var inputs = SyncReport.Inputs(now: wall(bootMilliseconds))
        let now = wallOffset + bootMilliseconds
        inputs.contacts = (1...4).map { ContactRecord(startUnixMilliseconds: now - $0 * 3_600_000, endUnixMilliseconds: now - $0 * 3_600_000 + 60_000, connectedMilliseconds: 60_000, busyMilliseconds: number(5_000...50_000), acknowledgedBytes: number(90_000...90_000_000)) }
        inputs.observedSinceUnixMilliseconds = now - 500_000_000
        inputs.backlog = SyncReport.FootageClass.allCases.map { .init(footageClass: $0, segments: Int(number(1...9_000)), bytes: number(90_000...90_000_000_000), durationMilliseconds: number(60_000...900_000_000), oldestUnixMilliseconds: now - number(60_000...900_000_000)) }
        inputs.recorded = .init(bytes: number(90_000_000...900_000_000_000), milliseconds: number(90_000_000...900_000_000))
        inputs.disk = .init(availableBytes: number(9_000_000...900_000_000_000), lowMarkBytes: 4_000_000_000, releasableBytes: number(0...90_000_000_000))
        inputs.statement = .init(logSize: logSize, generation: 1, issuedUnixMilliseconds: now - number(1_000...90_000))
        let state: PowerState = pick([.surplus, .full, .reduced, .sparse])
        let power = PowerReport(
            state: state, sinceUnixMilliseconds: now - number(1_000...90_000_000), reason: "\(state.word): \(number(20...100)) % battery, \(number(20...100)) % of a clear sky expected", estimate: estimate(), readingAgeMilliseconds: number(10...20_000),
            forecastPercentAtSunrise: tenths(100...1000), nextSunriseUnixMilliseconds: now + number(900_000...50_000_000), hoursToHibernation: tenths(20...2_000))
        return NodeStatus(
            software: "fieldpost-edge 0.1", site: pick([nil, "Pass", "Ridge north", "River 4"]), bootID: boot, uptimeMilliseconds: bootMilliseconds, clock: wall(bootMilliseconds),
            disk: .init(totalBytes: number(30...2_000) * 1_000_000_000, availableBytes: number(9_000_000...900_000_000_000)), cameras: health, nextContactUnixMilliseconds: pick([nil, now + 900_000]),
            sync: pick([true, false]) ? SyncReport(inputs) : nil, power: pick([true, false]) ? power : nil)
    }

    mutating func hello() throws -> HelloRequest {
        bootMilliseconds += 30_000
        let checkpoint = try SignedCheckpoint(Checkpoint(log: log, size: logSize, root: hash()), signer: signer)
        return HelloRequest(
            session: UInt64(wallOffset + bootMilliseconds), status: status(), log: log, logSize: logSize, checkpoint: checkpoint, holdings: streams(),
            backlog: Backlog(segments: Int(number(0...9_000)), bytes: number(0...90_000_000_000), durationMilliseconds: number(0...900_000_000)), statementLogSize: logSize - 1, statementGeneration: 1)
    }

    private mutating func statement() throws -> SignedStatement {
        try SignedStatement(
            HoldingsStatement(hub: hub, generation: 1, node: node, log: log, logSize: logSize, logRoot: hash(), held: streams(), level: .stored, issuedUnixMilliseconds: wallOffset + bootMilliseconds), signer: hubSigner)
    }

    mutating func helloReply() throws -> HelloReply {
        HelloReply(version: 2, hubUnixMilliseconds: wallOffset + bootMilliseconds, logSize: logSize, logRoot: hash(), statement: try statement(), partials: partials(), grant: Grant(bytes: 256 << 20, seconds: 30))
    }

    mutating func pushReply() throws -> PushReply {
        PushReply(logSize: logSize, statement: try statement(), partials: partials(), refusals: [], grant: Grant(bytes: 256 << 20, seconds: 30), duplicateBytes: 0)
    }

    private mutating func partials() -> [PartialSegment] {
        number(0...2) > 0 ? [] : [PartialSegment(segment: SegmentID(stream: StreamID(camera: pick(cameras).id, kind: .main), sequence: UInt64(number(0...90_000))), sha256: hash(), offset: number(16_384...1_800_000))]
    }

    // MARK: Samples

    /// What a dictionary is trained from, each a message before it is compressed. Each is of a node of its own: what is a node's alone
    /// must not look common.
    static func samples(_ count: Int) throws -> [[UInt8]] {
        try (0..<count).map { place in
            var site = try SampleSite(seed: UInt64(place) + 1_000)
            // Small batches count most: there a dictionary pays.
            let sizes = [1, 1, 1, 1, 2, 3, 5]
            return switch place % 10 {
            case 7, 8: try MessageCoding.json(site.pushReply())
            case 9: try MessageCoding.json(site.hello())
            case let form: try site.batch(sizes[form]).plain
            }
        }
    }
}
