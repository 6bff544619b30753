import ArgumentParser
import Dispatch
import FoundationEssentials
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// Where the program begins. The worker must be one thread before it is confined: libdispatch, on which everything asynchronous
/// runs, prepares itself on threads of its own, needs system calls for it that are not allowed by then, and ends the process.
@main
enum Program {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == CompressWorkerCommand.configuration.commandName { CompressWorkerCommand.main(Array(arguments.dropFirst())) }
        Task {
            await EdgeCommand.main()
            EdgeCommand.exit()
        }
        dispatchMain()
    }
}

struct EdgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fieldpost-edge",
        abstract: "Records cameras at a remote site, keeps the footage, and forwards it to a hub.",
        subcommands: [
            InitCommand.self, EnrolCommand.self, RunCommand.self, SyncCommand.self, StatusCommand.self, ListCommand.self, CheckCommand.self,
            DiscoverCommand.self, ImportCommand.self, ExportCommand.self, ReceiptCommand.self, CatCommand.self, PlayCommand.self, PinCommand.self, RebuildIndexCommand.self, SimulateCommand.self, CompressWorkerCommand.self,
        ])
}

struct EdgeOptions: ParsableArguments {
    @Option(name: .customLong("config"), help: "The node's configuration file.")
    var file: String

    func read() throws -> EdgeConfiguration {
        let storage = RealStorage()
        let path = FilePath(file)
        guard try storage.size(path) != nil else {
            throw CommandError("there is no \(file); write one with: fieldpost-edge init --config \(file)")
        }
        return try EdgeConfiguration.decode(storage.read(path, limitBytes: 1 << 20), file: file)
    }
}

/// A sentence for the person at the terminal, ending with what to do.
struct CommandError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Writes a line to standard output at once: what a command is asked for, apart from its log.
func printLine(_ text: String) {
    // A reader that went away is no reason to fail.
    _ = try? FileDescriptor.standardOutput.writeAll(Array((text + "\n").utf8))
}

func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// What the boot entry and hellos name as software.
let softwareVersion = "fieldpost-edge 0.1"
