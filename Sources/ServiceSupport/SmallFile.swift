import Glibc

/// Files that are read whole: configuration, a password, what the kernel says under /proc.
package enum SmallFile {
    /// - Throws: `ServiceSupportError` with the path and the system's reason, or when the file is larger.
    package static func bytes(_ path: String, limitBytes: Int = 1 << 20) throws(ServiceSupportError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)  // a FIFO in its place must not hang the start
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path) }
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= limitBytes else { throw ServiceSupportError("\(OutputTable.printable(path)) is larger than \(limitBytes) bytes") }
        }
    }

    /// - Throws: as `bytes`, and when the file is no UTF-8 text.
    package static func text(_ path: String, limitBytes: Int = 65_536) throws(ServiceSupportError) -> String {
        guard let text = String(validating: try bytes(path, limitBytes: limitBytes), as: UTF8.self) else {
            throw ServiceSupportError("\(OutputTable.printable(path)) is not UTF-8 text")
        }
        return text
    }

    private static func failure(_ path: String) -> ServiceSupportError {
        ServiceSupportError("cannot read \(OutputTable.printable(path)): \(String(cString: strerror(errno)))")
    }
}
