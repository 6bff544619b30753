import ArgumentParser
import EvidenceLog
import FoundationEssentials
import Glibc
import RecordingModel

struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check footage offline against its proof, trusting neither node nor hub.",
        discussion: """
            Keys are believed that are given here, or that a hub vouched for when fieldpost login or get ran on this machine; all others are UNKNOWN_KEY.
            A node's data directory without a hub's cosignatures is UNWITNESSED.
            Exit status 0 means INTACT, INTACT_WITH_GAPS or INCOMPLETE_TAIL and nothing else; 1 means anything else.
            """)

    @Argument(help: ArgumentHelp("A file with FILE.proof.json beside it, a folder of such files, or a node's data directory.", valueName: "file or folder"))
    var path: String
    @Option(help: ArgumentHelp("The id of the node that is expected to have recorded this.", valueName: "id")) var node: String?
    @Option(help: ArgumentHelp("The key of the hub that is expected to have cosigned, as its vkey text.", valueName: "key")) var hubKey: String?
    @Flag(help: "Print the reports as JSON.") var json = false

    private struct Result: Encodable {
        var verdict: Verdict
        var reports: [Report]
        var proven = Report.proven
        var notProven = Report.notProven
    }

    func run() async throws {
        var known = KnownKeys(hubs: try KnownHubs.load().hubs)
        if let node {
            guard let id = NodeID(node) else { throw Failure("--node must be a node's id: 64 hex digits.") }
            known.node = id
        }
        if let hubKey {
            guard let key = NoteKey(text: hubKey) else { throw Failure("--hub-key must be a key such as name+a1b2c3d4+base64.") }
            known.hubKey = key
        }
        var isFolder = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { throw Failure("There is no file or folder \(path).") }
        let reports = isFolder ? try FolderCheck(known: known).check(path) : [FootageCheck(known: known).check(path)]
        let verdict = reports.map(\.verdict).max() ?? .unreadable
        if json {
            try Terminal.json(Result(verdict: verdict, reports: reports))
        } else {
            for report in reports { Self.show(report) }
            print("")
            print(Report.proven)
            print(Report.notProven)
        }
        if !verdict.isGood { throw ExitCode(1) }
    }

    private static func show(_ report: Report) {
        print("\(report.verdict.rawValue)  \(report.file)")
        print("  \(report.reason)")
        if let camera = report.camera, let from = report.fromUnixMilliseconds, let to = report.toUnixMilliseconds {
            print("  Camera \(camera), \(Words.time(from)) to \(Words.time(to)).")
        }
        for span in report.missing { print("  missing: \(span)") }
        for gap in report.gaps.prefix(20) { print("  gap: \(gap)") }
        if report.gaps.count > 20 { print("  and \(report.gaps.count - 20) more") }
        if let time = report.witnessedUnixSeconds { print("  The hub saw the record by \(Words.time(Int64(clamping: time) * 1_000)).") }
        if let node = report.node {
            let advice = report.isNodeExpected ? "as expected" : "not known here"
            print("  Signed by node \(node.keyHash.fingerprint) (\(advice)).")
        }
        if let hub = report.hubKeyFingerprint { print("  The hub's key is \(hub) (\(report.isHubKeyExpected ? "as expected" : "not known here")).") }
    }
}
