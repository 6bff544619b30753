import ArgumentParser
import FoundationEssentials
import Logging
import RecordingModel
import ServiceSupport
import SystemPackage

@main
struct HubCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fieldpost-hub",
        abstract: "Takes in, proves, keeps and shows the footage of Fieldpost nodes.",
        subcommands: [InitCommand.self, ServeCommand.self, JoinTokenCommand.self, ImportCommand.self, ReportCommand.self, RecoverCommand.self, SuspendCommand.self, ResumeCommand.self, ResetPasswordCommand.self])
}

struct HubOptions: ParsableArguments {
    @Option(name: .customLong("data"), help: "The hub's data directory.")
    var dataDirectory: String

    var path: FilePath { FilePath(dataDirectory) }
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

func unixMillisecondsNow() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
