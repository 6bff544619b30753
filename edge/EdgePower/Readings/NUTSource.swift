#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif
import Logging
import RecordingModel
import SystemPackage

/// A UPS behind a `upsd` of Network UPS Tools. Reading needs no account there.
struct NUTSource: PowerSource {
    static let pollMilliseconds: Int64 = 5_000

    let name: String
    let host: String
    let port: Int
    let ups: String
    let clocks: any Clocks
    let logger: Logger
    var pollMilliseconds = Self.pollMilliseconds

    func run(_ deliver: @escaping @Sendable ([PowerReading]) -> Void, stop: PowerStop) {
        PowerSessions(source: name, logger: logger, stop: stop).run { worked in
            guard var connection = try NUTConnection(host: host, port: port, stop: stop) else { return }
            while !stop.isSet {
                guard let variables = try connection.variables(ups: ups, stop: stop) else { return }
                let readings = variables.readings(source: name, bootMilliseconds: clocks.now().bootMilliseconds)
                guard !readings.isEmpty else { throw PowerSourceProblem("the UPS \(ups) at \(host) tells nothing of its battery or its state") }
                worked()
                deliver(readings)
                if stop.wait(milliseconds: pollMilliseconds) { break }
            }
            connection.sayGoodbye()
        }
    }
}

/// A TCP connection to `upsd`. Only the look-up of the host's name can take longer than the time-outs.
private struct NUTConnection: ~Copyable {
    static let connectMilliseconds: Int64 = 5_000
    static let answerMilliseconds: Int64 = 5_000

    private let descriptor: Int32
    private let host: String
    /// What has come behind the last whole line.
    private var pending: [UInt8] = []

    /// Nil when it is time to stop.
    init?(host: String, port: Int, stop: PowerStop) throws {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &found)
        guard result == 0 else { throw PowerSourceProblem("the name \(host) of the UPS server is not found: \(String(cString: gai_strerror(result)))") }
        defer { freeaddrinfo(found) }
        var problem = "no address"
        var next = found
        while let address = next {
            next = address.pointee.ai_next
            switch Self.connect(address.pointee, stop: stop) {
            case .success(let descriptor):
                self.descriptor = descriptor
                self.host = "\(host):\(port)"
                return
            case .failure(let failure):
                if stop.isSet { return nil }
                problem = failure.description
            }
        }
        throw PowerSourceProblem("no connection to upsd at \(host):\(port): \(problem); does it run and listen there?")
    }

    deinit { close(descriptor) }

    private static func connect(_ address: addrinfo, stop: PowerStop) -> Result<Int32, PowerSourceProblem> {
        let kind = address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.ai_family, kind, address.ai_protocol)
        guard descriptor >= 0 else { return .failure(PowerSourceProblem("\(Errno(rawValue: errno))")) }
        var code: Int32 = 0
        if systemConnect(descriptor, address.ai_addr, address.ai_addrlen) != 0 {
            code = errno
            if code == EINPROGRESS {
                switch stop.wait(for: descriptor, events: POLLOUT, milliseconds: connectMilliseconds) {
                case .stopped, .timedOut: code = ETIMEDOUT
                case .ready:
                    var size = socklen_t(MemoryLayout<Int32>.size)
                    if getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) != 0 { code = errno }
                }
            }
        }
        guard code == 0 else {
            close(descriptor)
            return .failure(PowerSourceProblem("\(Errno(rawValue: code))"))
        }
        return .success(descriptor)
    }

    /// Nil when it is time to stop.
    mutating func variables(ups: String, stop: PowerStop) throws -> NUTVariables? {
        try send("LIST VAR \(ups)\n")
        var variables = NUTVariables(ups: ups)
        let deadline = monotonicMilliseconds() + Self.answerMilliseconds
        // Each line but two brings a variable.
        for _ in 0..<(NUTVariables.variablesMax + 2) {
            guard let line = try line(before: deadline, stop: stop) else { return nil }
            switch variables.take(line: line) {
            case .more: continue
            case .complete: return variables
            case .refused(let word): throw PowerSourceProblem("upsd at \(host) has no values of \(ups): \(word)")
            case .nonsense(let line): throw PowerSourceProblem("\(host) does not speak as upsd does: \(line.prefix(80))")
            }
        }
        throw PowerSourceProblem("upsd at \(host) lists more than \(NUTVariables.variablesMax) variables of \(ups)")
    }

    func sayGoodbye() { try? send("LOGOUT\n") }

    /// A line this short goes into an empty socket buffer at once, or the connection is broken.
    private func send(_ line: String) throws {
        let bytes = Array(line.utf8)
        guard systemSend(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw PowerSourceProblem("upsd at \(host) takes no question: \(Errno(rawValue: errno))")
        }
    }

    private mutating func line(before deadline: Int64, stop: PowerStop) throws -> String? {
        while true {
            if let end = pending.firstIndex(of: 0x0A) {
                defer { pending.removeFirst(end + 1) }
                return String(decoding: pending[..<end], as: UTF8.self)
            }
            guard pending.count <= NUTVariables.lineBytesMax else { throw PowerSourceProblem("\(host) sends lines longer than upsd does") }
            switch stop.wait(for: descriptor, events: POLLIN, milliseconds: deadline - monotonicMilliseconds()) {
            case .stopped: return nil
            case .timedOut: throw PowerSourceProblem("upsd at \(host) did not answer within \(Self.answerMilliseconds / 1_000) s")
            case .ready: break
            }
            var bytes = [UInt8](repeating: 0, count: 4_096)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            if count > 0 {
                pending += bytes.prefix(count)
            } else if count == 0 {
                throw PowerSourceProblem("upsd at \(host) closed the connection")
            } else if errno != EAGAIN, errno != EINTR {
                throw PowerSourceProblem("the connection to upsd at \(host) broke: \(Errno(rawValue: errno))")
            }
        }
    }
}

/// The system's calls, whose names the methods hide.
private func systemConnect(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> Int32 { connect(descriptor, address, length) }
private func systemSend(_ descriptor: Int32, _ bytes: [UInt8], _ count: Int, _ flags: Int32) -> Int { send(descriptor, bytes, count, flags) }
