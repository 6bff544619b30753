import EvidenceLog
import LogFixtures
import RecordingModel
@testable import SyncProtocol
import Testing

@Suite struct FrameTests {
    private func segment() throws -> SegmentID { SegmentID(stream: try #require(StreamID("gate/main")), sequence: 7) }

    private func frames() throws -> [Frame] {
        [
            .entries([1, 2, 3]), .data(segment: try segment(), offset: 4096, bytes: Array(0..<200)),
            .end(segment: try segment(), length: 4296, sha256: .sha256([1])),
        ]
    }

    @Test("CRC-32C gives the values of RFC 3720")
    func checksum() {
        func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { CRC32C.checksum($0) } }
        #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(checksum(Array(0..<32)) == 0x46DD_794E)
        #expect(checksum([]) == 0)
        // The processor and the table agree at every length and alignment.
        var numbers = SeededNumbers(seed: 8)
        let bytes = (0..<600).map { _ in UInt8.random(in: 0...255, using: &numbers) }
        for start in 0..<9 {
            for end in start..<(start + 300) {
                bytes[start..<end].withUnsafeBytes { #expect(CRC32C.checksum($0) == CRC32C.checksumByTable($0)) }
            }
        }
    }

    @Test("Frames come out as they went in, however the bytes arrive", arguments: [1, 2, 3, 7, 64, 10_000])
    func pieces(size: Int) throws {
        let wire = try frames().flatMap { FrameCoding.encode($0) }
        var parser = FrameParser()
        var parsed: [Frame] = []
        for start in stride(from: 0, to: wire.count, by: size) {
            parser.append(wire[start..<min(start + size, wire.count)])
            while let frame = try parser.next() { parsed.append(frame) }
        }
        #expect(try parsed == frames())
        #expect(parser.pendingBytes == 0)
    }

    @Test("No flipped bit yields a frame that was not sent")
    func flips() throws {
        for frame in try frames() {
            let wire = FrameCoding.encode(frame)
            for bit in 0..<(wire.count * 8) {
                var damaged = wire
                damaged[bit / 8] ^= 1 << (bit % 8)
                var parser = FrameParser()
                parser.append(damaged)
                let result = Result { try parser.next() }
                if case .success(.some(let other)) = result { Issue.record("bit \(bit) made \(other)") }
            }
        }
    }

    @Test("A frame cut short waits for the rest")
    func truncated() throws {
        for frame in try frames() {
            let wire = FrameCoding.encode(frame)
            for length in 0..<wire.count {
                var parser = FrameParser()
                parser.append(wire[..<length])
                #expect(try parser.next() == nil)
            }
        }
    }

    @Test("A frame that is shorter than what it names is malformed, and what came before it is whole")
    func cutWithin() throws {
        for body in [[2], [2, 9], [2, 200, 1, 2], [2, 9] + Array("gate/main".utf8), [3, 9] + Array("gate/main".utf8)] as [[UInt8]] {
            for size in [1, 1_000] {
                let wire = FrameCoding.encode(.entries([7])) + FrameCoding.wrap(body)
                var parser = FrameParser()
                for start in stride(from: 0, to: wire.count, by: size) { parser.append(wire[start..<min(start + size, wire.count)]) }
                #expect(try parser.next() == .entries([7]))
                #expect(throws: FrameFault.malformed) { try parser.next() }
            }
        }
        var parser = FrameParser()
        parser.append(FrameCoding.wrap([9, 9]))
        #expect(throws: FrameFault.unknownKind(9)) { try parser.next() }
    }

    @Test("A declared size above the limit is refused before its bytes are waited for")
    func tooLarge() {
        var parser = FrameParser()
        parser.append([0x7F, 0xFF, 0xFF, 0xFF])
        #expect(throws: FrameFault.tooLarge(bytes: 0x7FFF_FFFF)) { try parser.next() }
    }

    @Test("Path-like, oversized and foreign names in a frame are no stream")
    func names() {
        for name in ["../../etc/passwd", "gate", "gate/main/x", "GATE/main", "gate/other", "", "gate\0/main"] {
            #expect(StreamID(name) == nil)
        }
    }
}

@Suite struct EntryBatchTests {
    @Test("A batch survives coding, and anything else is no batch")
    func coding() throws {
        let log = try SampleLog.threeEpochs()
        let (lines, start, checkpoint) = log.batch(0)
        let encoded = try EntryBatch(start: start, lines: lines, checkpoint: checkpoint).encoded()
        let decoded = try #require(EntryBatch(decoding: encoded))
        #expect(decoded.lines == lines && decoded.start == start && decoded.checkpoint == checkpoint)
        for length in 0..<encoded.count { #expect(EntryBatch(decoding: Array(encoded[..<length])) == nil) }
        var generator = SeededNumbers(seed: 7)
        for _ in 0..<2_000 {
            var damaged = encoded
            damaged[Int.random(in: 0..<damaged.count, using: &generator)] = UInt8.random(in: .min ... .max, using: &generator)
            // Whatever it decodes to must still be judged by the log's verifier; it must not crash here.
            _ = EntryBatch(decoding: damaged)
        }
    }

    @Test("A hundred segment entries cost at most 200 bytes each on the wire")
    func size() throws {
        var log = try SampleLog()
        for sequence in 0..<100 { try log.append(.segment(.sample(sequence: UInt64(sequence)))) }
        let checkpoint = try log.seal()
        let bytes = try EntryBatch(start: 0, lines: log.lines, checkpoint: checkpoint).encoded().count
        #expect(bytes / 100 <= 200)
    }
}
