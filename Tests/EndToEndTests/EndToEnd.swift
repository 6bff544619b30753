import TestSupport
import Testing

/// Real programs, a real RTSP server, real sockets and disks. One after the other: they measure time.
@Suite(.serialized) struct EndToEnd {
    /// Syncs what is left; then both sides are checked from the ground up, and must agree.
    /// - Parameter repeats: the built-in picture gives the same bytes again, and the hub keeps equal bytes once.
    func expectEverythingHome(_ node: Node, _ hub: Hub, repeats: Bool = false) async throws {
        let sync = try await node.edge("sync", ["--timeout", "90"], within: .seconds(120))
        #expect(sync.succeeded, "sync: \(sync.errors)\(sync.output)")
        let check = try await node.edge("check", ["--deep"], within: .seconds(120))
        #expect(check.succeeded, "check: \(check.errors)\(check.output)")
        let sealed = try await node.segmentsSealed()
        let report = try await hub.report()
        #expect(sealed > 0)
        #expect(report["segments_on_hub"] as? Int == sealed, "\(report)")
        let blobs = report["blob_files"] as? Int ?? 0
        #expect(repeats ? blobs <= sealed : blobs == sealed, "\(report)")
        #expect(report["duplicate_blobs"] as? Int == 0, "\(report)")
        #expect((report["unexplained_gap_seconds"] as? Double) == 0, "\(report)")
        #expect(report["verified"] as? Bool == true, "\(report)")
        // The same, counted without the hub's code: nothing left over, nothing twice, nothing that is not of the node's log.
        let inventory = try await hub.inventory()
        #expect(inventory.rows == sealed && inventory.held == sealed && inventory.counted == sealed, "\(sealed) sealed: \(inventory)")
        #expect(inventory.partials.isEmpty, "\(inventory)")
        #expect(inventory.isExact && inventory.blobs == blobs, "\(inventory)")
        #expect(try await node.status()["log_size"] as? Int == inventory.entries, "\(inventory)")
    }
}
