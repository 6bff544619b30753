#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif
import SystemPackage

/// A serial port: raw, 8 bits, no parity, one stop bit, no flow control; of this process alone while it is open.
struct SerialPort: ~Copyable {
    enum Speed {
        case baud19200, baud115200
        fileprivate var code: speed_t { self == .baud19200 ? speed_t(B19200) : speed_t(B115200) }
    }

    let path: FilePath
    private let descriptor: Int32

    init(_ path: FilePath, speed: Speed) throws {
        // Without O_NONBLOCK, opening waits for a carrier; without O_NOCTTY, a hang-up of the line would end the node.
        descriptor = open(path.string, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        self.path = path
        guard descriptor >= 0 else {
            throw PowerSourceProblem("the serial port \(path) cannot be opened: \(Errno(rawValue: errno)); is the cable in, and may this user open it (group dialout)?")
        }
        // Where this throws, deinit closes.
        guard isatty(descriptor) == 1 else { throw PowerSourceProblem("\(path) is no serial port") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw PowerSourceProblem("another program uses the serial port \(path)") }
        // For programs that do not look at locks. It fails on ports without the call, which have the lock still.
        _ = ioctl(descriptor, UInt(TIOCEXCL))
        try configure(speed)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private func configure(_ speed: Speed) throws {
        var settings = termios()
        guard tcgetattr(descriptor, &settings) == 0 else { throw failure("tcgetattr") }
        cfmakeraw(&settings)
        settings.c_cflag |= tcflag_t(CLOCAL) | tcflag_t(CREAD)
        settings.c_cflag &= ~(tcflag_t(CSTOPB) | tcflag_t(PARENB) | tcflag_t(CRTSCTS))
        settings.c_iflag &= ~(tcflag_t(IXON) | tcflag_t(IXOFF) | tcflag_t(IXANY))
        // With VMIN 1 a read without bytes is EAGAIN, and 0 means the end of the line only.
        withUnsafeMutableBytes(of: &settings.c_cc) { control in
            control[Int(VMIN)] = 1
            control[Int(VTIME)] = 0
        }
        guard cfsetispeed(&settings, speed.code) == 0, cfsetospeed(&settings, speed.code) == 0 else { throw failure("cfsetspeed") }
        guard tcsetattr(descriptor, TCSANOW, &settings) == 0 else { throw failure("tcsetattr") }
        // What lay in the buffer is of unknown age.
        tcflush(descriptor, TCIOFLUSH)
    }

    private func failure(_ operation: String) -> PowerSourceProblem {
        PowerSourceProblem("\(operation) on the serial port \(path): \(Errno(rawValue: errno))")
    }

    /// What has come, at most 512 bytes: empty when nothing came in time; nil when it is time to stop.
    /// - Throws: when the port is gone (unplugged).
    func read(within milliseconds: Int64, stop: PowerStop) throws -> [UInt8]? {
        switch stop.wait(for: descriptor, events: POLLIN, milliseconds: milliseconds) {
        case .stopped: return nil
        case .timedOut: return []
        case .ready: break
        }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = systemRead(descriptor, &bytes, bytes.count)
        if count > 0 { return Array(bytes.prefix(count)) }
        if count < 0, errno == EAGAIN || errno == EINTR { return [] }
        throw PowerSourceProblem("the serial port \(path) is gone (\(count == 0 ? "end of line" : "\(Errno(rawValue: errno))")); plug it in again")
    }

    /// All bytes, within a second.
    func write(_ bytes: [UInt8], stop: PowerStop) throws {
        var rest = bytes[...]
        let deadline = monotonicMilliseconds() + 1_000
        while !rest.isEmpty, !stop.isSet {
            let count = rest.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0, errno != EAGAIN, errno != EINTR {
                throw failure("write")
            } else {
                let left = deadline - monotonicMilliseconds()
                guard left > 0 else { throw PowerSourceProblem("the serial port \(path) takes no bytes") }
                _ = stop.wait(for: descriptor, events: POLLOUT, milliseconds: left)
            }
        }
    }

    /// Drops what has come: the answer to an earlier question.
    func discardInput() { tcflush(descriptor, TCIFLUSH) }
}

/// The system's calls, whose names the methods hide.
private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int { read(descriptor, buffer, count) }
private func systemWrite(_ descriptor: Int32, _ buffer: UnsafeRawPointer?, _ count: Int) -> Int { write(descriptor, buffer, count) }
