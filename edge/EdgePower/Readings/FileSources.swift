#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// A file that another program writes (and replaces as a whole, by renaming), in the form of `ReadingsJSON`.
struct FileSource: PowerSource {
    static let fileBytesMax = 65_536
    static let lookMilliseconds: Int64 = 1_000
    /// A time further ahead than this is by another clock than ours.
    static let aheadMillisecondsMax: Int64 = 60_000

    let name: String
    let path: FilePath
    let clocks: any Clocks
    let logger: Logger

    func run(_ deliver: @escaping @Sendable ([PowerReading]) -> Void, stop: PowerStop) {
        PowerSessions(source: name, logger: logger, stop: stop).run { worked in
            var last: FileIdentity?
            var toldMilliseconds = Int64.min
            while !stop.isSet {
                let identity = try FileIdentity(path)
                if identity != last {
                    let readings = try read(identity, after: toldMilliseconds)
                    last = identity
                    toldMilliseconds = readings.first?.bootMilliseconds ?? toldMilliseconds
                    worked()
                    if !readings.isEmpty { deliver(readings) }
                }
                if stop.wait(milliseconds: Self.lookMilliseconds) { return }
            }
        }
    }

    /// - Parameter toldMilliseconds: the time of what was told last.
    private func read(_ identity: FileIdentity, after toldMilliseconds: Int64) throws -> [PowerReading] {
        let json = try ReadingsJSON(RealStorage().read(path, limitBytes: Self.fileBytesMax), from: path.string)
        let writtenMilliseconds = json.at.map { $0 * 1_000 } ?? Double(identity.modifiedUnixMilliseconds)
        // Both times are by the system's clock, whatever the node thinks of it.
        let age = Double(systemUnixMilliseconds()) - writtenMilliseconds
        guard age.isFinite, age >= -Double(Self.aheadMillisecondsMax) else {
            throw PowerSourceProblem("\(path) is of a time still to come; its writer goes by another clock")
        }
        let now = clocks.now().bootMilliseconds
        // What is older is stale already, by however much.
        let taken = now - Int64(min(max(0, age), 1e12))
        // Two clocks are not read in one moment: what was written later may seem earlier by some milliseconds, and would count for nothing.
        let isEarlierByAccident = toldMilliseconds > taken && toldMilliseconds - taken < Self.lookMilliseconds
        return json.powerReadings(source: name, bootMilliseconds: isEarlierByAccident ? toldMilliseconds : taken)
    }

    private func systemUnixMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// Tells one state of a file from another.
private struct FileIdentity: Equatable {
    var modifiedNanoseconds: Int64
    var size: Int64
    var inode: UInt64
    var modifiedUnixMilliseconds: Int64 { modifiedNanoseconds / 1_000_000 }

    init(_ path: FilePath) throws {
        var status = stat()
        guard stat(path.string, &status) == 0 else { throw PowerSourceProblem("\(path) cannot be read: \(Errno(rawValue: errno))") }
        // Opening a pipe would wait for its writer.
        guard status.st_mode & S_IFMT == S_IFREG else { throw PowerSourceProblem("\(path) is no file") }
        modifiedNanoseconds = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
        size = Int64(status.st_size)
        inode = UInt64(status.st_ino)
    }
}

/// A recording: lines of `ReadingsJSON` with `seconds` that rise. For tests and demonstrations.
/// Readings bear the moment at which they are told, and so energy that is counted goes by the speed: a recording should
/// bring its own percentage. After the last line it is silent.
struct ReplaySource: PowerSource {
    static let fileBytesMax = 16 << 20

    let name: String
    let path: FilePath
    /// Seconds of the recording in a second.
    let speed: Double
    let clocks: any Clocks
    let logger: Logger

    func run(_ deliver: @escaping @Sendable ([PowerReading]) -> Void, stop: PowerStop) {
        PowerSessions(source: name, logger: logger, stop: stop).run { worked in
            let lines = try Self.lines(path)
            let began = monotonicMilliseconds()
            for line in lines {
                let due = began + Int64(min((line.seconds ?? 0) * 1_000 / speed, 1e15))
                if stop.wait(milliseconds: due - monotonicMilliseconds()) { return }
                worked()
                deliver(line.powerReadings(source: name, bootMilliseconds: clocks.now().bootMilliseconds))
            }
            logger.notice("the recording is at its end", metadata: ["source": "\(name)", "path": "\(path)"])
            while !stop.wait(milliseconds: 60_000) {}
        }
    }

    static func lines(_ path: FilePath) throws -> [ReadingsJSON] {
        let bytes = try RealStorage().read(path, limitBytes: fileBytesMax)
        var lines: [ReadingsJSON] = []
        for (number, bytes) in bytes.split(separator: 0x0A).enumerated() where !bytes.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) {
            let line = try ReadingsJSON(bytes, from: "\(path), line \(number + 1)")
            guard let seconds = line.seconds, (0...1e9).contains(seconds), seconds >= lines.last?.seconds ?? 0 else {
                throw PowerSourceProblem("\(path), line \(number + 1): \"seconds\" is missing or earlier than in the line before")
            }
            lines.append(line)
        }
        return lines
    }
}
