import ArgumentParser
import EdgeCapture
import EdgeImport
import EdgeJournal
import FoundationEssentials
import Logging
import RecordingModel
import ServiceSupport
import StorageIO
import SystemPackage

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Takes the footage of a card over: dash and body cameras' MP4, MOV, AVI, TS and MKV files.",
        discussion: """
            Packets are copied as they are. The card is only read. What was imported before, under whatever name, is left out.
            A file's start is taken from the first of these that there is: --start; the container's creation time; the file's \
            name; its time of change minus its length. Cameras have no time zone: many write local time where UTC belongs, in \
            containers as in names, and FAT keeps local time too. Compare the camera's clock with a good one, and give the \
            difference as --clock-offset; without it the start is uncertain by an hour or more, and the log says so.
            While the node records, it takes the files over by itself. Ends with 3 when some files were not imported.
            """)

    @Argument(help: "A file, or a folder with all below it.") var path: String
    @OptionGroup var options: EdgeOptions
    @Option(help: "The camera that recorded it; not one that this node records.") var camera: String
    @Option(name: .customLong("clock-offset"), parsing: .unconditional, help: "Added to the camera's time: +01:02:03, -02:30 (hours and minutes), or seconds.") var clockOffset: String?
    @Option(help: "When the first picture was taken, such as 2026-01-02T03:04:05Z. For one file only.") var start: String?
    @Option(name: .customLong("name-time-offset"), parsing: .unconditional, help: "The time zone of times in file names, such as +05:00.") var nameTimeOffset = "Z"
    @Option(name: .customLong("operator"), help: "Who imports it. Default: the name of the login.") var operatorName: String?
    @Option(name: .customLong("audio-reason"), help: "Keep the sound, for this reason. Without it sound is left out.") var audioReason: String?
    @Flag(name: .customLong("dry-run"), help: "Read the card and say what would be imported.") var dryRun = false
    @Flag(help: "A line for every file.") var verbose = false
    @Flag(help: "Print JSON, one object a line: the files, then the summary.") var json = false

    func run() async throws {
        let configuration = try options.read()
        ServiceLogging.bootstrap(level: configuration.log.level, format: configuration.log.format)
        var quiet = Logger(label: "libav")
        quiet.logLevel = .error
        try CaptureLibrary.prepare(logger: quiet)
        let folder = try NodeFolder(configuration, anchored: true)
        try folder.requirePrepared(configFile: options.file)
        let settings = try settings(configuration)
        let card = FilePath(path)
        guard !areNested(card, folder.root) else { throw CommandError("\(path) and the data directory \(folder.root) lie within one another; import from the card itself") }
        let taker = ImportTaker(configuration: configuration, folder: folder, clocks: try SystemClocks())
        let now = taker.clocks.now().wall.unixMilliseconds
        let staging = try StagingArea(dataDirectory: folder.root, storage: folder.storage, nowUnixMilliseconds: now)
        let importer = try Importer(settings, staging: staging, known: try taker.importedOriginals())

        let scan = try CardScan(card)
        if start != nil, scan.entries.count != 1 { throw CommandError("--start is for one file; \(path) has \(scan.entries.count)") }
        let output = ImportOutput(isJSON: json, isVerbose: verbose, showsBar: !(json || verbose), totalBytes: scan.entries.reduce(0) { $0 + $1.bytes })
        let outcome: Result<ImportSummary, any Error>
        do {
            let summary = try await blocking {
                let entries = importer.ordered(scan.entries)
                return try output.whileShowing({ importer.processedBytes }) { try importer.run(entries) { output.show($0) } }
            }
            outcome = .success(summary)
        } catch {
            outcome = .failure(error)
        }
        // Also what was finished before a failure, or left by an import that was killed.
        var taken: Result<[RefusedImport], any Error> = .success([])
        if !dryRun { do { taken = .success(try await taker.takeOver()) } catch { taken = .failure(error) } }
        let refused = (try? taken.get()) ?? []
        // What was done stands in the summary, whatever became of the rest.
        if case .success(let summary) = outcome { try output.finish(summary, refused: refused, scan: scan, rules: settings.rules) }
        _ = try outcome.get()
        _ = try taken.get()
        if output.hasFailures || !scan.problems.isEmpty || !refused.isEmpty { throw ExitCode(3) }
    }

    private func settings(_ configuration: EdgeConfiguration) throws -> ImportSettings {
        guard let id = CameraID(camera) else { throw CommandError("'\(camera)' is no camera; a camera is \(CameraID.expectation)") }
        guard !configuration.cameras.contains(where: { $0.id == id }) else {
            throw CommandError("camera \(id) is recorded by this node; footage from cards needs a camera id of its own, such as \(id)-card")
        }
        var rules = TimeRules()
        if let clockOffset {
            guard let value = CivilTime.durationMilliseconds(clockOffset) else { throw CommandError("--clock-offset takes +01:02:03, -02:30 or seconds, not '\(clockOffset)'") }
            rules.clockOffsetMilliseconds = value
        }
        if let start {
            guard clockOffset == nil else { throw CommandError("--start says the time itself; leave --clock-offset out") }
            guard let value = TimeText.unixMilliseconds(start) else { throw CommandError("--start takes a time such as 2026-01-02T03:04:05Z, not '\(start)'") }
            rules.startUnixMilliseconds = value
        }
        guard let zone = CivilTime.zoneMilliseconds(nameTimeOffset) else { throw CommandError("--name-time-offset takes a time zone such as +05:00 or Z, not '\(nameTimeOffset)'") }
        rules.nameZoneMilliseconds = zone
        let environment = ProcessInfo.processInfo.environment
        guard let name = operatorName ?? environment["SUDO_USER"] ?? environment["USER"], !name.isEmpty, name.utf8.count <= 200 else {
            throw CommandError("nobody is logged in by name; say who imports with --operator NAME (at most 200 bytes)")
        }
        if let audioReason, audioReason.isEmpty { throw CommandError("keeping sound needs a reason; say it with --audio-reason TEXT") }
        var settings = ImportSettings(
            camera: id, operatorName: name, audio: audioReason.map { .record(reason: $0) } ?? .off, rules: rules, configVersion: configuration.version)
        settings.isDryRun = dryRun
        let limits = configuration.storage.limits
        // Not so much that the recorder would have to give footage up for it.
        settings.reserveBytes = { limits.marks(totalBytes: $0.totalBytes).lowBytes }
        return settings
    }
}
