import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

@testable import fieldpost

/// Anybody can sign: what counts is who vouches for the keys.
@Suite struct KnownKeyTests {
    @Test func keysThatNobodyVouchesForAreUnknownAndShown() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path, order: [0, 1], lasting: 4_000)
        func check(_ known: KnownKeys) -> Report { FootageCheck(known: known).check(path) }

        let unknown = check(KnownKeys())
        #expect(unknown.verdict == .unknownKey)
        #expect(unknown.reason.contains(footage.bundle.node.keyHash.fingerprint))
        #expect(unknown.reason.contains(KnownKeys.fingerprint(ofHubKey: footage.bundle.hubKey)))
        #expect(unknown.reason.contains("--node ID --hub-key KEY"))
        #expect(!unknown.isNodeExpected && !unknown.isHubKeyExpected)

        let key = try #require(NoteKey(text: footage.bundle.hubKey))
        #expect(check(KnownKeys(node: footage.bundle.node, hubKey: key)).verdict == .intact)
        #expect(check(footage.known).verdict == .intact)
        // Half of it is not enough, and a node is believed by its own hub only.
        #expect(check(KnownKeys(node: footage.bundle.node)).verdict == .unknownKey)
        #expect(check(KnownKeys(hubKey: key)).verdict == .unknownKey)
        var stranger = footage.hub
        stranger.nodes = []
        #expect(check(KnownKeys(hubs: [stranger])).verdict == .unknownKey)
        stranger = footage.hub
        stranger.hubKey = try #require(NoteSigner(name: "hub.example", algorithm: .cosignature)).verifier.text
        #expect(check(KnownKeys(hubs: [stranger])).verdict == .unknownKey)
        #expect(check(KnownKeys(hubs: [stranger, footage.hub])).verdict == .intact)
    }

    @Test func whatHubsSayIsKeptByTheirKeyAndNeverForgotten() {
        var known = KnownHubs()
        let identity = HubIdentity(hub: HubID(keyHash: .sha256([1])), hubKey: "a")
        func list(_ names: [String]) -> NodeList {
            NodeList(asOfUnixMilliseconds: 0, nodes: names.map { name in
                NodeSummary(
                    node: NodeID(keyHash: .sha256(Array(name.utf8))), name: name, state: .active, lastContactUnixMilliseconds: nil, status: nil,
                    clockOffsetMilliseconds: nil, logSize: 0, onlyOnNode: Backlog(), onHub: Backlog(), cameras: [])
            })
        }
        known.learn(identity, url: "https://one", list(["n", "m"]))
        known.learn(identity, url: "https://two", list(["n"]))
        known.learn(HubIdentity(hub: identity.hub, hubKey: "b"), url: "https://two", list([]))
        #expect(known.hubs.map(\.hubKey) == ["a", "b"])
        #expect(known.hubs[0].url == "https://two")
        #expect(Set(known.hubs[0].nodes.map(\.name)) == ["n", "m"])
    }

    /// A node's data directory: its log with the segments that it names.
    private func nodeFolder(_ footage: Footage, in folder: TemporaryDirectory) throws -> String {
        let lines = (footage.bundle.keys + footage.bundle.segments).map { $0.line + "\n" }.joined()
        let log = "node/log/\(footage.bundle.log)"
        let segments = "\(folder.path)/node/segments/yard/main"
        for path in ["\(folder.path)/\(log)", segments] { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        _ = try folder.write(lines, to: "\(log)/\(LogFolder.entryFileName(first: 0))")
        _ = try folder.write(String(decoding: LogFolder.encode(footage.bundle.checkpoints[0]), as: UTF8.self), to: "\(log)/\(LogFolder.checkpointsName)")
        for (record, bytes) in footage.contents {
            try Data(bytes).write(to: URL(fileURLWithPath: "\(segments)/\(SegmentFiles.sealedName(record.sequence))"))
        }
        return folder.path + "/node"
    }

    @Test(arguments: [true, false])
    func aNodesFolderIsIntactOnlyWithAHubsCosignature(cosigned: Bool) async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path, cosigned: cosigned)
        let path = try nodeFolder(footage, in: folder)
        #expect(try FolderCheck(known: footage.known).check(path).map(\.verdict) == [cosigned ? .intact : .unwitnessed])
        // Somebody else's key is no witness, and an unknown node's log is nobody's.
        #expect(try FolderCheck(known: KnownKeys(node: footage.bundle.node)).check(path).map(\.verdict) == [.unwitnessed])
        #expect(try FolderCheck(known: KnownKeys()).check(path).map(\.verdict) == [.unknownKey])
        #expect(!Verdict.unwitnessed.isGood)
        try Data([0]).write(to: URL(fileURLWithPath: "\(path)/segments/yard/main/\(SegmentFiles.sealedName(1))"))
        #expect(try FolderCheck(known: footage.known).check(path).map(\.verdict) == [.altered])
    }

    /// The program itself: only what a sign-in saved, or what is given, makes exit status 0.
    @Test func theProgramAsksWhatItsSignInSaved() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path)
        let environment = ["XDG_CONFIG_HOME": folder.path + "/config"]
        let program = try Here.product("fieldpost")
        let without = try await run(program, ["verify", path], environment: environment)
        #expect(without.status == 1)
        #expect(without.output.hasPrefix("UNKNOWN_KEY"))
        #expect(without.output.contains("Camera yard, 2026-11-21T00:00:00Z to 2026-11-21T00:00:26Z"))
        let given = try await run(
            program, ["verify", path, "--node", footage.bundle.node.description, "--hub-key", footage.bundle.hubKey, "--json"], environment: environment)
        #expect(given.status == 0)
        #expect(given.output.contains("\"camera\" : \"yard\""))
        try FileManager.default.createDirectory(atPath: folder.path + "/config/fieldpost", withIntermediateDirectories: true)
        try JSONEncoder().encode(KnownHubs(hubs: [footage.hub])).write(to: URL(fileURLWithPath: folder.path + "/config/fieldpost/known-hubs.json"))
        let saved = try await run(program, ["verify", path], environment: environment)
        #expect(saved.status == 0)
        #expect(saved.output.hasPrefix("INTACT_WITH_GAPS"))
    }
}
