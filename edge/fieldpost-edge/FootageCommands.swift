import ArgumentParser
import EdgeJournal
import FoundationEssentials
import RecordingModel
import ServiceSupport
import StorageIO
import SystemPackage

/// A camera's footage between two times, as its options name it.
struct RangeOptions: ParsableArguments {
    @Argument(help: "The camera.") var camera: String
    @Option(help: "From this time, such as 2026-11-21T08:00:00Z. Default: the oldest.") var from: String?
    @Option(help: "Until this time. Default: the newest.") var to: String?

    func stream() throws -> StreamID { try Self.stream(of: camera) }

    static func stream(of camera: String) throws -> StreamID {
        guard let id = CameraID(camera) else { throw CommandError("'\(camera)' is no camera; a camera is \(CameraID.expectation)") }
        return StreamID(camera: id, kind: .main)
    }

    /// Segments of the range whose files are on this node, in order of time.
    func segments(_ reader: JournalReader) throws -> [JournalRow] {
        let rows = try reader.segments(
            of: try stream(), fromUnixMilliseconds: try from.map(Self.milliseconds), toUnixMilliseconds: try to.map(Self.milliseconds), limit: .max)
        let kept = rows.filter { $0.removal == nil }
        guard !kept.isEmpty else {
            throw CommandError(
                rows.isEmpty ? "there is no footage of \(camera) in this range; look with: fieldpost-edge ls --camera \(camera)"
                    : "the footage of \(camera) in this range was given up here: \(rows.count) segments; the hub may hold them")
        }
        return kept
    }

    static func milliseconds(_ text: String) throws -> Int64 {
        guard let time = TimeText.unixMilliseconds(text) else { throw CommandError("'\(text)' is no time; write it such as 2026-11-21T08:00:00Z") }
        return time
    }
}

struct CatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat", abstract: "Writes a segment's bytes to standard output.",
        discussion: "The bytes are those whose SHA-256 the log names. With --json it prints what the log says of the segment instead.")

    @OptionGroup var options: EdgeOptions
    @Argument(help: "The camera.") var camera: String
    @Argument(help: "The segment's sequence number, as ls shows it.") var sequence: UInt64
    @Option(help: "main, proxy or thumbs.") var stream = "main"
    @Flag(help: "Print the segment's entry as JSON.") var json = false

    func run() async throws {
        guard let id = CameraID(camera), let kind = StreamKind(rawValue: stream) else {
            throw CommandError("'\(camera)/\(stream)' is no stream; a camera is \(CameraID.expectation), a stream is main, proxy or thumbs")
        }
        let segment = SegmentID(stream: StreamID(camera: id, kind: kind), sequence: sequence)
        let reader = try NodeFolder(options.read()).reader()
        guard let record = try reader.record(of: segment) else {
            throw CommandError("there is no segment \(segment); look with: fieldpost-edge ls --camera \(camera)")
        }
        if json { return printLine(try fieldpost_edge.json(record)) }
        guard let file = try reader.file(of: segment) else { throw CommandError("segment \(segment) was given up at this node; the hub may hold it") }
        try SegmentBytes.write(file, to: .standardOutput)
    }
}

struct PlayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "play", abstract: "Plays a camera's footage with ffplay.",
        discussion: "Each run of segments is handed over as one stream. With --json it lists what would be played instead.")

    @OptionGroup var options: EdgeOptions
    @OptionGroup var range: RangeOptions
    @Option(help: "The program to play with; it gets the stream on standard input.") var player = "ffplay"
    @Flag(help: "Print the segments as JSON, one object a line, and play nothing.") var json = false

    private struct Line: Encodable {
        var segment: String
        var run: UInt64
        var start: String
        var seconds: Double
        var bytes: Int64
    }

    func run() async throws {
        let reader = try NodeFolder(options.read()).reader()
        let rows = try range.segments(reader)
        if json {
            for line in rows.compactMap(line) { printLine(try fieldpost_edge.json(line)) }
            return
        }
        let records = try reader.records(at: Set(rows.map(\.logIndex)))
        var next = rows[...]
        while let first = next.first {
            // One run is one media timeline with one init segment: its fragments follow one another as they are.
            let (bootID, number) = (first.bootID, first.run)
            let run = next.prefix { $0.bootID == bootID && $0.run == number }
            next = next.dropFirst(run.count)
            // Who closes the player has seen enough.
            guard try play(run, records, reader) else { return }
        }
    }

    /// - Returns: false when the player was closed before the end.
    private func play(_ run: ArraySlice<JournalRow>, _ records: [UInt64: SegmentRecord], _ reader: JournalReader) throws -> Bool {
        let pipe = try PlayerPipe(player, arguments: player.hasSuffix("ffplay") ? ["-loglevel", "error", "-autoexit", "-window_title", range.camera, "-i", "-"] : [])
        var (isFirst, isClosed) = (true, false)
        for row in run {
            guard let record = records[row.logIndex], let file = try reader.file(of: record.id) else { continue }
            guard try SegmentBytes.write(file, from: isFirst ? 0 : record.initBytes, to: pipe.input) else {
                isClosed = true
                break
            }
            isFirst = false
        }
        let status = try pipe.finish()
        if status != 0 { throw CommandError("\(player) ended with \(status)") }
        return !isClosed
    }

    private func line(_ row: JournalRow) -> Line? {
        guard let id = row.segment, let run = row.run, let bytes = row.bytes else { return nil }
        return Line(
            segment: "\(id)", run: run, start: UTCTimestamp.text(unixMilliseconds: row.startUnixMilliseconds),
            seconds: Double(row.endUnixMilliseconds - row.startUnixMilliseconds) / 1000, bytes: bytes)
    }
}

enum SegmentBytes {
    private static let pieceBytes = 1 << 20

    /// False when the reader of the other end went away.
    @discardableResult
    static func write(_ file: any ReadingFile, from start: Int64 = 0, to descriptor: FileDescriptor) throws -> Bool {
        var offset = start
        while offset < file.length {
            let piece = try file.read(at: offset, count: Int(min(Int64(pieceBytes), file.length - offset)))
            guard !piece.isEmpty else { throw CommandError("the file ended early: run fieldpost-edge check --deep") }
            do { _ = try descriptor.writeAll(piece) } catch Errno.brokenPipe { return false }
            offset += Int64(piece.count)
        }
        return true
    }
}

struct RebuildIndexCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild-index", abstract: "Makes the index anew from the log.",
        discussion: "The index only makes questions quick; the log and the files are the truth. A recorder must not run meanwhile.")

    @OptionGroup var options: EdgeOptions
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        var entries: UInt64
        var changed_rows: Int
    }

    func run() async throws {
        let result = try NodeFolder(options.read()).reader().rebuildIndex()
        let answer = Answer(entries: result.entries, changed_rows: result.changedRows)
        if json { return printLine(try fieldpost_edge.json(answer)) }
        printLine("indexed \(answer.entries) log entries; \(answer.changed_rows == 0 ? "the index was right" : "\(answer.changed_rows) rows were wrong or missing")")
    }
}

struct PinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Keeps footage from being given up for space or age.",
        discussion: "Pins what is recorded in the range now. Without --reason it lists the pins of the camera; --remove takes them away.")

    @OptionGroup var options: EdgeOptions
    @OptionGroup var range: RangeOptions
    @Option(help: "Why it must stay.") var reason: String?
    @Flag(help: "Remove the camera's pins in the range.") var remove = false
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let folder = try NodeFolder(options.read())
        let reader = try folder.reader()
        let stream = try range.stream()
        // Nobody else changes the pins between their reading and their writing.
        let lock = remove || reason != nil ? try DirectoryLock(folder.root.appending("pins.lock"), heldSentence: "another fieldpost-edge pin is at work; try again") : nil
        defer { withExtendedLifetime(lock) {} }
        var pins = try reader.pins()
        if remove || reason != nil {
            let sequences = SequenceRanges(try range.segments(reader).compactMap { $0.segment?.sequence })
            if remove {
                for index in pins.indices where pins[index].stream == stream { pins[index].sequences = pins[index].sequences.subtracting(sequences) }
                pins.removeAll { $0.sequences.isEmpty }
            } else if let reason {
                let now = try SystemClocks().now().wall.unixMilliseconds
                pins.append(Pin(stream: stream, sequences: sequences, reason: reason, setUnixMilliseconds: now))
            }
            try reader.setPins(pins)
        }
        let mine = pins.filter { $0.stream == stream }
        if json { return printLine(try fieldpost_edge.json(mine)) }
        if mine.isEmpty { printLine("nothing of \(range.camera) is pinned") }
        for pin in mine { printLine("\(stream) \(pin.sequences): \(pin.reason) (since \(UTCTimestamp.text(unixMilliseconds: pin.setUnixMilliseconds)))") }
    }
}
