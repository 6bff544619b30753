import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// The hub goes away for a minute and the link is cut at 20 random bytes: nothing is lost, and nothing is kept twice.
    @Test(.timeLimit(.minutes(10)))
    func aHubThatWasAwayAndALinkThatBreaksLoseNothing() async throws {
        let seed = UInt64(ProcessInfo.processInfo.environment["FIELDPOST_SEED"] ?? "") ?? UInt64.random(in: 1...UInt64(UInt32.max))
        print("link cut at random bytes: FIELDPOST_SEED=\(seed)")
        var random = SeededRandom(seed: seed)

        let cameras = try await CameraServer.start(["gate=h264,640x360,25,1000", "yard=h265,640x360,15,500"])
        let hub = try await Hub()
        try await hub.start()
        let link = try FaultProxy(to: hub.nodesPort)
        defer { link.stop() }
        let node = try await Node(cameras: cameras.urls)
        try await node.enrol(try await hub.joinToken("north", port: link.port))
        let began = Date()
        try node.start()
        _ = try await eventually("two segments on the hub", within: .seconds(60)) { try await hub.segmentCount() >= 2 ? true : nil }

        // Seven cuts while all is well, away for a minute, thirteen more while the backlog comes in.
        let plan = (0..<20).map { _ in FaultProxy.Cut(.outward, afterBytes: Int.random(in: 1...120_000, using: &random)) }
        link.cut(Array(plan[..<7]))
        try await link.waitForCuts(7, within: .seconds(120))
        let atStop = try await hub.stop()
        #expect(atStop.status == 0)
        let sealedBefore = try await node.segmentsSealed()
        try await Task.sleep(for: .seconds(60))
        #expect(try await node.segmentsSealed() > sealedBefore + 10, "recording must not wait for the hub")
        try await hub.start()
        link.cut(Array(plan[7...]))
        try await link.waitForCuts(20, within: .seconds(180))
        let backlog = try await node.segmentsSealed()
        _ = try await eventually("the backlog on the hub", within: .seconds(90)) { try await hub.segmentCount() >= backlog ? true : nil }

        #expect(try await node.stop().status == 0)
        try await expectEverythingHome(node, hub)
        let maintainer = try await Maintainer(signedInTo: hub)
        for (camera, tap) in [("gate", "gate.h264"), ("yard", "yard.h265")] {
            let file = try await maintainer.get(camera, from: began.addingTimeInterval(-60), to: Date().addingTimeInterval(60))
            let comparison = try await cameras.compare(tap, with: file)
            #expect(comparison["identical"] as? Bool == true, "\(camera), seed \(seed): \(comparison)")
            #expect((comparison["frames_received"] as? Int ?? 0) > 60 * 15, "\(camera): the minute without a hub is not there: \(comparison)")
        }
    }
}

/// SplitMix64: the same seed gives the same cuts.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
