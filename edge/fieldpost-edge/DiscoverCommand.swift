import ArgumentParser
import EdgeONVIF
import FoundationEssentials
import RecordingModel
import ServiceSupport
import SystemPackage

struct DiscoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discover", abstract: "Finds ONVIF cameras and prints configuration lines for them.",
        discussion: """
            Asks the networks of this machine's interfaces by WS-Discovery, or the devices named with --address, and every camera
            that answers for its streams (ONVIF Profile S). Only the addresses that answers came from are asked. Ends with 1
            when no stream was found.
            """)

    @Option(help: "Only this interface; the loopback one is asked only when it is named.") var interface: String?
    @Option(help: "Ask this device and search no network: HOST, HOST:PORT or its address http://…; may be repeated.") var address: [String] = []
    @Option(help: "How long to wait for answers, 1 to 60 seconds.") var seconds = 4
    @Option(help: "The cameras' user name.") var username: String?
    @Option(help: "File whose first line is the cameras' password; or name it in FIELDPOST_CAMERA_PASSWORD_FILE.") var passwordFile: String?
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard (1...60).contains(seconds) else { throw ValidationError("--seconds is 1 to 60") }
        guard address.count <= 256 else { throw ValidationError("at most 256 addresses at once") }
        guard interface == nil || address.isEmpty else { throw ValidationError("--address searches no network; leave out --interface") }
    }

    func run() async throws {
        let file = username == nil ? nil : try absolutePasswordFile()
        let credentials = try signIn(file)
        let clocks = try SystemClocks()
        let (devices, notes) = try await find()
        if !devices.isEmpty { say("asking \(devices.count == 1 ? "one device" : "\(devices.count) devices") for their streams") }
        let results = try await ONVIFClient.with(credentials: credentials, clocks: clocks) { try await $0.survey(devices) }
        let cameras = zip(devices, results).map { FoundCamera(device: $0, result: $1, credentials: credentials) }
        if json {
            printLine(try fieldpost_edge.json(DiscoverAnswer(cameras: cameras.map(\.answer), notes: notes.map(OutputTable.printable))))
        } else {
            for note in notes { say("not understood: \(note)") }
            if !cameras.isEmpty { printLine(FoundCamera.table(cameras)) }
            let lines = FoundCamera.configurationLines(cameras, passwordFile: file)
            if !lines.isEmpty { printLine(lines) }
        }
        guard !cameras.isEmpty else {
            throw CommandError(
                "no ONVIF camera answered within \(seconds) s. Check that the cameras have power and are on the network of the interface asked, that ONVIF is switched on in them (many makers ship it off, or want an ONVIF user), and that no firewall drops UDP port 3702; a camera whose address is known can be asked with --address HOST")
        }
        guard cameras.contains(where: { !$0.streams.isEmpty }) else {
            throw CommandError("no camera gave a stream address; the table says why\(credentials == nil ? ". Give a user name and password with --username NAME --password-file FILE" : "")")
        }
    }

    private func find() async throws -> (devices: [DiscoveredDevice], notes: [String]) {
        guard address.isEmpty else {
            return (try address.map { text in
                guard let url = DeviceURL(deviceAt: text) else { throw CommandError("'\(OutputTable.printable(text))' is no device; give HOST, HOST:PORT or http://HOST/path") }
                return DiscoveredDevice(url: url)
            }, [])
        }
        let interfaces = try NetworkInterface.find(named: interface)
        say("looking for ONVIF cameras on \(interfaces.map(\.description).joined(separator: ", ")) for \(seconds) s")
        let found = try await Discovery.search(interfaces, seconds: seconds)
        return (found.devices, found.notes)
    }

    private func absolutePasswordFile() throws -> String {
        guard let file = passwordFile ?? ProcessInfo.processInfo.environment["FIELDPOST_CAMERA_PASSWORD_FILE"] else {
            throw CommandError("--username needs --password-file FILE, whose first line is the password")
        }
        return file.hasPrefix("/") ? file : FileManager.default.currentDirectoryPath + "/" + file
    }

    private func signIn(_ file: String?) throws -> ONVIFCredentials? {
        guard let file, let username else {
            guard passwordFile == nil else { throw CommandError("--password-file needs --username NAME") }
            return nil
        }
        guard let password = try SmallFile.text(file, limitBytes: 4096).split(whereSeparator: \.isNewline).first, !password.isEmpty else {
            throw CommandError("\(OutputTable.printable(file)) holds no password")
        }
        return ONVIFCredentials(userName: username, password: String(password))
    }

    /// What is under way; standard output is for the findings.
    private func say(_ text: String) { TerminalProgress.writeToStandardError(OutputTable.printable(text) + "\n") }
}

private struct DiscoverAnswer: Encodable {
    struct Camera: Encodable {
        var address: String
        var endpoint: String
        var name: String
        var manufacturer: String?
        var model: String?
        var firmware: String?
        var clock_offset_milliseconds: Int64?
        var error: String?
        var profiles: [Profile]
    }
    struct Profile: Encodable {
        var token: String
        var name: String
        var video_source: String
        var codec: String
        var width: Int
        var height: Int
        var frames_per_second: Double
        var stream_address: String?
        var problem: String?
    }
    var cameras: [Camera]
    var notes: [String]
}

/// A device with what it answered, for printing. Nothing of it shows a password.
struct FoundCamera {
    let device: DiscoveredDevice
    let result: Result<DeviceDescription, ONVIFError>
    let credentials: ONVIFCredentials?

    private var profiles: [MediaProfile] { (try? result.get())?.profiles ?? [] }
    var streams: [MediaProfile] { profiles.filter { $0.stream != nil } }

    private var title: String {
        let description = try? result.get()
        let made = [description?.manufacturer, description?.model].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: " ")
        return [device.name, made.isEmpty ? device.hardware : made].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    private var problem: String? {
        switch result {
        case .success(let description): return description.profiles.isEmpty ? "it lists no video profile" : nil
        case .failure(let error) where error.kind == .credentials:
            return credentials == nil ? "needs a user name and password" : "refuses this user name or password"
        case .failure(let error): return error.description
        }
    }

    /// The address for a person's eyes: some devices put a password into it.
    private func shown(_ stream: StreamAddress) -> String {
        credentials?.isPasswordIn(stream.text) == true ? "(an address with the password in it)" : Redaction.scrub(stream.text)
    }

    /// Why a stream is not offered for pasting as it is; nil when it is.
    private func objection(_ stream: StreamAddress) -> String? {
        if shown(stream) != stream.text { return "the camera puts a password into this address; complete it by hand, as the file's owner" }
        // A person who gave a name knows the host; what it stands for is not looked up here.
        let isNumeric = device.url.host.allSatisfy { $0.isNumber || $0 == "." }
        if isNumeric, stream.host != device.url.host { return "the camera names another host than its own (\(device.url.host)); use it only if you know that host" }
        do {
            _ = try CameraSource(stream.text)
            return nil
        } catch {
            return error.description
        }
    }

    static func table(_ cameras: [FoundCamera]) -> String {
        var table = OutputTable([
            "camera", "address", "profile", "codec", OutputTable.Column("pixels", .right), OutputTable.Column("frames/s", .right), "stream address or problem",
        ])
        for camera in cameras {
            let address = "\(camera.device.url.host):\(camera.device.url.port)"
            if let problem = camera.problem { table.add([camera.title, address, "", "", "", "", problem]) }
            for profile in camera.profiles {
                table.add([camera.title, address, profile.name, profile.codec, profile.pixels, profile.rate, profile.stream.map(camera.shown) ?? profile.problem ?? ""])
            }
        }
        return table.text()
    }

    /// The `cameras` of a configuration: for each picture the profile with the most pixels, the others as comments.
    static func configurationLines(_ cameras: [FoundCamera], passwordFile: String?) -> String {
        var lines = ["# Lines for the node's configuration file:", "cameras:"]
        var ids: Set<String> = []
        for camera in cameras {
            for source in Dictionary(grouping: camera.streams, by: \.videoSource).sorted(by: { $0.key < $1.key }) {
                let sorted = source.value.sorted { ($0.area, $0.framesPerSecond) > ($1.area, $1.framesPerSecond) }
                let best = sorted.first { camera.objection($0) == nil }
                if let best { lines += camera.entry(best, id: camera.id(among: &ids), passwordFile: passwordFile) }
                for other in sorted where other.token != best?.token { lines.append("    # \(camera.comment(other))") }
            }
        }
        return ids.isEmpty ? "" : lines.joined(separator: "\n")
    }

    private func objection(_ profile: MediaProfile) -> String? { profile.stream.flatMap(objection) }

    private func entry(_ profile: MediaProfile, id: String, passwordFile: String?) -> [String] {
        var lines = ["  # \(OutputTable.printable("\(title.isEmpty ? "camera" : title) at \(device.url.host): \(profile.name), \(profile.words)"))"]
        lines += ["  - id: \(EdgeConfiguration.quoted(id))", "    url: \(EdgeConfiguration.quoted(profile.stream?.text ?? ""))"]
        if let credentials { lines.append("    username: \(EdgeConfiguration.quoted(credentials.userName))") }
        if let passwordFile { lines.append("    password_file: \(EdgeConfiguration.quoted(passwordFile))") }
        return lines
    }

    private func comment(_ profile: MediaProfile) -> String {
        guard let stream = profile.stream else { return "" }
        return OutputTable.printable("\(profile.name), \(profile.words): \(shown(stream))\(objection(stream).map { " (\($0))" } ?? "")")
    }

    /// Of the camera's own name or model, as `CameraID` wants it, and used by no other.
    private func id(among ids: inout Set<String>) -> String {
        let description = try? result.get()
        let words = [device.name, description?.model ?? "", device.hardware, "camera"].first { $0.contains { $0.isASCII && ($0.isLetter || $0.isNumber) } } ?? "camera"
        let letters = words.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        let base = String(letters).split(separator: "-").joined(separator: "-").prefix(26)
        var id = String(base)
        var number = 1
        while !ids.insert(id).inserted {
            number += 1
            id = "\(base)-\(number)"
        }
        return id
    }

    fileprivate var answer: DiscoverAnswer.Camera {
        let description = try? result.get()
        return DiscoverAnswer.Camera(
            address: device.url.description, endpoint: device.endpoint, name: device.name, manufacturer: description?.manufacturer, model: description?.model,
            firmware: description?.firmware, clock_offset_milliseconds: description?.clockOffsetMilliseconds, error: problem,
            profiles: profiles.map {
                .init(
                    token: $0.token, name: $0.name, video_source: $0.videoSource, codec: $0.codec, width: $0.widthPixels, height: $0.heightPixels,
                    frames_per_second: $0.framesPerSecond, stream_address: $0.stream.map(shown), problem: $0.stream.flatMap(objection) ?? $0.problem)
            })
    }
}

extension MediaProfile {
    fileprivate var area: Int { widthPixels * heightPixels }
    fileprivate var pixels: String { area > 0 ? "\(widthPixels)x\(heightPixels)" : "" }
    fileprivate var rate: String {
        guard framesPerSecond > 0 else { return "" }
        return framesPerSecond == framesPerSecond.rounded() ? "\(Int(framesPerSecond))" : "\(framesPerSecond)"
    }
    fileprivate var words: String { [codec, pixels, rate.isEmpty ? "" : "\(rate) frames/s"].filter { !$0.isEmpty }.joined(separator: ", ") }
}
