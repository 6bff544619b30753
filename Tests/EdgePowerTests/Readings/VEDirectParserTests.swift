@testable import EdgePower
import Foundation
import RecordingModel
import TestSupport
import Testing

@Suite("VE.Direct, byte by byte")
struct VEDirectParserTests {
    @Test func `A block is read, however its bytes are cut`() {
        let bytes = veDirectBlock(solarCharger)
        for size in 1...bytes.count {
            var parser = VEDirectParser()
            var outputs: [VEDirectParser.Output] = []
            for start in stride(from: 0, to: bytes.count, by: size) { outputs += parser.take(bytes[start..<min(start + size, bytes.count)]) }
            #expect(outputs == [.block(VEDirectBlock(fields: Dictionary(uniqueKeysWithValues: solarCharger)))])
        }
    }

    @Test func `The checksum byte may be any, a colon, a tab and a line feed too`() {
        var seen: Set<UInt8> = []
        var random = SeededRandom(seed: 1)
        for _ in 0..<10_000 where seen.count < 256 {
            let serial = (0..<16).map { _ in UInt8.random(in: 0x40...0x7E, using: &random) }
            let bytes = veDirectBlock([("V", "12800"), ("SER#", String(decoding: serial, as: UTF8.self))])
            seen.insert(bytes.last ?? 0)
            var parser = VEDirectParser()
            #expect(parser.take(bytes + bytes).count == 2, "checksum \(bytes.last ?? 0)")
        }
        #expect(seen.count == 256)
    }

    @Test func `A HEX frame at any place neither spoils the block nor is lost`() {
        let block = veDirectBlock(solarCharger)
        let frame = veDirectFrame(register: 0xEDBC, value: [0x10, 0x27, 0, 0])
        for place in 0..<block.count {
            var parser = VEDirectParser()
            let outputs = parser.take(block[..<place] + frame + block[place...])
            if place == block.count - 1 { continue }  // where the checksum belongs a colon is the checksum
            #expect(outputs.count == 2 && parser.counts.blocks == 1 && parser.counts.frames == 1, "at byte \(place)")
            #expect(outputs.contains(.register(VEDirectRegister(number: 0xEDBC, flags: 0, value: [0x10, 0x27, 0, 0]))))
        }
    }

    @Test func `A line taken up in the middle gives nothing until the next block`() {
        let block = veDirectBlock(solarCharger)
        let whole = VEDirectParser.Output.block(VEDirectBlock(fields: Dictionary(uniqueKeysWithValues: solarCharger)))
        // Where the end of the cut block cannot be known as one, the next is lost with it.
        let end = block.count - "\nChecksum\t ".utf8.count
        for place in 1..<block.count {
            var parser = VEDirectParser()
            let outputs = parser.take(block[place...] + block + block)
            #expect(outputs == (place <= end ? [whole, whole] : [whole]), "from byte \(place)")
        }
    }

    @Test func `Half a block before silence is not joined with what comes after it`() {
        let block = veDirectBlock(solarCharger)
        var parser = VEDirectParser()
        #expect(parser.take(block[..<40]).isEmpty)
        parser.reset()
        #expect(parser.take(block).count == 1)
        #expect(parser.counts == VEDirectParser.Counts(blocks: 1, rejectedBlocks: 1))
    }

    @Test func `No flip of a bit is taken for a value`() {
        let block = veDirectBlock(solarCharger)
        for place in block.indices {
            for bit in 0..<8 {
                var damaged = block
                damaged[place] ^= 1 << bit
                var parser = VEDirectParser()
                let outputs = parser.take(damaged)
                #expect(outputs.isEmpty, "byte \(place), bit \(bit): \(outputs)")
                // And what follows is read again, one block later at the most.
                #expect(!parser.take(block + block).isEmpty, "byte \(place), bit \(bit)")
            }
        }
    }

    /// What is told must stand in the bytes with a checksum that holds, found here by another way than the parser's.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func `No bytes crash it, and nothing is told whose checksum does not hold`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var stream: [UInt8] = []
        let block = veDirectBlock(solarCharger)
        let frame = veDirectFrame(register: 0x0FFF, value: [0x10, 0x27])
        while stream.count < 60_000 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1: stream += block
            case 2: stream += frame
            case 3: stream += block.prefix(Int.random(in: 0..<block.count, using: &random))
            case 4: stream += (0..<Int.random(in: 0..<300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            case 5: stream += [UInt8](repeating: [0x3A, 0x0A, 0x09, 0x41, 0x0D].randomElement(using: &random) ?? 0, count: Int.random(in: 0..<5_000, using: &random))
            default:
                var damaged = block + frame
                for _ in 0..<Int.random(in: 1..<4, using: &random) {
                    damaged[Int.random(in: 0..<damaged.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                }
                stream += damaged
            }
        }
        var parser = VEDirectParser()
        var taken = 0
        while taken < stream.count {
            let size = min(Int.random(in: 1...512, using: &random), stream.count - taken)
            let outputs = parser.take(stream[taken..<taken + size])
            taken += size
            #expect(outputs.count <= size)
            for output in outputs {
                switch output {
                case .block: continue
                case .register(let register):
                    let bytes = [UInt8(register.number & 0xFF), UInt8(register.number >> 8), register.flags] + register.value
                    let text = bytes.map { String(format: "%02X", $0) }.joined()
                    let stands = [0xA, 0x7].contains { command in
                        let check = UInt8(0x55) &- bytes.reduce(UInt8(command), &+)
                        return contains(stream[..<taken], Array((":" + String(command, radix: 16, uppercase: true) + text + String(format: "%02X", check) + "\n").utf8))
                    }
                    #expect(stands, "seed \(seed)")
                }
            }
            if Int.random(in: 0..<20, using: &random) == 0 { parser.reset() }
        }
        // Blocks: without HEX frames what lies before the end of one must read as it says, and sum to 0.
        var plain = VEDirectParser()
        let text = stream.map { $0 == 0x3A ? 0x3B : $0 }
        for place in text.indices {
            for case .block(let block) in plain.take([text[place]]) {
                #expect(reads(text[max(0, place - 2_100)...place], as: block.fields), "seed \(seed)")
            }
        }
        #expect(sizeAsText(parser) < 20_000, "the parser holds \(sizeAsText(parser)) bytes after \(stream.count)")
    }

    /// Whether from some CR on the bytes sum to 0, and their lines are those fields.
    private func reads(_ bytes: ArraySlice<UInt8>, as fields: [String: String]) -> Bool {
        bytes.indices.contains { begin in
            guard bytes[begin] == 0x0D, bytes[begin...].reduce(0, &+) == 0 else { return false }
            let lines = bytes[begin...].dropLast().split(separator: 0x0A, omittingEmptySubsequences: false).dropFirst()
            guard lines.last.map({ $0.elementsEqual("Checksum\t".utf8) }) == true else { return false }
            let pairs = lines.dropLast().map { String(decoding: $0.filter { $0 != 0x0D }, as: UTF8.self).split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false) }
            return pairs.count == fields.count && pairs.allSatisfy { $0.count == 2 && fields[String($0[0])] == String($0[1]) }
        }
    }

    private func contains(_ bytes: ArraySlice<UInt8>, _ part: [UInt8]) -> Bool { Data(bytes).range(of: Data(part)) != nil }

    /// Roughly what a value holds, by its text.
    private func sizeAsText(_ parser: VEDirectParser) -> Int { String(describing: parser).utf8.count }

    @Test func `A charger's numbers come in volts, amperes, watts and watt hours`() throws {
        var parser = VEDirectParser()
        var reader = VEDirectReader(source: "victron")
        let readings = reader.readings(parser.take(veDirectBlock(solarCharger)), bootMilliseconds: 5)
        func value(_ quantity: PowerQuantity) -> Double? { readings.first { $0.quantity == quantity }?.value }
        #expect(value(.batteryVolts) == 12.81 && value(.batteryAmperes) == 1.5 && value(.panelVolts) == 18.34 && value(.panelWatts) == 20)
        #expect(value(.loadAmperes) == 0.3 && value(.panelWattHoursToday) == 70 && value(.isCharging) == 1 && value(.isHarvestLimited) == 0)
        #expect(value(.isLoadCut) == 0 && value(.isChargeBlocked) == 0 && value(.batteryPercent) == nil, "an MPPT knows no state of charge")
        #expect(readings.allSatisfy { $0.bootMilliseconds == 5 && $0.source == "victron" })
        #expect(readings.first { $0.quantity == .batteryAmperes }?.confidence == .medium, "it does not see what other loads draw")
    }

    @Test func `A shunt's numbers bear the highest confidence`() {
        var parser = VEDirectParser()
        var reader = VEDirectReader(source: "shunt")
        let block: [(String, String)] = [
            ("PID", "0x203"), ("V", "12065"), ("I", "-7625"), ("P", "-92"), ("CE", "-65473"), ("SOC", "839"), ("TTG", "942"), ("Alarm", "OFF"), ("AR", "4"), ("T", "-7"),
        ]
        let readings = reader.readings(parser.take(veDirectBlock(block)), bootMilliseconds: 0)
        func reading(_ quantity: PowerQuantity) -> PowerReading? { readings.first { $0.quantity == quantity } }
        #expect(reading(.batteryPercent)?.value == 83.9 && reading(.batteryPercent)?.confidence == .high)
        #expect(reading(.batteryAmperes)?.value == -7.625 && reading(.batteryAmperes)?.confidence == .high)
        #expect(reading(.secondsToEmpty)?.value == 56_520 && reading(.batteryCelsius)?.value == -7 && reading(.isBatteryLow)?.value == 1)
        let consumed = reading(.consumedAmpereHours)?.value ?? 0
        #expect(abs(consumed - 65.473) < 1e-9)
        let infinite = reader.readings(parser.take(veDirectBlock([("V", "13200"), ("SOC", "1000"), ("TTG", "-1"), ("T", "---")])), bootMilliseconds: 0)
        #expect(!infinite.contains { $0.quantity == .secondsToEmpty || $0.quantity == .batteryCelsius })
    }

    @Test func `Registers that come by themselves have finer steps, and unknown ones are no reading`() {
        var parser = VEDirectParser()
        var reader = VEDirectReader(source: "victron")
        let frames = [
            veDirectFrame(register: 0xEDBC, value: [0x39, 0x30, 0, 0]), veDirectFrame(register: 0xED8D, value: [0x00, 0x05]), veDirectFrame(register: 0xED8F, value: [0xFB, 0xFF]),
            veDirectFrame(register: 0x0FFF, value: [0xFF, 0xFF]), veDirectFrame(register: 0xEDBB, value: [0x10, 0x27], flags: 1), veDirectFrame(register: 0x1050, value: [1, 2, 3]),
            veDirectFrame(register: 0xEDEC, value: [0x57, 0x68]),
        ]
        let readings = reader.readings(parser.take(frames.joined()), bootMilliseconds: 0)
        #expect(readings.map(\.quantity) == [.panelWatts, .batteryVolts, .batteryAmperes, .batteryCelsius])
        #expect(readings.map(\.value) == [123.45, 12.8, -0.5, -6.04])
        #expect(parser.counts.frames == 7)
    }
}
