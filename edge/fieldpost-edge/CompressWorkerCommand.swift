import ArgumentParser
import EdgeCompress

/// The process that decodes and encodes for the node; nobody else has a use for it. See `EdgeCompress`.
struct CompressWorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compress-worker", abstract: "Decodes and encodes for a running node, confined.", shouldDisplay: false)

    @Option(help: "Threads of decoder and encoder.")
    var threads = 1

    func run() { CompressWorker.run(threads: threads) }
}
