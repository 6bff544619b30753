import LibAV

/// The picture of the `test:` camera: a gradient that wanders, a bar that sweeps, and the frame number burnt in,
/// so that a viewer sees at once whether something is missing.
struct TestPattern: ~Copyable {
    struct Options: Hashable {
        var widthPixels = 640
        var heightPixels = 360
        var framesPerSecond = 15
        var groupFrames = 15
        var bitsPerSecond = 300_000
    }

    private let ramp: [UInt8]
    private let widthPixels: Int

    init(_ options: Options) {
        widthPixels = options.widthPixels
        // Two periods of a triangle wave longer than a row: any row of any frame is a slice of it.
        ramp = (0..<(options.widthPixels + 512)).map { position in
            let phase = position % 256
            return UInt8(48 + (phase < 128 ? phase : 255 - phase))
        }
    }

    func draw(frame: Int64, into picture: inout Picture) throws(LibAVError) {
        let width = widthPixels
        let height = picture.heightPixels
        try picture.withPlane(0) { plane, stride in
            ramp.withUnsafeBytes { ramp in
                for row in 0..<height {
                    let offset = (row / 4 + Int(frame) * 2) % 256
                    UnsafeMutableRawBufferPointer(rebasing: plane[(row * stride)..<(row * stride + width)])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: ramp[offset..<(offset + width)]))
                }
            }
            let bar = Int(frame) * 4 % width
            Self.fill(plane, stride, x: bar, y: height / 2, width: min(8, width - bar), height: height / 2, value: 230)
            Self.drawNumber(frame, plane, stride, scale: max(1, height / 90))
        }
        for index in 1...2 {
            try picture.withPlane(index) { plane, _ in plane.initializeMemory(as: UInt8.self, repeating: UInt8(120 + (Int(frame / 8) + index * 9) % 16)) }
        }
    }

    private static func fill(
        _ plane: UnsafeMutableRawBufferPointer, _ stride: Int, x: Int, y: Int, width: Int, height: Int, value: UInt8
    ) {
        for row in y..<(y + height) {
            UnsafeMutableRawBufferPointer(rebasing: plane[(row * stride + x)..<(row * stride + x + width)])
                .initializeMemory(as: UInt8.self, repeating: value)
        }
    }

    /// Digits of 3 by 5 dots, 15 bits each, top row first.
    private static let digits: [UInt16] = [
        0b111_101_101_101_111, 0b010_110_010_010_111, 0b111_001_111_100_111, 0b111_001_111_001_111, 0b101_101_111_001_001,
        0b111_100_111_001_111, 0b111_100_111_101_111, 0b111_001_010_010_010, 0b111_101_111_101_111, 0b111_101_111_001_111,
    ]

    private static func drawNumber(_ number: Int64, _ plane: UnsafeMutableRawBufferPointer, _ stride: Int, scale: Int) {
        let count = 8
        fill(plane, stride, x: 0, y: 0, width: min(stride, (count * 4 + 1) * scale), height: 7 * scale, value: 16)
        var rest = number
        for place in (0..<count).reversed() {
            let dots = digits[Int(rest % 10)]
            rest /= 10
            for dot in 0..<15 where dots >> UInt16(14 - dot) & 1 == 1 {
                fill(plane, stride, x: (place * 4 + 1 + dot % 3) * scale, y: (1 + dot / 3) * scale, width: scale, height: scale, value: 235)
            }
        }
    }
}

extension TestPattern.Options {
    struct Problem: Error, Hashable { var sentence: String }

    /// `test:?size=640x360&fps=15&gop=15&bitrate=300k`; everything may be left out.
    static func parse(_ url: String) -> Result<Self, Problem> {
        var options = Self()
        var groupFrames: Int?
        let query = url.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { return .failure(Problem(sentence: "test: options are written name=value")) }
            switch parts[0] {
            case "size":
                let sides = parts[1].split(separator: "x").compactMap { Int($0) }
                // The burnt-in number needs its room, and 4:2:0 needs even sides.
                guard sides.count == 2, sides.allSatisfy({ (64...4096).contains($0) && $0.isMultiple(of: 2) }) else {
                    return .failure(Problem(sentence: "test: size is WIDTHxHEIGHT, even, 64 to 4096"))
                }
                (options.widthPixels, options.heightPixels) = (sides[0], sides[1])
            case "fps":
                guard let value = Int(parts[1]), (1...120).contains(value) else { return .failure(Problem(sentence: "test: fps is 1 to 120")) }
                options.framesPerSecond = value
            case "gop":
                guard let value = Int(parts[1]), (1...10_000).contains(value) else { return .failure(Problem(sentence: "test: gop is 1 to 10000 frames")) }
                groupFrames = value
            case "bitrate":
                let scale = parts[1].hasSuffix("k") ? 1_000 : parts[1].hasSuffix("M") ? 1_000_000 : 1
                guard let value = Int(scale == 1 ? parts[1] : parts[1].dropLast()), (10_000...100_000_000).contains(value * scale) else {
                    return .failure(Problem(sentence: "test: bitrate is 10k to 100M"))
                }
                options.bitsPerSecond = value * scale
            default: return .failure(Problem(sentence: "test: the options are size, fps, gop and bitrate"))
            }
        }
        options.groupFrames = groupFrames ?? options.framesPerSecond
        return .success(options)
    }
}
