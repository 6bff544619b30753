import RecordingModel

/// One device that can be asked. Every request goes to the host of `url`, whatever the device's answers name.
package struct ONVIFDevice: Sendable {
    let client: ONVIFClient
    package let url: DeviceURL

    /// Of GetProfiles; more are left out. A recorder with 64 channels has about 128.
    private static let profilesMax = 128

    /// What the device says of itself and its streams: at most 4 requests, and one for each profile.
    /// - Throws: `ONVIFError`; `.credentials` when it wants a user name and password, or refuses these.
    package func describe() async throws -> DeviceDescription {
        let offset = try await clockOffsetMilliseconds()
        let services = try await services(offset)
        guard let media = services[Namespace.media] else { throw ONVIFError(.answer, "the device has no media service (ONVIF Profile S)") }
        // Some devices give their name only to who has signed in, and their streams to nobody else either: the streams decide.
        let information = try? await ask(SOAPRequest("\(Namespace.device)/GetDeviceInformation", "<d:GetDeviceInformation xmlns:d=\"\(Namespace.device)\"/>"), at: url, "GetDeviceInformationResponse", offset)
        let answer = try await ask(SOAPRequest("\(Namespace.media)/GetProfiles", "<m:GetProfiles xmlns:m=\"\(Namespace.media)\"/>"), at: media, "GetProfilesResponse", offset)
        var profiles: [MediaProfile] = []
        for element in answer.children("Profiles").prefix(Self.profilesMax) {
            guard var profile = MediaProfile(element) else { continue }
            do {
                profile.stream = try await stream(of: profile.token, at: media, offset)
                if profile.stream == nil { profile.problem = "the device names no usable address" }
            } catch let error as ONVIFError where error.kind == .fault {
                // A profile without a video source has no stream; the others may have.
                profile.problem = error.description
            }
            profiles.append(profile)
        }
        return DeviceDescription(
            manufacturer: Self.word(information?.child("Manufacturer")), model: Self.word(information?.child("Model")), firmware: Self.word(information?.child("FirmwareVersion")),
            clockOffsetMilliseconds: offset, profiles: profiles)
    }

    private static func word(_ element: XMLElement?) -> String { SOAPAnswer.bounded(element?.text ?? "") }

    private func stream(of token: String, at media: DeviceURL, _ offset: Int64) async throws -> StreamAddress? {
        let setup = "<m:StreamSetup><t:Stream xmlns:t=\"\(Namespace.schema)\">RTP-Unicast</t:Stream><t:Transport xmlns:t=\"\(Namespace.schema)\"><t:Protocol>RTSP</t:Protocol></t:Transport></m:StreamSetup>"
        let request = SOAPRequest(
            "\(Namespace.media)/GetStreamUri",
            "<m:GetStreamUri xmlns:m=\"\(Namespace.media)\">\(setup)<m:ProfileToken>\(XMLText.escaped(token))</m:ProfileToken></m:GetStreamUri>")
        return StreamAddress(try await ask(request, at: media, "GetStreamUriResponse", offset).at("MediaUri", "Uri")?.text ?? "")
    }

    /// The device's clock less ours: its check of a signed request goes by its own. 0 where it does not tell, which it should
    /// without a password, so that whoever signs in may know.
    func clockOffsetMilliseconds() async throws -> Int64 {
        let request = SOAPRequest("\(Namespace.device)/GetSystemDateAndTime", "<d:GetSystemDateAndTime xmlns:d=\"\(Namespace.device)\"/>")
        do {
            let answer = try await client.call(request, at: url, expecting: "GetSystemDateAndTimeResponse", isSigned: false)
            guard let theirs = ONVIFTime.unixMilliseconds(answer.at("SystemDateAndTime", "UTCDateTime")) else { return 0 }
            return theirs - client.clocks.now().wall.unixMilliseconds
        } catch let error as ONVIFError where error.kind == .credentials || error.kind == .fault {
            return 0
        }
    }

    /// Where the device's services are: by namespace, at this device's host. GetCapabilities is answered by every version of
    /// ONVIF; GetServices by those since 2.0, and is asked when the former does not help.
    func services(_ offset: Int64) async throws -> [String: DeviceURL] {
        var found: [String: DeviceURL] = [:]
        func keep(_ namespace: String, _ address: String?) {
            if found[namespace] == nil, let address, let stated = DeviceURL(address) { found[namespace] = stated.at(host: url.host) }
        }
        let all = SOAPRequest("\(Namespace.device)/GetCapabilities", "<d:GetCapabilities xmlns:d=\"\(Namespace.device)\"><d:Category>All</d:Category></d:GetCapabilities>")
        do {
            let capabilities = try await ask(all, at: url, "GetCapabilitiesResponse", offset).child("Capabilities")
            keep(Namespace.media, capabilities?.at("Media", "XAddr")?.text)
            keep(Namespace.events, capabilities?.at("Events", "XAddr")?.text)
        } catch let error as ONVIFError where error.kind == .fault {}
        guard found[Namespace.media] == nil else { return found }
        let request = SOAPRequest("\(Namespace.device)/GetServices", "<d:GetServices xmlns:d=\"\(Namespace.device)\"><d:IncludeCapability>false</d:IncludeCapability></d:GetServices>")
        for service in try await ask(request, at: url, "GetServicesResponse", offset).children("Service") {
            keep(service.child("Namespace")?.text ?? "", service.child("XAddr")?.text)
        }
        return found
    }

    func ask(_ request: SOAPRequest, at url: DeviceURL, _ name: String, _ offset: Int64, timeoutSeconds: Int64 = 5) async throws -> XMLElement {
        try await client.call(request, at: url, expecting: name, clockOffsetMilliseconds: offset, timeoutSeconds: timeoutSeconds)
    }
}

package struct DeviceDescription: Sendable, Hashable {
    package var manufacturer: String
    package var model: String
    package var firmware: String
    /// The device's clock less this machine's.
    package var clockOffsetMilliseconds: Int64
    /// In the device's order.
    package var profiles: [MediaProfile]
}

/// One way in which the device encodes one of its pictures. Numbers are 0 where the device does not say.
package struct MediaProfile: Sendable, Hashable {
    package var token: String
    package var name: String
    /// The same for all profiles of one picture.
    package var videoSource: String
    /// As the device writes it: `JPEG`, `MPEG4` or `H264`; newer ones also `H265`.
    package var codec: String
    package var widthPixels: Int
    package var heightPixels: Int
    package var framesPerSecond: Double
    package var stream: StreamAddress?
    /// Why there is no stream.
    package var problem: String?

    /// `tt:Profile`; nil without a token or without encoded video.
    init?(_ element: XMLElement) {
        guard let token = element.attribute("token"), !token.isEmpty, token.utf8.count <= 256,
            let encoder = element.child("VideoEncoderConfiguration") else { return nil }
        self.token = token
        name = SOAPAnswer.bounded(element.child("Name")?.text ?? "")
        videoSource = SOAPAnswer.bounded(element.at("VideoSourceConfiguration", "SourceToken")?.text ?? "")
        codec = SOAPAnswer.bounded(encoder.child("Encoding")?.text ?? "")
        func pixels(_ name: String) -> Int {
            let value = Int(encoder.at("Resolution", name)?.text ?? "") ?? 0
            return (1...65_535).contains(value) ? value : 0
        }
        (widthPixels, heightPixels) = (pixels("Width"), pixels("Height"))
        let rate = Double(encoder.at("RateControl", "FrameRateLimit")?.text ?? "") ?? 0
        framesPerSecond = (0...1000).contains(rate) ? rate : 0
    }
}

/// A stream's address as the device named it, without user name and password.
package struct StreamAddress: Sendable, Hashable {
    package let text: String
    package let host: String

    /// Nil for anything but an rtsp, rtsps, http or https address of at most 1,024 printable ASCII characters.
    init?(_ said: String) {
        guard said.utf8.count <= 1024, said.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let mark = said.firstRange(of: "://") else { return nil }
        let scheme = said[..<mark.lowerBound].lowercased()
        guard ["rtsp", "rtsps", "http", "https"].contains(scheme) else { return nil }
        let rest = said[mark.upperBound...]
        let authority = rest.prefix { !"/?#".contains($0) }
        let place = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        guard let found = DeviceURL.hostAndPort(place, defaultPort: 0) else { return nil }
        host = found.host
        text = "\(scheme)://\(place)\(rest[authority.endIndex...])"
    }
}
