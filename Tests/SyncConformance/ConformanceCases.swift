import EvidenceLog
import RecordingModel
import SyncProtocol

extension ConformanceCase {
    private static let small = [250, 1, 700]
    private static let many = Array(repeating: 120, count: 12)

    private static func settle(_ pair: any SyncPair, _ findings: inout Findings) async throws {
        let end = try await pair.contact(.none)
        findings.expect(end == .settled, "the contact ended with \(end)")
        try await findings.expectComplete(pair)
    }

    package static let all: [ConformanceCase] = exchanges + pushes + hubs

    // MARK: Links

    private static let exchanges = [
        ConformanceCase("one contact brings everything, and a second one nothing more", small) { pair, findings in
            try await settle(pair, &findings)
            let sent = pair.sentBytes
            findings.expect(sent == 951, "\(sent) bytes were sent for 951")
            try await settle(pair, &findings)
            findings.expect(pair.sentBytes == sent, "the second contact sent \(pair.sentBytes - sent) bytes")
        },
        ConformanceCase("cut after a third and after two thirds, the next contact goes on", many) { pair, findings in
            for bytes in [1_500, 3_000] {
                let end = try await pair.contact(.cut(afterBytes: bytes))
                findings.expect(end == .lost, "the cut contact ended with \(end)")
                try await findings.judge(pair)
            }
            try await settle(pair, &findings)
        },
        ConformanceCase("the answer is lost after everything was committed", small) { pair, findings in
            findings.expect(try await pair.contact(.answerLost) == .lost, "the contact was not lost")
            let hub = try await pair.hubState()
            findings.expect(hub.held.count == 3, "the hub holds \(hub.held.count) before the next contact")
            let sent = pair.sentBytes
            try await settle(pair, &findings)
            findings.expect(pair.sentBytes == sent, "\(pair.sentBytes - sent) bytes were sent again")
        },
    ]

    // MARK: Frames

    private static let pushes = [
        ConformanceCase("the same push twice", small) { pair, findings in
            let frames = try pair.footage.entryFrames + pair.footage.ids.flatMap { pair.footage.frames(of: $0) }
            let first = try await pair.push(frames, .next)
            findings.expect(first.refusals == [], "the first push: \(first)")
            guard case .taken(let again) = try await pair.push(frames, .newest) else { return findings.expect(false, "the second push was refused") }
            findings.expect(again.refusals.isEmpty && again.duplicateBytes >= 951, "the second push: \(again.refusals), \(again.duplicateBytes) duplicate bytes")
            try await settle(pair, &findings)
            findings.expect(pair.sentBytes == 0, "the node sent \(pair.sentBytes) bytes")
        },
        ConformanceCase("every frame of a push twice", small) { pair, findings in
            let frames = try (pair.footage.entryFrames + pair.footage.ids.flatMap { pair.footage.frames(of: $0) }).flatMap { [$0, $0] }
            findings.expect(try await pair.push(frames, .next).refusals == [], "a frame was refused")
            try await settle(pair, &findings)
        },
        ConformanceCase("frames in the opposite order", small) { pair, findings in
            let frames = try pair.footage.ids.flatMap { pair.footage.frames(of: $0) }.reversed() + pair.footage.entryFrames
            let end = try await pair.push(frames, .next)
            findings.expect(end.refusals.map { !$0.isEmpty && $0.allSatisfy { $0 == .unknownSegment } } == true, "the push: \(end)")
            let known = Array(pair.footage.ids.flatMap { pair.footage.frames(of: $0) }.reversed())
            let second = try await pair.push(known, .newest)
            findings.expect(second.refusals.map { $0.allSatisfy { $0 == .wrongOffset } } == true, "the second push: \(second)")
            try await settle(pair, &findings)
        },
        ConformanceCase("a push of yesterday is replayed after everything is there", many) { pair, findings in
            try await settle(pair, &findings)
            let frames = try pair.footage.entryFrames + pair.footage.ids.flatMap { pair.footage.frames(of: $0) }
            findings.expect(try await pair.push(frames, .next).refusals == [], "a frame was refused")
            try await findings.expectComplete(pair)
        },
        ConformanceCase("two sessions by turns: the older one is fenced, the newer one is taken", many) { pair, findings in
            let (ids, entries) = (pair.footage.ids, try pair.footage.entryFrames)
            findings.expect(try await pair.push(entries + Array(pair.footage.frames(of: ids[0]).dropLast()), .next).refusals == [], "the first session's push")
            findings.expect(try await pair.push(pair.footage.frames(of: ids[1]), .next).refusals == [], "the second session's push")
            let late = try await pair.push(pair.footage.frames(of: ids[0]), .older)
            findings.expect(late == .refused(status: 409), "the older session: \(late)")
            findings.expect(try await pair.push(pair.footage.frames(of: ids[0]), .newest).refusals == [], "the newer session's next push")
            try await settle(pair, &findings)
        },
        ConformanceCase("segments of one push by turns, and one segment by two pushes", [400, 400, 400]) { pair, findings in
            let (footage, ids) = (pair.footage, pair.footage.ids)
            let (a, b) = (footage.frames(of: ids[0]), footage.frames(of: ids[1]))
            findings.expect(try await pair.push(footage.entryFrames + zip(a, b).flatMap { [$0, $1] }, .next).refusals == [], "by turns")
            let c = footage.frames(of: ids[2])
            findings.expect(try await pair.push(Array(c.prefix(2)), .newest).refusals == [], "the beginning")
            findings.expect(try await pair.push(Array(c.dropFirst()), .next).refusals == [], "the end, overlapping")
            try await settle(pair, &findings)
            findings.expect(pair.sentBytes == 0, "the node sent \(pair.sentBytes) bytes")
        },
        ConformanceCase("offsets above and below where the hub is, and beyond the end", [300]) { pair, findings in
            let segment = pair.footage.ids[0]
            let bytes = pair.footage.segments[segment]?.bytes ?? []
            func data(_ range: Range<Int>) -> Frame { .data(segment: segment, offset: Int64(range.lowerBound), bytes: Array(bytes[range])) }
            let beyond = Frame.data(segment: segment, offset: 200, bytes: Array(repeating: 1, count: 101))
            let frames = try pair.footage.entryFrames + [data(100..<200), data(0..<100), data(50..<150), data(0..<60), data(200..<300), beyond]
            let end = try await pair.push(frames, .next)
            findings.expect(end.refusals == [.wrongOffset, .wrongOffset, .wrongLength], "the push: \(end)")
            if case .taken(let reply) = end { findings.expect(reply.partials.map(\.offset) == [150], "parts: \(reply.partials)") }
            try await settle(pair, &findings)
        },
        ConformanceCase("an end too early, of another length, of another hash", [300]) { pair, findings in
            let segment = pair.footage.ids[0]
            let hash = pair.footage.segments[segment]?.sha256 ?? .sha256([])
            let ends: [Frame] = [
                .end(segment: segment, length: 300, sha256: hash), .end(segment: segment, length: 299, sha256: hash),
                .end(segment: segment, length: 300, sha256: .sha256([1])),
            ]
            let end = try await pair.push(pair.footage.entryFrames + ends, .next)
            findings.expect(end.refusals == [.wrongOffset, .wrongLength, .wrongHash], "the push: \(end)")
            try await settle(pair, &findings)
        },
        ConformanceCase("entries that lead to another root, that leave a hole, that are no batch", many) { pair, findings in
            let batch = pair.footage.batches[0]
            var altered = batch
            altered.lines[altered.lines.count - 1] = altered.lines[1]
            var late = batch
            late.start += 1
            late.lines.removeFirst()
            for (frame, status) in [(Frame.entries(try altered.encoded()), 422), (.entries(try late.encoded()), 409), (.entries([1, 2, 3]), 400)] {
                let end = try await pair.push([frame], .next)
                findings.expect(end == .refused(status: status), "instead of \(status): \(end)")
                let size = try await pair.hubState().logSize
                findings.expect(size == 0, "the hub took \(size) entries")
            }
            try await settle(pair, &findings)
        },
        ConformanceCase("one poisoned segment among 200 good ones", Array(repeating: 40, count: 201), rotten: [77]) { pair, findings in
            try await settle(pair, &findings)
            let hub = try await pair.hubState()
            findings.expect(hub.held.count == 200, "\(hub.held.count) of 200 good ones are there")
        },
    ]

    // MARK: Hubs

    private static let hubs = [
        ConformanceCase("the hub is restored from an older backup: it is smaller, and its generation another", many) { pair, findings in
            findings.expect(try await pair.contact(.cut(afterBytes: 3_000)) == .lost, "the cut")
            try await pair.backUp()
            try await settle(pair, &findings)
            let old = pair.statement
            try await pair.restore()
            let back = try await pair.hubState()
            findings.expect(back.held.count < 12, "the restored hub holds \(back.held.count)")
            try await settle(pair, &findings)
            findings.expect((pair.statement?.generation ?? 0) > (old?.generation ?? 0), "the node's statement is of generation \(pair.statement?.generation ?? 0)")
        },
        ConformanceCase("a statement of an older generation than the one known is no licence", many) { pair, findings in
            findings.expect(try await pair.contact(.cut(afterBytes: 3_000)) == .lost, "the cut")
            try await pair.backUp()
            try await pair.restore()
            try await settle(pair, &findings)
            let known = pair.statement
            try await pair.forgetGeneration()
            let end = try await pair.contact(.none)
            findings.expect(end == .notBelieved, "the contact ended with \(end)")
            findings.expect(pair.statement == known, "the statement was taken")
        },
        ConformanceCase("the hub loses media: exactly those are sent again", many) { pair, findings in
            try await settle(pair, &findings)
            let sent = pair.sentBytes
            let lost = Set([pair.footage.ids[3], pair.footage.ids[4], pair.footage.ids[9]])
            try await pair.lose(lost)
            try await settle(pair, &findings)
            findings.expect(pair.sentBytes - sent == 360, "\(pair.sentBytes - sent) bytes were sent for 360 that were lost")
        },
        ConformanceCase("the hub claims a segment that it lacks: when it stops, the node sends it, and only it", many) { pair, findings in
            findings.expect(try await pair.push(pair.footage.entryFrames, .next).refusals == [], "the entries")
            let segment = pair.footage.ids[11]
            try await pair.claim([segment])
            findings.expect(try await pair.contact(.none) == .settled, "the contact with the lie")
            let lie = try await pair.hubState()
            findings.expect(lie.blobs[pair.footage.segments[segment]?.sha256 ?? .sha256([])] == nil, "the segment was sent against the claim")
            let sent = pair.sentBytes
            try await pair.claim([])
            try await settle(pair, &findings)
            findings.expect(pair.sentBytes - sent == 120, "\(pair.sentBytes - sent) bytes were sent for the 120 of the lie")
        },
        ConformanceCase("a statement signed by another key is no licence", many) { pair, findings in
            findings.expect(try await pair.contact(.cut(afterBytes: 2_500)) == .lost, "the cut")
            let before = pair.statement
            try await pair.changeKey()
            let end = try await pair.contact(.none)
            findings.expect(end == .notBelieved, "the contact ended with \(end)")
            findings.expect(pair.statement == before, "the statement was taken")
        },
        ConformanceCase("a clone: the fork is seen, and what is there stays", small) { pair, findings in
            try await settle(pair, &findings)
            let before = try await pair.hubState()
            let end = try await pair.contactOfClone()
            findings.expect(end == .forked, "the clone's contact ended with \(end)")
            let after = try await pair.hubState()
            findings.expect(after.logRoot == before.logRoot && after.held == before.held && after.blobs == before.blobs, "the hub's history changed")
            if let alarms = after.alarms { findings.expect(alarms == 1, "\(alarms) alarms") }
        },
    ]
}
