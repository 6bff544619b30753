import FoundationEssentials
import Testing

@testable import Zstd

/// A small generator of its own, so that the library's tests need nothing else.
private struct Lehmer: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

private func logLines(_ count: Int) -> [UInt8] {
    var generator = Lehmer(state: 7)
    return Array((0..<count).map { "{\"kind\":\"segment\",\"seq\":\($0),\"sha256\":\"\(String(generator.next(), radix: 16))\"}\n" }.joined().utf8)
}

@Suite struct ZstdTests {
    @Test(arguments: [0, 1, 100, 65_536, 200_000, 3_000_000]) func `what is compressed comes back`(size: Int) throws {
        var generator = Lehmer(state: UInt64(size) + 1)
        let bytes = (0..<size).map { _ in UInt8.random(in: 0..<12, using: &generator) }
        var compressor = try ZstdCompressor()
        var decompressor = try ZstdDecompressor()
        for level in [9, 1, 19, 9] where level < 19 || size < 1_000_000 {
            let frame = try compressor.compress(bytes, level: level)
            #expect(try decompressor.decompress(frame, limitBytes: size) == bytes)
        }
    }

    @Test func `a frame declares its size and has no checksum`() throws {
        var compressor = try ZstdCompressor()
        let frame = try compressor.compress(logLines(50))
        #expect(try FrameHeader(frame).contentBytes == UInt64(logLines(50).count))
        #expect(frame[4] & 0x04 == 0)
    }

    @Test(arguments: [1, 9, 19]) func `a shared dictionary makes small messages smaller, and only it opens them`(level: Int) throws {
        let dictionary = logLines(200)
        let message = Array(logLines(40).suffix(300))
        var plain = try ZstdCompressor()
        var primed = try ZstdCompressor(dictionary: dictionary)
        let frame = try primed.compress(message, level: level)
        let plainCount = try plain.compress(message, level: level).count
        #expect(frame.count * 2 < plainCount)
        var decompressor = try ZstdDecompressor(dictionary: dictionary)
        #expect(try decompressor.decompress(frame, limitBytes: 4096) == message)
        #expect(try decompressor.decompress(frame, limitBytes: 4096) == message)
        #expect(throws: ZstdError.self) {
            var stranger = try ZstdDecompressor()
            _ = try stranger.decompress(frame, limitBytes: 4096)
        }
    }

    /// The one that programs ship.
    private static func trained() throws -> [UInt8] {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return Array(try Data(contentsOf: URL(filePath: "/\(root)/Sources/SyncProtocol/Dictionaries/messages-1.zdict")))
    }

    @Test func `a frame names the trained dictionary it needs, and no other opens it`() throws {
        let bytes = try Self.trained()
        let dictionary = try ZstdDictionary(bytes, level: 9)
        let other = try ZstdDictionary(Array(bytes[..<4]) + [7, 0, 0, 0] + bytes[8...], level: 9)
        #expect(dictionary.id == 32_769 && other.id == 7)
        var compressor = try ZstdCompressor(dictionary)
        var decompressor = try ZstdDecompressor(dictionary)
        for message in [logLines(1), [], logLines(300), logLines(2)] {
            let frame = try compressor.compress(message)
            #expect(try ZstdDictionary.id(neededBy: frame) == 32_769)
            #expect(try decompressor.decompress(frame, limitBytes: message.count) == message)
            #expect(throws: ZstdError.self) {
                var stranger = try ZstdDecompressor(other)
                _ = try stranger.decompress(frame, limitBytes: 1 << 20)
            }
            #expect(throws: ZstdError.self) {
                var without = try ZstdDecompressor()
                _ = try without.decompress(frame, limitBytes: 1 << 20)
            }
        }
        var plain = try ZstdCompressor()
        #expect(try ZstdDictionary.id(neededBy: plain.compress(logLines(1))) == nil)
    }

    @Test func `bytes that are no trained dictionary are refused`() throws {
        for bytes in [[], logLines(100), Array(try Self.trained().prefix(40))] {
            #expect(throws: ZstdError.notADictionary) { _ = try ZstdDictionary(bytes, level: 9) }
        }
    }

    @Test func `a bomb with the dictionary's id is refused as any other`() throws {
        let dictionary = try ZstdDictionary(Self.trained(), level: 9)
        var compressor = try ZstdCompressor(dictionary)
        var decompressor = try ZstdDecompressor(dictionary)
        let bomb = try compressor.compress([UInt8](repeating: 0, count: 4_000_000))
        #expect(throws: ZstdError.outputAboveLimit(limitBytes: 3_999_999)) { _ = try decompressor.decompress(bomb, limitBytes: 3_999_999) }
        #expect(throws: ZstdError.ratioAboveLimit(ratioLimit: 50)) { _ = try decompressor.decompress(bomb, limitBytes: 4_000_000) }
        // Magic, no size and two bytes of id, a window of 8 KiB, the id, blocks of 1,000 bytes.
        let undeclared: [UInt8] = FrameHeader.magic + [0x02, 0x18, 0x01, 0x80] + (0..<5_000).flatMap { _ in [0x42, 0x1F, 0x00, 0x41] as [UInt8] }
        #expect(try FrameHeader(undeclared).dictionaryID == 32_769)
        #expect(throws: ZstdError.outputAboveLimit(limitBytes: 100_000)) { _ = try decompressor.decompress(undeclared, limitBytes: 100_000, ratioLimit: nil) }
    }

    @Test func `a declared size above the limit is refused before anything is allocated`() throws {
        // A header that promises 2^62 bytes, and one raw block of nothing.
        let header: [UInt8] = FrameHeader.magic + [0xC0, 0x00] + [0, 0, 0, 0, 0, 0, 0, 0x40] + [1, 0, 0]
        var decompressor = try ZstdDecompressor()
        #expect(throws: ZstdError.outputAboveLimit(limitBytes: 1 << 20)) { _ = try decompressor.decompress(header, limitBytes: 1 << 20) }
        #expect(throws: ZstdError.ratioAboveLimit(ratioLimit: 50)) { _ = try decompressor.decompress(header, limitBytes: .max) }
    }

    @Test func `a bomb is refused by its size and by its ratio`() throws {
        var compressor = try ZstdCompressor()
        var decompressor = try ZstdDecompressor()
        let bomb = try compressor.compress([UInt8](repeating: 0, count: 4_000_000))
        #expect(throws: ZstdError.outputAboveLimit(limitBytes: 3_999_999)) { _ = try decompressor.decompress(bomb, limitBytes: 3_999_999) }
        #expect(throws: ZstdError.ratioAboveLimit(ratioLimit: 50)) { _ = try decompressor.decompress(bomb, limitBytes: 4_000_000) }
        #expect(try decompressor.decompress(bomb, limitBytes: 4_000_000, ratioLimit: nil).count == 4_000_000)
        // What is small anyway is no bomb.
        let small = try compressor.compress([UInt8](repeating: 0, count: 60_000))
        #expect(try decompressor.decompress(small, limitBytes: 65_536).count == 60_000)
    }

    @Test func `a frame without a declared size is read, up to the limit`() throws {
        // Window of 8 KiB, no size; two RLE blocks of 1,000 bytes, the second the last.
        func frame(blocks: Int) -> [UInt8] {
            FrameHeader.magic + [0x00, 0x18]
                + (0..<blocks).flatMap { index -> [UInt8] in
                    let block = 1000 << 3 | 1 << 1 | (index == blocks - 1 ? 1 : 0)
                    return [UInt8(block & 255), UInt8(block >> 8 & 255), UInt8(block >> 16), 0x41]
                }
        }
        var decompressor = try ZstdDecompressor()
        #expect(try decompressor.decompress(frame(blocks: 2), limitBytes: 2000) == [UInt8](repeating: 0x41, count: 2000))
        #expect(throws: ZstdError.outputAboveLimit(limitBytes: 1999)) { _ = try decompressor.decompress(frame(blocks: 2), limitBytes: 1999) }
        #expect(throws: ZstdError.ratioAboveLimit(ratioLimit: 50)) { _ = try decompressor.decompress(frame(blocks: 5000), limitBytes: .max) }
        #expect(throws: ZstdError.outputAboveLimit(limitBytes: 100_000)) {
            _ = try decompressor.decompress(frame(blocks: 5000), limitBytes: 100_000, ratioLimit: nil)
        }
    }

    @Test func `every truncation is refused`() throws {
        var compressor = try ZstdCompressor()
        var decompressor = try ZstdDecompressor()
        let frame = try compressor.compress(logLines(30))
        for count in 0..<frame.count {
            #expect(throws: ZstdError.self) { _ = try decompressor.decompress(Array(frame.prefix(count)), limitBytes: 1 << 20) }
        }
        #expect(throws: ZstdError.truncated) { _ = try decompressor.decompress(frame.dropLast(), limitBytes: 1 << 20) }
        #expect(try decompressor.decompress(frame, limitBytes: 1 << 20) == logLines(30))
    }

    @Test func `a window above 8 MiB is refused and one of 8 MiB is not`() throws {
        func frame(windowByte: UInt8) -> [UInt8] { FrameHeader.magic + [0x00, windowByte, 0x09, 0, 0, 0x41] }
        var decompressor = try ZstdDecompressor()
        #expect(try decompressor.decompress(frame(windowByte: 13 << 3), limitBytes: 100).count == 1)
        for byte: UInt8 in [13 << 3 | 1, 14 << 3, 31 << 3 | 7] {
            #expect(throws: ZstdError.windowAboveLimit) { _ = try decompressor.decompress(frame(windowByte: byte), limitBytes: 100) }
        }
    }

    @Test func `bytes after the frame are refused, be they garbage, a second frame or a skippable one`() throws {
        var compressor = try ZstdCompressor()
        var decompressor = try ZstdDecompressor()
        let frame = try compressor.compress(logLines(3))
        let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]
        for tail in [[0], frame, skippable] {
            #expect(throws: ZstdError.trailingBytes(count: tail.count)) { _ = try decompressor.decompress(frame + tail, limitBytes: 1 << 20) }
        }
        #expect(throws: ZstdError.notAFrame) { _ = try decompressor.decompress(skippable + frame, limitBytes: 1 << 20) }
        #expect(throws: ZstdError.notAFrame) { _ = try decompressor.decompress([], limitBytes: 1 << 20) }
        #expect(throws: ZstdError.notAFrame) { _ = try decompressor.decompress(Array("GET / HTTP/1.1".utf8), limitBytes: 1 << 20) }
    }

    @Test func `ten thousand mutated frames neither crash nor pass a limit nor spoil the context`() throws {
        var generator = Lehmer(state: 42)
        var compressor = try ZstdCompressor()
        var decompressor = try ZstdDecompressor()
        let content = logLines(60)
        let frame = try compressor.compress(content)
        var refused = 0
        for _ in 0..<10_000 {
            var mutant = frame
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                let index = Int.random(in: 0..<mutant.count, using: &generator)
                mutant[index] = UInt8.random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) { mutant.removeLast(Int.random(in: 0..<mutant.count, using: &generator)) }
            do throws(ZstdError) {
                let output = try decompressor.decompress(mutant, limitBytes: 100_000)
                #expect(output.count <= 100_000)
            } catch { refused += 1 }
        }
        #expect(refused > 5_000)
        #expect(try decompressor.decompress(frame, limitBytes: content.count) == content)
    }
}
