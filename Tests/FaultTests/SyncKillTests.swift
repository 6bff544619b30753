import Crypto
import EdgeJournal
import EvidenceLog
import Foundation
import JournalFixtures
import Logging
import LogFixtures
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import TestSupport
import Testing

extension Faults {
    /// `fieldpost-edge sync` and `fieldpost-hub serve`, of which one or both are killed again and again.
    /// `FIELDPOST_FAULT_SEED=<seed>` replays the moments of one course.
    @Suite struct SyncKillTests {
        private static let killsPerSeed = 25
        /// So many new segments whenever everything has arrived.
        private static let segmentsPerHelping = 60

        @Test("Node, hub and both are killed during sync: everything arrives once, and both sides' own checks find nothing", .timeLimit(.minutes(180)))
        func atRandomMomentsDuringSync() async throws {
            let kills = Mutex((node: 0, hub: 0, both: 0, helpings: 0))
            let seeds = Faults.seeds(Faults.isLong ? 80 : 8)
            try await Faults.inLanes(2, seeds) { seed in
                let replay = "FIELDPOST_FAULT_SEED=\(seed) deploy/test --filter SyncKillTests"
                do {
                    let done = try await Self.course(seed)
                    kills.withLock { $0 = ($0.node + done.node, $0.hub + done.hub, $0.both + done.both, $0.helpings + done.helpings) }
                } catch {
                    Issue.record("\(error); \(replay)")
                }
            }
            let total = kills.withLock { $0 }
            print("killed during sync: node \(total.node), hub \(total.hub), both \(total.both) times, over \(total.helpings * Self.segmentsPerHelping) segments")
            #expect(total.node + total.hub + total.both == seeds.count * Self.killsPerSeed)
        }

        private static func course(_ seed: UInt64) async throws -> (node: Int, hub: Int, both: Int, helpings: Int) {
            var random = SeededNumbers(seed: seed)
            let hub = try await Hub()
            let node = try await Node(cameras: ["gate": FaultedNode.camera])
            try await hub.start()
            try await node.enrol(hub.joinToken("north"))
            let recorder = try IdleRecorder(node)
            var kills = (node: 0, hub: 0, both: 0, helpings: 0)
            var sync: RunningProcess?
            while kills.node + kills.hub + kills.both < killsPerSeed {
                if hub.process == nil { try await hub.start() }
                if sync == nil || sync?.hasExited == true {
                    if let ended = sync, try await ended.exit(within: .seconds(1)) == 0 || kills.helpings == 0 { sync = nil }
                    if sync == nil {
                        try recorder.record(segmentsPerHelping)
                        kills.helpings += 1
                    }
                    sync = try RunningProcess(Here.product("fieldpost-edge"), ["sync", "--config", node.config, "--timeout", "120"])
                }
                guard let running = sync else { continue }
                // A random moment between its start and its end: mostly soon.
                let share = Double.random(in: 0...1, using: &random)
                try await Task.sleep(for: .seconds(1.2 * share * share))
                guard !running.hasExited else { continue }
                let which = Int.random(in: 0..<3, using: &random)
                if which != 1 { running.send(SIGKILL) }
                if which != 0 { try await hub.kill() }
                if which != 1 { _ = try await running.exit(within: .seconds(10)) }
                switch which {
                case 0: kills.node += 1
                case 1: kills.hub += 1
                default: kills.both += 1
                }
            }
            if sync?.hasExited == false {
                sync?.send(SIGKILL)
                _ = try await sync?.exit(within: .seconds(10))
            }
            if hub.process == nil { try await hub.start() }
            try await judge(node, hub, segments: kills.helpings * segmentsPerHelping)
            return kills
        }

        private static func judge(_ node: Node, _ hub: Hub, segments: Int) async throws {
            let last = try await node.edge("sync", ["--timeout", "60"], within: .seconds(90))
            guard last.succeeded else { throw TestFailure("the last sync ended with \(last.status): \(last.errors.suffix(1_000))\(last.output)") }
            let check = try await node.edge("check", ["--deep", "--json"])
            let sealed = try check.json()["segments"] as? Int
            guard check.succeeded, sealed == segments else { throw TestFailure("check: \(segments) were recorded: \(check.output)\(check.errors)") }
            try await hub.stop()
            let report = try await hub.report()
            guard report["verified"] as? Bool == true, report["segments_on_hub"] as? Int == segments, report["duplicate_blobs"] as? Int == 0 else {
                throw TestFailure("the hub's report, of \(segments) segments: \(report)")
            }
            let inventory = try await hub.inventory()
            let lines = try Holdings(root: node.data).lines.count
            guard inventory.isExact, inventory.partials.isEmpty, inventory.rows == segments, inventory.held == segments, inventory.counted == segments,
                inventory.entries == lines
            else { throw TestFailure("the hub's folders, of \(segments) segments and \(lines) entries: \(inventory)") }
        }

        /// Records into the node's data directory while the node does not run.
        private struct IdleRecorder {
            private let directory: FilePath
            private let identity: P256.Signing.PrivateKey
            private let clocks = TestClocks()

            init(_ node: Node) throws {
                directory = FilePath(node.data)
                identity = try P256.Signing.PrivateKey(pemRepresentation: String(contentsOfFile: node.data + "/keys/identity.key", encoding: .utf8))
            }

            func record(_ count: Int) throws {
                let identity = identity
                let journal = try Journal(
                    options: Journal.Options(
                        dataDirectory: directory, node: NodeID(keyHash: .sha256(identity.publicKey.derRepresentation)), software: "test", configVersion: "c1",
                        cameras: [try CameraID("gate").orThrow("a camera")]),
                    storage: RealStorage(), clocks: clocks, randomness: SystemRandomNumberGenerator(),
                    attest: { key in
                        KeyRecord.Attestation(
                            identityKey: identity.publicKey.derRepresentation, signature: try identity.signature(for: KeyRecord.attestedBytes(key: key)).derRepresentation)
                    }, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
                defer { journal.close() }
                let stream = try StreamID("gate/main").orThrow("a stream")
                let writer = SegmentWriter(directory: directory, clocks: clocks)
                for number in 0..<count {
                    let closed = try writer.write(stream, journal.nextSequence(for: stream), run: journal.nextRun(for: stream), fragments: 10 + number % 100)
                    clocks.advance(milliseconds: closed.record.durationMilliseconds)
                    try journal.deliver(closed)
                }
                try journal.flush()
            }
        }
    }
}
