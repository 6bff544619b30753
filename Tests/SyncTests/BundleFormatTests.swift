import EvidenceLog
import Foundation
import LogFixtures
import RecordingModel
@testable import SyncProtocol
import TestSupport
import Testing

@Suite struct BundleFormatTests {
    private func header() throws -> BundleHeader {
        BundleHeader(
            number: 3, bundle: (1...16).map(UInt8.init), node: NodeID(keyHash: .sha256([1])), hub: HubID(keyHash: .sha256([2])),
            log: try LogID(String(repeating: "0a", count: 16)).orThrow("a log"), madeUnixMilliseconds: 1_700_000_000_000, firstEntry: 42)
    }

    @Test func aHeaderIsReadBackAsItWas() throws {
        let header = try header()
        #expect(header.encoded.count == BundleHeader.byteCount)
        #expect(try BundleHeader(decoding: header.encoded) == header)
        var other = header
        other.number = 9
        #expect(header.isOfSameBundle(as: other))
        other.log = try LogID(String(repeating: "0b", count: 16)).orThrow("a log")
        #expect(!header.isOfSameBundle(as: other))
    }

    @Test func everyChangedByteOfAHeaderIsFound() throws {
        let bytes = try header().encoded
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << bit
                #expect(throws: BundleHeader.Fault.self, "byte \(index), bit \(bit)") { try BundleHeader(decoding: changed) }
            }
        }
        for count in 0..<bytes.count { #expect(throws: BundleHeader.Fault.isNone) { try BundleHeader(decoding: Array(bytes.prefix(count))) } }
    }

    @Test func aNewerFormatIsNamed() throws {
        var bytes = try header().encoded
        bytes[9] = 7
        #expect(throws: BundleHeader.Fault.isNewer(version: 7)) { try BundleHeader(decoding: bytes) }
    }

    @Test func marksAreReadBackAsTheyWere() throws {
        let sample = try SampleLog.threeEpochs()
        let checkpoint = try sample.checkpoints.last.orThrow("a checkpoint")
        for mark in [BundleMark.plan(segments: 14, bytes: 1 << 40), .end(records: 3, bytes: 99, checkpoint: checkpoint)] {
            let wire = mark.encoded
            #expect(BundleMark(decoding: wire[4..<wire.count - 4]) == mark)
        }
    }

    @Test func namesAreShortUpperCaseAndWithoutAnythingThatFATForbids() throws {
        let node = NodeID(keyHash: .sha256([1]))
        let names = [BundleNames.root, BundleNames.folder(of: node), BundleNames.folder(ofBundle: [0xAB, 1, 2, 3, 4]), BundleNames.fileName(1), BundleNames.fileName(99_999_999), BundleNames.receipt]
        for name in names {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            #expect((1...2).contains(parts.count) && (1...8).contains(parts[0].count) && (parts.dropFirst().first?.count ?? 1) <= 3, "\(name)")
            #expect(name.utf8.allSatisfy { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".") }, "\(name)")
        }
        #expect(BundleLimits.fileBytes < 4 << 30)
        #expect(BundleNames.isFolder("AB010203") && BundleNames.isFolder("ab010203") && !BundleNames.isFolder("AB01020") && !BundleNames.isFolder("SYSTEM~1"))
    }

    /// A length is compared with its limit before anything is allocated, and nothing is read beyond the file.
    @Test func lengthsThatCannotBeAreRefusedUnread() throws {
        for length in [UInt32(0), UInt32(FrameCoding.payloadByteLimit) + 1, .max] {
            let bytes = withUnsafeBytes(of: length.bigEndian) { Array($0) } + [UInt8](repeating: 2, count: 200)
            var largest = 0
            var reader = BundleReader(length: 1 << 40, from: 0) { offset, count in
                largest = max(largest, count)
                return Array(bytes.dropFirst(Int(offset)).prefix(count))
            }
            #expect(throws: BundleBreak(reason: .damaged, offset: 0)) { _ = try reader.next() }
            #expect(largest <= 80)
        }
    }

    @Test func anyBytesEndInASentenceAndNeverInACrash() throws {
        var random = SeededNumbers(seed: 11)
        for _ in 0..<2_000 {
            var bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            // Plausible beginnings, so that more than the length is looked at.
            if bytes.count > 60, Bool.random(using: &random) {
                bytes.replaceSubrange(0..<6, with: [0, 0, 0, UInt8.random(in: 1...200, using: &random), [1, 2, 3, 0x70, 0x71][Int.random(in: 0...4, using: &random)], 9])
                bytes.replaceSubrange(6..<15, with: Array("gate/main".utf8))
            }
            var reader = BundleReader(length: Int64(bytes.count), from: 0) { [bytes] in Array(bytes.dropFirst(Int($0)).prefix($1)) }
            var contents = BundleContents()
            do { while let record = try reader.next(isWanted: { _, _, _ in false }), contents.take(record) {} } catch {}
            #expect(reader.offset <= Int64(bytes.count))
        }
    }
}
