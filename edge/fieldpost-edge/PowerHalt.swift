import Logging
import ServiceLifecycle
import StorageIO
import SystemPackage

extension NodeHalt {
    /// So long the machine is given to go down; then the node works on, and waits for the sun like one that just started.
    private static let graceSeconds = 120

    /// Everything is sealed and closed: syncs the file systems, and runs what halts the machine.
    func carryOut(_ configuration: EdgeConfiguration, _ logger: Logger) async {
        guard let command = configuration.power?.haltCommand else { return }
        logger.notice("halting", metadata: ["reason": "\(reason)"])
        do {
            try await cancelWhenGracefulShutdown {
                try await blockingUntilCancelled {
                    for path in [FilePath(configuration.dataDirectory), "/"] { try RealStorage().fileSystem(of: path)?.syncAll() }
                }
                try await PowerCommand.runUntilCancelled(command, atStop: .leave)
            }
        } catch where Task.isShuttingDownGracefully {
            logger.notice("asked to stop while the machine was to be halted", metadata: ["error": "\(error)"])
            return
        } catch {
            logger.error("the machine could not be halted; the node stays up with everything off", metadata: ["error": "\(error)"])
            return
        }
        // Whoever halts the machine ends this program.
        try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(Self.graceSeconds)) }
    }
}
