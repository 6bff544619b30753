@testable import EdgePower
import Foundation
import RecordingModel
import TestSupport
import Testing

/// Recordings of three Victron devices by Janne Kario (MIT), as PyPI's `vedirect-m8` ships them (`deploy/test` installs it). The
/// package went through a text editor once: CR LF became LF, and bytes beyond ASCII, most of the checksums, became U+FFFD.
/// `restored` undoes the first and calculates the second anew; the checksums that are ASCII, and those of the HEX frames,
/// are the devices' own.
@Suite("Recorded VE.Direct streams")
struct RecordedStreamTests {
    @Test(arguments: [("bluesolar_1.23", 248, 247, 7), ("smartsolar_1.39", 494, 493, 2), ("bmv702", 906, 906, 0)])
    func `Every whole block of a recording is read, and one that begins in the middle is not`(name: String, blocks: Int, valid: Int, frames: Int) throws {
        let recording = try Recording(name)
        #expect(recording.blocks == blocks)
        var parser = VEDirectParser()
        let outputs = parser.take(recording.bytes)
        #expect(parser.counts == VEDirectParser.Counts(blocks: valid, rejectedBlocks: blocks - valid, frames: frames, rejectedFrames: 0))
        let read = outputs.filter { if case .block = $0 { true } else { false } }
        #expect(read.count == valid)
        var reader = VEDirectReader(source: "x")
        let readings = outputs.flatMap { reader.readings([$0], bootMilliseconds: 0) }
        let volts = readings.filter { $0.quantity == .batteryVolts }.map(\.value)
        let hasVolts = read.filter { if case .block(let block) = $0 { block.fields["V"] != nil } else { false } }
        #expect(volts.count == hasVolts.count && volts.allSatisfy { (11.5...14).contains($0) })
    }

    @Test func `The devices' own checksums hold, without any help`() throws {
        let recording = try Recording("bmv702")
        var parser = VEDirectParser()
        var own = 0
        for (block, isOwn) in recording.split where isOwn {
            own += 1
            #expect(parser.take(block).count == 1)
        }
        #expect(own == 452 && parser.counts.blocks == 452)
    }
}

private struct Recording {
    /// As the device sent them, checksums calculated where they were lost.
    var bytes: [UInt8] = []
    /// Block by block, and whether the checksum is the device's own.
    var split: [(bytes: [UInt8], isOwn: Bool)] = []
    var blocks: Int { split.count }

    init(_ name: String) throws {
        let found = try runBlocking(python, ["-c", "import importlib.util; print(importlib.util.find_spec('vedirect_m8').submodule_search_locations[0])"])
        guard found.status == 0 else { throw TestFailure("PyPI's vedirect-m8 is missing; deploy/test installs it: \(found.errors)") }
        let folder = found.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/sim_data/\(name).dump"))
        var rest = [UInt8](data)[...]
        let mark = Array("Checksum\t".utf8)
        // The package lost what stands before the first label: for the monitor CR LF, since its 906 blocks are whole. The chargers'
        // recordings begin within a block, and so they are left: without the begin of a line.
        var isFirst = name == "bmv702"
        while let range = rest.firstRange(of: mark) {
            var block = restored(Array(rest[..<range.upperBound]), isFirst: isFirst)
            let after = rest[range.upperBound...]
            let isLost = after.prefix(3).elementsEqual([0xEF, 0xBF, 0xBD])
            block.append(isLost ? 0 &- textBytes(block).reduce(0, &+) : after.first ?? 0)
            bytes += block
            split.append((block, !isLost))
            rest = after.dropFirst(isLost ? 3 : 1)
            isFirst = false
        }
    }

    /// CR before each LF but those that end a HEX frame.
    private func restored(_ text: [UInt8], isFirst: Bool) -> [UInt8] {
        var bytes: [UInt8] = isFirst ? [0x0D, 0x0A] : []
        var isInFrame = false
        for byte in text {
            if byte == 0x3A { isInFrame = true }
            if byte == 0x0A {
                if !isInFrame { bytes.append(0x0D) }
                isInFrame = false
            }
            bytes.append(byte)
        }
        return bytes
    }

    private func textBytes(_ block: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        var isInFrame = false
        for byte in block {
            if byte == 0x3A { isInFrame = true }
            if !isInFrame { bytes.append(byte) }
            if byte == 0x0A { isInFrame = false }
        }
        return bytes
    }
}
