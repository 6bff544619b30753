import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// A node without any link: what it records goes to the hub by stick, and the hub's statement comes back by it.
    @Test(.timeLimit(.minutes(5)))
    func aNodeWithoutALinkIsServedByACourier() async throws {
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: ["gate": "test:pattern"], segmentSeconds: 2)
        try await node.enrol(try await hub.joinToken("north"))
        try await hub.stop()
        let stick = try TemporaryDirectory("stick")
        try node.start()
        _ = try await eventually("three segments", within: .seconds(60)) { try await node.segmentsSealed() >= 3 ? true : nil }

        // A folder on the machine's own disk is taken for a stick that is not mounted.
        let refused = try await node.edge("export", ["--to", "/root"])
        #expect(!refused.succeeded && refused.errors.contains("--same-disk"), "\(refused)")

        // Beside the running recorder; its checkpoint may be a minute old.
        let first = try await eventually("an export with footage", within: .seconds(120)) { () -> [String: any Sendable]? in
            let outcome = try await node.edge("export", ["--to", stick.path, "--same-disk", "--json"])
            guard outcome.succeeded, let json = try? outcome.json(), (json["segments"] as? Int ?? 0) > 0 else { return nil }
            return json
        }
        #expect(first["outcome"] as? String == "complete")
        let exported = try #require(first["segments"] as? Int)

        // At the hub, which does not run: straight into its store.
        let imported = try await run(Here.product("fieldpost-hub"), ["import", stick.path, "--data", hub.data, "--json"])
        #expect(imported.succeeded, "\(imported.errors)\(imported.output)")
        let bundles = try #require(try imported.json()["bundles"] as? [[String: any Sendable]])
        #expect(bundles.reduce(0) { $0 + ($1["segments_new"] as? Int ?? 0) } == exported, "\(bundles)")

        // Back at the node: the running recorder takes the statement.
        let receipt = try await node.edge("receipt", [stick.path, "--json"])
        #expect(receipt.succeeded, "\(receipt.errors)\(receipt.output)")
        #expect(try receipt.json()["segments_held"] as? Int == exported)
        #expect(try await node.stop().status == 0)

        // The rest, and what the hub has is not carried again; now the hub serves.
        let second = try await node.edge("export", ["--to", stick.path, "--same-disk", "--json"])
        #expect(second.succeeded, "\(second.errors)\(second.output)")
        let rest = try #require(try second.json()["segments"] as? Int)
        #expect(try second.json()["removed_bundles"] as? Int == bundles.count)
        #expect(try await node.segmentsSealed() == exported + rest)
        try await hub.start()
        let late = try await run(Here.product("fieldpost-hub"), ["import", stick.path, "--data", hub.data])
        #expect(late.succeeded, "\(late.errors)\(late.output)")
        let twice = try await run(Here.product("fieldpost-hub"), ["import", stick.path, "--data", hub.data, "--json"])
        let again = try #require(try twice.json()["bundles"] as? [[String: any Sendable]]).last
        #expect(again?["segments_new"] as? Int == 0 && again?["segments_already_here"] as? Int == rest, "\(twice.output)")
        let settled = try await node.edge("receipt", [stick.path])
        #expect(settled.succeeded, "\(settled.errors)\(settled.output)")
        let status = try await node.status()
        #expect((status["backlog"] as? [String: any Sendable])?["segments"] as? Int == 0, "\(status)")

        // A link then finds that it has nothing but its own last entries to say.
        try await expectEverythingHome(node, hub, repeats: true)
    }

    /// The exporting program is killed at random moments: the next one goes on, and the hub has all of it once.
    @Test(.timeLimit(.minutes(5)))
    func anExportThatIsKilledAgainAndAgainArrivesWhole() async throws {
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: ["gate": "test:pattern", "yard": "test:pattern"], segmentSeconds: 2)
        try await node.enrol(try await hub.joinToken("north"))
        try await hub.stop()
        try node.start()
        _ = try await eventually("eight segments", within: .seconds(90)) { try await node.segmentsSealed() >= 8 ? true : nil }
        #expect(try await node.stop().status == 0)
        let sealed = try await node.segmentsSealed()
        let stick = try TemporaryDirectory("stick")
        let seed = UInt64(ProcessInfo.processInfo.environment["FIELDPOST_SEED"] ?? "") ?? UInt64.random(in: 1...UInt64(UInt32.max))
        print("export killed at random moments: FIELDPOST_SEED=\(seed)")
        var random = SeededRandom(seed: seed)
        var killed = 0
        for _ in 0..<25 {
            let process = try RunningProcess(Here.product("fieldpost-edge"), ["export", "--to", stick.path, "--same-disk", "--config", node.config])
            let early = try? await process.exit(within: .milliseconds(Int.random(in: 20...400, using: &random)))
            if early == nil { killed += 1 }
            process.send(Bool.random(using: &random) ? SIGKILL : SIGTERM)
            _ = try await process.exit(within: .seconds(10))
        }
        #expect(killed > 0, "the random moments were all too late")
        let last = try await node.edge("export", ["--to", stick.path, "--same-disk", "--json"])
        #expect(last.succeeded, "\(last.errors)\(last.output)")
        // The import is killed too.
        for _ in 0..<10 {
            let process = try RunningProcess(Here.product("fieldpost-hub"), ["import", stick.path, "--data", hub.data])
            _ = try? await process.exit(within: .milliseconds(Int.random(in: 20...300, using: &random)))
            process.send(SIGKILL)
            _ = try await process.exit(within: .seconds(10))
        }
        let imported = try await run(Here.product("fieldpost-hub"), ["import", stick.path, "--data", hub.data, "--json"])
        #expect(imported.succeeded, "seed \(seed): \(imported.errors)\(imported.output)")
        let inventory = try await hub.inventory()
        #expect(inventory.held == sealed && inventory.isExact && inventory.partials.isEmpty, "seed \(seed): \(sealed) sealed, \(inventory)")
        #expect(try await hub.report()["verified"] as? Bool == true)
    }

    /// FAT32 and exFAT themselves, on an image: names, sizes and syncs that those know, taken out and put in again, read-only too.
    @Test(.timeLimit(.minutes(5)), arguments: StickImage.kindsThatCanBeMounted)
    func aStickWithTheFileSystemsOfSticksWillDo(kind: String) async throws {
        let stick = try StickImage(kind)
        defer { stick.unmount() }
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: ["gate": "test:pattern"], segmentSeconds: 2)
        try await node.enrol(try await hub.joinToken("north"))
        try await hub.stop()
        try node.start()
        _ = try await eventually("three segments", within: .seconds(60)) { try await node.segmentsSealed() >= 3 ? true : nil }
        #expect(try await node.stop().status == 0)
        let exported = try await node.edge("export", ["--to", stick.path, "--json"])
        #expect(exported.succeeded, "\(kind): \(exported.errors)\(exported.output)")
        stick.unmount()
        try stick.mount(readOnly: true)
        let readOnly = try await run(Here.product("fieldpost-hub"), ["import", stick.path, "--data", hub.data])
        #expect(readOnly.status == 3 && readOnly.output.contains("--statement-to"), "\(kind): \(readOnly.output)\(readOnly.errors)")
        stick.unmount()
        try stick.mount()
        let imported = try await run(Here.product("fieldpost-hub"), ["import", stick.path, "--data", hub.data, "--json"])
        #expect(imported.succeeded, "\(kind): \(imported.errors)\(imported.output)")
        stick.unmount()
        try stick.mount(readOnly: true)
        let receipt = try await node.edge("receipt", [stick.path, "--json"])
        #expect(receipt.succeeded, "\(kind): \(receipt.errors)\(receipt.output)")
        #expect(try receipt.json()["backlog_segments"] as? Int == 0)
    }
}

/// A file system of sticks in a file, mounted by the kernel or, where that does not know it, by a program.
private struct StickImage {
    static let kindsThatCanBeMounted = ["vfat", "exfat"].filter { kind in
        guard let stick = try? StickImage(kind) else {
            print("\(kind) can be mounted neither by the kernel nor by a program here: not tested")
            return false
        }
        stick.unmount()
        return true
    }

    private let directory: TemporaryDirectory
    private let kind: String
    var path: String { directory.path("mount") }
    private var image: String { directory.path("image") }

    init(_ kind: String) throws {
        self.kind = kind
        directory = try TemporaryDirectory("stick-image")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try shell("truncate -s 300M '\(image)' && mkfs.\(kind) '\(image)'")
        try mount()
    }

    func mount(readOnly: Bool = false) throws {
        let access = readOnly ? "ro" : "rw"
        let program =
            kind == "exfat"
            ? "L=$(losetup -f --show '\(image)') && { mount.exfat-fuse -o \(access) $L '\(path)'; R=$?; losetup -d $L; test $R = 0; }"
            : "fusefat -o \(readOnly ? "ro" : "rw+") '\(image)' '\(path)'"
        try shell("mount -o loop,\(access) -t \(kind) '\(image)' '\(path)' 2>&1 || { \(program); }")
        try shell("mountpoint -q '\(path)'")
    }

    func unmount() { _ = try? runBlocking("/bin/sh", ["-c", "umount '\(path)' || umount -l '\(path)'"]) }

    private func shell(_ command: String) throws {
        let outcome = try runBlocking("/bin/sh", ["-c", command])
        guard outcome.status == 0 else { throw TestFailure("\(command): \(outcome.output)\(outcome.errors)") }
    }
}
