import Foundation
import TestSupport
import Testing

/// A node whose data directory is the mount point of a disk of its own, within a namespace where this test may mount.
private final class NodeOnADisk {
    let node: Node
    private let place: TemporaryDirectory
    private let keeper: RunningProcess
    private var disk: String { place.path("disk") }
    /// Where the disk goes; what lies below it is the system's.
    var mountPoint: String { place.path("mount") }
    /// The namespace's own view of a path.
    private var inside: [String] { ["nsenter", "-t", "\(keeper.pid)", "-U", "--preserve-credentials", "-m"] }

    /// - Parameter storage: the node's bounds on its disk of 32 MiB.
    init(storage: String = "reserve_mebibytes: 1, low_mebibytes: 2, high_mebibytes: 3") async throws {
        place = try TemporaryDirectory("disk")
        for name in ["disk", "mount"] { try FileManager.default.createDirectory(atPath: place.path(name), withIntermediateDirectories: false) }
        let script = #"mount -t tmpfs -o size=32m tmpfs "$0" && echo ready && exec sleep 1000"#
        keeper = try RunningProcess("unshare", ["-rm", "/bin/sh", "-c", script, place.path("disk")])
        _ = try await keeper.line(within: .seconds(10)) { $0 == "ready" }
        let config = Self.configuration(place.path("mount"), storage)
        node = try await Node(cameras: ["gate": "test:?size=64x64&fps=15&gop=8"], segmentSeconds: 2, data: place.path("first"))
        try config.write(toFile: node.config, atomically: true, encoding: .utf8)
    }

    deinit { keeper.send(SIGKILL) }

    private static func configuration(_ data: String, _ storage: String) -> String {
        """
        data_directory: \(data)
        segment_seconds: 2
        storage: {require_mount: true, \(storage)}
        metrics: {interval_seconds: 1}
        compress: {thumbnails: {enabled: false}}
        cameras:
          - id: gate
            url: "test:?size=64x64&fps=15&gop=8"

        """
    }

    func mount() async throws { try await sh(["mount", "--bind", disk, mountPoint]) }
    /// Whoever has files open on it keeps them; nobody finds it by its path any more.
    func unmount() async throws { try await sh(["umount", "-l", mountPoint]) }

    private func sh(_ words: [String]) async throws { try await runSuccessfully(inside[0], Array(inside.dropFirst()) + words, within: .seconds(10)) }

    /// Takes space away.
    func fill(mebibytes: Int) async throws { try await sh(["fallocate", "-l", "\(mebibytes)MiB", mountPoint + "/filler"]) }

    func edge(_ subcommand: String, _ arguments: [String] = []) async throws -> Outcome {
        let words = try inside + [Here.product("fieldpost-edge"), subcommand] + arguments + ["--config", node.config]
        return try await run(words[0], Array(words.dropFirst()), within: .seconds(30))
    }

    func start() throws { try node.start(through: inside) }
    func sealed() async throws -> Int { (try? await edge("status", ["--json"]).json()["segments_sealed"] as? Int) ?? 0 }
}

extension EndToEnd {
    @Test(.timeLimit(.minutes(2)))
    func withoutItsDiskANodeWritesNothingAndGoesOnWhenItIsBack() async throws {
        let disk = try await NodeOnADisk()
        // Nothing is mounted: neither a new node nor a recorder makes a data directory of the folder below.
        for outcome in [try await disk.edge("init", ["--prepare"]), try await disk.edge("run")] {
            #expect(!outcome.succeeded && outcome.errors.contains("storage.require_mount asks for another: mount the disk"), "\(outcome.errors)")
        }
        #expect(files(under: disk.mountPoint).isEmpty)

        try await disk.mount()
        let prepared = try await disk.edge("init", ["--prepare"])
        #expect(prepared.succeeded, "\(prepared.errors)")
        try disk.start()
        _ = try await eventually("a segment; log: \(disk.node.log)", within: .seconds(20)) { try await disk.sealed() >= 1 ? true : nil }
        try await disk.unmount()
        let told = try await eventually("the problem; log: \(disk.node.log.suffix(2_000))", within: .seconds(20)) { () -> String? in
            let outcome = try await disk.edge("status")
            return !outcome.succeeded && outcome.errors.contains("recording stopped") ? outcome.errors : nil
        }
        #expect(told.contains("require_mount") || told.contains("unmounted") || told.contains("not where"), "\(told)")
        #expect(files(under: disk.mountPoint).isEmpty, "nothing may be written below the mount point")

        try await disk.mount()
        let before = try await disk.sealed()
        _ = try await eventually("recording again; log: \(disk.node.log.suffix(2_000))", within: .seconds(40)) { try await disk.sealed() >= before + 2 ? true : nil }
        let status = try await disk.edge("status", ["--json"]).json()
        #expect(status["recording"] as? Bool == true && status["problem"] == nil, "\(status)")
        let stopped = try await disk.node.stop()
        #expect(stopped.status == 0)
        let past = try await disk.edge("status")
        #expect(past.output.contains("not recording") && past.output.contains("the recorder's figures are as of ") && !past.output.contains("packets"), "\(past.output)")
        #expect(try await disk.edge("ls").output.contains("disk-fault"))
        let check = try await disk.edge("check", ["--deep"])
        #expect(check.succeeded, "\(check.output)\(check.errors)")
        #expect(files(under: disk.mountPoint).isEmpty)
    }

    /// A disk that fills up: what is sealed is given up, oldest first, and the list says so.
    @Test(.timeLimit(.minutes(1)))
    func aListSaysWhatWasGivenUp() async throws {
        let disk = try await NodeOnADisk(storage: "reserve_mebibytes: 12, low_mebibytes: 4, high_mebibytes: 4")
        try await disk.mount()
        #expect(try await disk.edge("init", ["--prepare"]).succeeded)
        try disk.start()
        _ = try await eventually("two segments; log: \(disk.node.log)", within: .seconds(20)) { try await disk.sealed() >= 2 ? true : nil }
        // 32 MiB less this is below the low mark, and above the reserve.
        try await disk.fill(mebibytes: 17)
        let evicted = try await eventually("an eviction; log: \(disk.node.log)", within: .seconds(20)) { () -> [String: any Sendable]? in
            let lines = try await disk.edge("ls", ["--json"]).output.split(separator: "\n")
            return try lines.lazy.compactMap { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: any Sendable] }
                .first { $0["removed"] as? String == "evicted" }
        }
        #expect(evicted["sequence"] as? Int == 0 && evicted["kind"] as? String == "segment" && evicted["on_hub"] as? Bool == false)
        try await disk.node.stop()
        let text = try await disk.edge("ls").output
        #expect(text.split(separator: "\n").contains { $0.hasPrefix("gate/main  segment") && $0.contains("  given up") }, "\(text)")
        let played = try await disk.edge("cat", ["gate", "0"])
        #expect(!played.succeeded && played.errors.contains("was given up at this node"))
        #expect(try await disk.edge("check", ["--deep"]).succeeded)
    }
}
