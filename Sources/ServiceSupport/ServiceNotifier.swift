import Glibc

/// Tells systemd (sd_notify(3)) how the service is. Without `NOTIFY_SOCKET` every call does nothing; a failed send
/// is never the service's problem, so none is reported.
package struct ServiceNotifier: Sendable {
    private let address: [UInt8]?
    /// How often systemd wants `watchdog()`; call it at half of this. Nil when nobody watches.
    package let watchdogInterval: Duration?

    /// - Parameter environment: looks up a variable; the process's own environment by default.
    package init(environment: (String) -> String? = processEnvironment) {
        address = environment("NOTIFY_SOCKET").flatMap(Self.socketAddress)
        // WATCHDOG_PID guards against a variable inherited from a parent that was the one watched.
        let isForUs = environment("WATCHDOG_PID").map { $0 == String(getpid()) } ?? true
        watchdogInterval = environment("WATCHDOG_USEC").flatMap { Int64($0) }.flatMap { $0 > 0 && isForUs ? .microseconds($0) : nil }
    }

    package func ready() { send("READY=1") }
    package func stopping() { send("STOPPING=1") }
    package func watchdog() { send("WATCHDOG=1") }
    /// One line for `systemctl status`; line ends and passwords are taken out.
    package func status(_ text: String) {
        let line = Redaction.scrub(text).unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) }
        send("STATUS=\(String(line).prefix(200))")
    }

    /// The bytes of `sun_path`: a file's path, or an abstract name, whose `@` stands for a zero byte.
    private static func socketAddress(_ name: String) -> [UInt8]? {
        var bytes = Array(name.utf8)
        guard bytes.count > 1, bytes.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else { return nil }
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 } else if bytes[0] != UInt8(ascii: "/") { return nil }
        return bytes
    }

    private func send(_ message: String) {
        guard let address else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var target = sockaddr_un()
        target.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: address) }
        // An abstract name ends with the length, a path with a zero byte.
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let length = socklen_t(offset + address.count + (address[0] == 0 ? 0 : 1))
        let bytes = Array(message.utf8)
        withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                // Never waits: a stuck supervisor must not stop a recorder.
                _ = sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), generic, length)
            }
        }
    }
}

/// A variable of this process's environment.
package func processEnvironment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}
