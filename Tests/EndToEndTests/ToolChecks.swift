import Foundation
import RecordingModel
import TestSupport
import Testing

extension Maintainer {
    func nodes() async throws -> NodeList {
        try await decoded(["status", "--json"])
    }

    /// The camera's days that these times touch.
    func timelines(_ camera: String, from: Date, to: Date) async throws -> [CameraTimeline] {
        let style = Date.ISO8601FormatStyle().year().month().day()
        var result: [CameraTimeline] = []
        for day in Set([from.formatted(style), to.formatted(style)]).sorted() { result.append(try await decoded(["timeline", camera, "--day", day, "--json"])) }
        return result
    }

    private func decoded<Value: Decodable>(_ arguments: [String]) async throws -> Value {
        let outcome = try await fieldpost(arguments)
        guard outcome.succeeded else { throw TestFailure("\(arguments): \(outcome.errors)\(outcome.output)") }
        return try JSONDecoder().decode(Value.self, from: Data(outcome.output.utf8))
    }
}

extension EndToEnd {
    /// What the maintainers' tool says of a node whose footage is all on the hub.
    func expectToolsSaySo(_ maintainer: Maintainer, _ node: Node, cameras: [String], began: Date) async throws {
        let sealed = try await node.segmentsSealed()
        let list = try await maintainer.nodes()
        let summary = try #require(list.nodes.first)
        #expect(list.nodes.count == 1 && summary.name == "north" && summary.state == .active)
        #expect(summary.onHub.segments == sealed && summary.onlyOnNode.segments == 0, "\(summary.onHub), \(summary.onlyOnNode)")
        #expect(summary.cameras.map(\.camera.description) == cameras)
        #expect(summary.lastContactUnixMilliseconds.map { list.asOfUnixMilliseconds - $0 < 120_000 } == true)

        var played: Set<SegmentID> = []
        for camera in cameras {
            for day in try await maintainer.timelines("north/\(camera)", from: began, to: Date()) {
                played.formUnion(day.segments.map(\.record.id))
                let borders = day.spans.map(\.startUnixMilliseconds) + [day.endUnixMilliseconds]
                #expect(borders == [day.startUnixMilliseconds] + day.spans.map(\.endUnixMilliseconds), "\(camera): the spans do not tile the day")
                let times = day.segments.map { $0.record.startUnixMilliseconds..<$0.record.endUnixMilliseconds }
                guard let first = times.map(\.lowerBound).min(), let last = times.map(\.upperBound).max() else { continue }
                let between = day.spans.filter { $0.startUnixMilliseconds >= first && $0.endUnixMilliseconds <= last }
                #expect(between.allSatisfy { $0.state == .onHub || ($0.state == .notRecorded && $0.cause != nil) }, "\(camera): \(between)")
            }
        }
        #expect(played.count == sealed)
    }

    /// Footage from the hub is judged offline: as it is, with its keys named, for another node, and changed.
    func expectVerifiable(_ file: String, _ maintainer: Maintainer, _ node: Node) async throws {
        func verdict(_ arguments: [String]) async throws -> (word: String, outcome: Outcome) {
            let outcome = try await maintainer.fieldpost(["verify", file] + arguments)
            return (String(outcome.output.prefix { $0.isUppercase || $0 == "_" }), outcome)
        }
        let id = try #require(try await maintainer.nodes().nodes.first).node.description
        let joined = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: node.data + "/keys/hub.json"))) as? [String: any Sendable]
        let hubKey = try #require(joined?["hubKey"] as? String)
        for keys in [[], ["--node", id], ["--node", id, "--hub-key", hubKey]] {
            let (word, outcome) = try await verdict(keys)
            #expect(["INTACT", "INTACT_WITH_GAPS"].contains(word) && outcome.succeeded, "\(keys): \(outcome.output)\(outcome.errors)")
        }
        for keys in [["--node", String(repeating: "0", count: 64)], ["--node", id, "--hub-key", String(hubKey.dropLast(8)) + "AAAAAAA="]] {
            let (word, outcome) = try await verdict(keys)
            #expect(!["INTACT", "INTACT_WITH_GAPS"].contains(word) && !outcome.succeeded, "\(keys): \(outcome.output)\(outcome.errors)")
        }
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        let position = try handle.seekToEnd() / 2
        try handle.seek(toOffset: position)
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: position)
        try handle.write(contentsOf: [byte ^ 1])
        try handle.close()
        let (word, outcome) = try await verdict(["--node", id])
        #expect(word == "ALTERED" && outcome.status == 1, "\(outcome.output)\(outcome.errors)")
    }

    /// The link of the player page plays elsewhere: every frame that the hub lists, over all its segments.
    func expectPlaysElsewhere(_ hub: Hub, _ maintainer: Maintainer, cameras: [String], began: Date) async throws {
        let player = try await OtherPlayer(signedInTo: hub)
        let id = try #require(try await maintainer.nodes().nodes.first).node.description
        for camera in cameras {
            // Whole seconds in the past: a list that is over has an end.
            let records = try await maintainer.timelines(camera, from: began, to: Date()).flatMap(\.segments).map(\.record)
            let link = try await player.link(node: id, camera: camera, from: began.addingTimeInterval(-60), to: Date().addingTimeInterval(-0.5))
            let played = try await player.play(link)
            #expect(played.segments == records.count && played.segments >= 2, "\(camera): \(played)")
            #expect(played.frames == records.reduce(0) { $0 + $1.frames }, "\(camera): \(played)")
            let seconds = Double(records.reduce(0) { $0 + $1.mediaDurationTicks90k }) / Double(MediaTime.ticksPerSecond)
            #expect(abs(played.seconds - seconds) < 1.5, "\(camera): \(seconds) s are listed: \(played)")
        }
    }
}
