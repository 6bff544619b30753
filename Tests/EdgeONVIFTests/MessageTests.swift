@testable import EdgeONVIF
import Foundation
import Testing

@Suite struct SigningTests {
    /// The worked example of the ONVIF Application Programmer's Guide 1.0, section 6.1.1.3.
    @Test func thePasswordDigestIsThatOfONVIFsExample() throws {
        let nonce = try #require(Data(base64Encoded: "LKqI6G/AikKCQrN0zqZFlg=="))
        let created = try #require(ONVIFTime.unixMilliseconds("2010-09-16T07:50:45Z"))
        let token = ONVIFCredentials(userName: "user", password: "userpassword").usernameToken(nonce: Array(nonce), createdUnixMilliseconds: created)
        // The example writes its time without a fraction, so that only the hash of it is its own; the parts are checked one by one.
        #expect(token.contains(">2010-09-16T07:50:45.000Z<") && token.contains(">LKqI6G/AikKCQrN0zqZFlg==<") && token.contains("<w:Username>user</w:Username>"))
        #expect(ONVIFCredentials(userName: "user", password: "userpassword").passwordDigest(nonce: Array(nonce), created: "2010-09-16T07:50:45Z") == "tuOSpGlFlIXsozq4HFNeeGeFLEI=")
    }

    /// RFC 7616, section 3.9.1.
    @Test func httpDigestIsThatOfTheStandardsExample() throws {
        let parameters = "realm=\"http-auth@example.org\", qop=\"auth, auth-int\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        let user = ONVIFCredentials(userName: "Mufasa", password: "Circle of Life")
        let headers = ["Basic realm=\"x\"", "Digest \(parameters), algorithm=MD5", "Digest \(parameters), algorithm=SHA-256"]
        let strongest = try #require(DigestChallenge.best(of: headers))
        let nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
        #expect(strongest.authorization(user, method: "GET", path: "/dir/index.html", clientNonce: nonce).contains("response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\""))
        let older = try #require(DigestChallenge.best(of: Array(headers.prefix(2))))
        #expect(older.authorization(user, method: "GET", path: "/dir/index.html", clientNonce: nonce).contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""))
        #expect(DigestChallenge.best(of: ["Basic realm=\"x\"", "Digest realm=\"only\"", "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256", "Bearer x", ""]) == nil)
    }

    @Test func nothingPrintsThePassword() {
        let credentials = ONVIFCredentials(userName: "viewer", password: "hunter2+/")
        var dumped = ""
        dump(credentials, to: &dumped)
        for text in ["\(credentials)", String(reflecting: credentials), dumped, "\([credentials])"] { #expect(!text.contains("hunter2"), "\(text)") }
        #expect(credentials.isPasswordIn("rtsp://h/?p=hunter2+/") && credentials.isPasswordIn("rtsp://h/?p=hunter2%2b%2F") && !credentials.isPasswordIn("rtsp://h/"))
    }

    @Test func timesOfDevicesAreRead() {
        #expect(ONVIFTime.unixMilliseconds("2026-11-21T08:27:59.5Z") == 1_795_249_679_500)
        #expect(ONVIFTime.unixMilliseconds("2026-11-21T09:27:59.123456789+01:00") == 1_795_249_679_123)
        #expect(ONVIFTime.unixMilliseconds("2026-11-21T08:27:59") == 1_795_249_679_000)
        for text in ["", "T", "yesterday", "2026-11-21", "2026-13-41T99:99:99Z", String(repeating: "1", count: 500)] { #expect(ONVIFTime.unixMilliseconds(text) == nil, "\(text)") }
    }
}

@Suite struct DiscoveryAnswerTests {
    private func take(_ text: String, from sender: String = "192.0.2.9", into answers: inout DiscoveryAnswers) { answers.take(Array(text.utf8), from: sender) }

    @Test func aCameraIsTakenOnceWithItsNameAndAddress() {
        var answers = DiscoveryAnswers(probes: ["urn:uuid:1", "urn:uuid:2"])
        take(Samples.probeMatch(relatesTo: "urn:uuid:1"), into: &answers)
        take(Samples.probeMatch(relatesTo: "urn:uuid:2"), into: &answers)
        #expect(answers.devices.map(\.url.description) == ["http://192.0.2.9/onvif/device_service"])
        #expect(answers.devices.first?.name == "North gate" && answers.devices.first?.hardware == "X1")
    }

    @Test func aNameWithBareSpacesIsReadWhole() {
        var answers = DiscoveryAnswers(probes: ["urn:uuid:1"])
        take(Samples.probeMatch(relatesTo: "urn:uuid:1", scopes: "onvif://www.onvif.org/type/x onvif://www.onvif.org/name/South west gate onvif://www.onvif.org/hardware/%zz%1b%5B2J"), into: &answers)
        #expect(answers.devices.first?.name == "South west gate" && answers.devices.first?.hardware == "%zz [2J")
    }

    @Test func answersToNobodyAndFromOtherDevicesAreNotTaken() {
        var answers = DiscoveryAnswers(probes: ["urn:uuid:1"])
        take(Samples.probeMatch(relatesTo: "urn:uuid:7"), into: &answers)
        take(Samples.probeMatch(relatesTo: "urn:uuid:1", types: "wsdp:Device pub:Computer", scopes: ""), into: &answers)
        take(Samples.probeMatch(relatesTo: "urn:uuid:1", types: "", scopes: "onvif://www.onvif.org/type/x"), into: &answers)
        #expect(answers.devices.count == 1)
    }

    /// What an answer names is never asked elsewhere than where it came from, whatever it is.
    @Test(arguments: ["http://198.51.100.1/onvif", "http://127.0.0.1:22/", "http://169.254.169.254/latest", "https://intranet:8443/x?y", "http://[fe80::1]:81/onvif"])
    func onlyTheSenderIsEverAsked(address: String) {
        var answers = DiscoveryAnswers(probes: ["urn:uuid:1"])
        take(Samples.probeMatch(relatesTo: "urn:uuid:1", addresses: address), into: &answers)
        #expect(answers.devices.map(\.url.host) == ["192.0.2.9"])
    }

    @Test(arguments: ["", "ftp://192.0.2.9/", "javascript:alert(1)", "http://user:pw@192.0.2.9/", "http://192.0.2.9:0/", "http://192.0.2.9:99999/", "http:///x", "http://192.0.2.9/\u{202E}"])
    func anAnswerWithoutAUsableAddressIsNamedAndNotTaken(address: String) {
        var answers = DiscoveryAnswers(probes: ["urn:uuid:1"])
        take(Samples.probeMatch(relatesTo: "urn:uuid:1", addresses: address), into: &answers)
        #expect(answers.devices.isEmpty && answers.refusals.count == 1)
    }

    @Test func ofSeveralAddressesThePlainOneOfTheSenderIsAsked() {
        var answers = DiscoveryAnswers(probes: ["urn:uuid:1"])
        take(Samples.probeMatch(relatesTo: "urn:uuid:1", addresses: "https://192.0.2.9/s http://[fe80::1]/six http://10.0.0.1/other http://192.0.2.9:81/right"), into: &answers)
        #expect(answers.devices.map(\.url.description) == ["http://192.0.2.9:81/right"])
    }

    @Test func devicesAndDatagramsAreBounded() {
        var answers = DiscoveryAnswers(probes: ["urn:uuid:1"])
        for number in 0..<100 { take(Samples.probeMatch(relatesTo: "urn:uuid:1", addresses: "http://192.0.2.9/\(number)", endpoint: "urn:\(number)"), into: &answers) }
        #expect(answers.devices.count == DiscoveryAnswers.devicesOfOneSenderMax)
        for number in 0..<400 { take(Samples.probeMatch(relatesTo: "urn:uuid:1"), from: "10.0.\(number / 250).\(number % 250)", into: &answers) }
        #expect(answers.devices.count == DiscoveryAnswers.devicesMax && answers.isFull)
        // The same answer again under another name is the same service.
        var repeated = DiscoveryAnswers(probes: ["urn:uuid:1"])
        for number in 0..<3 { take(Samples.probeMatch(relatesTo: "urn:uuid:1", endpoint: "urn:\(number)"), into: &repeated) }
        #expect(repeated.devices.count == 1)
        var refused = DiscoveryAnswers(probes: ["urn:uuid:1"])
        for number in 0..<20 { take("<", from: "10.0.0.\(number)", into: &refused) }
        #expect(refused.refusals.count == 8 && refused.refusals.last?.hasPrefix("10.0.0.19:") == true)
        var flooded = DiscoveryAnswers(probes: ["urn:uuid:1"])
        for _ in 0..<5000 { take("<", into: &flooded) }
        #expect(flooded.isFull && flooded.datagrams == DiscoveryAnswers.datagramsMax && flooded.refusals.count == 1)
    }

    @Test func addressesAPersonGivesAreRead() {
        #expect(DeviceURL(deviceAt: "cam.local")?.description == "http://cam.local/onvif/device_service")
        #expect(DeviceURL(deviceAt: "192.0.2.9:8080")?.description == "http://192.0.2.9:8080/onvif/device_service")
        #expect(DeviceURL(deviceAt: "https://192.0.2.9/x")?.description == "https://192.0.2.9/x")
        for text in ["", ":80", "a b", "host:x", "host/../", "[::1", "u:p@host", "http://h#f", String(repeating: "h", count: 400)] { #expect(DeviceURL(deviceAt: text) == nil, "\(text)") }
    }

    @Test func streamAddressesLoseTheirUserAndPassword() {
        #expect(StreamAddress("rtsp://u:p@192.0.2.9:554/a?b=c")?.text == "rtsp://192.0.2.9:554/a?b=c")
        #expect(StreamAddress("RTSP://u:p@w@192.0.2.9/a")?.text == "rtsp://192.0.2.9/a")
        #expect(StreamAddress("rtsp://192.0.2.9/a")?.host == "192.0.2.9")
        for text in ["", "file:///etc/passwd", "rtsp://", "rtsp://u:p@/x", "rtsp://admin:pa/ss@h/x", "gopher://h/", "rtsp://h/\u{1B}[2J", "rtsp://h/ x"] { #expect(StreamAddress(text) == nil, "\(text)") }
    }
}

@Suite struct NotificationTests {
    private func state(_ topic: String, _ name: String, _ value: String, operation: String = "Changed") throws -> String? {
        let body = Samples.notify(Samples.message(topic: topic, operation: operation, data: "<tt:SimpleItem Name=\"\(name)\" Value=\"\(value)\"/>"))
        let notification = try #require(try ONVIFNotification.notify(Array(body.utf8)).first)
        return notification.state.map { "\($0.trigger) \($0.isActive)" }
    }

    @Test func motionAndInputsAreUnderstoodAndNothingElse() throws {
        #expect(try state("tns1:RuleEngine/CellMotionDetector/Motion", "IsMotion", "true") == "motion true")
        #expect(try state("tns1:RuleEngine/tns1:CellMotionDetector/tns1:Motion", "IsMotion", "0") == "motion false")
        #expect(try state("tns1:RuleEngine/FieldDetector/ObjectsInside", "IsInside", "1") == "motion true")
        #expect(try state("tns1:RuleEngine/MyRuleDetector/PeopleDetect", "State", "TRUE") == "motion true")
        #expect(try state("tns1:VideoSource/MotionAlarm", "State", "false", operation: "Initialized") == "motion false")
        #expect(try state("tns1:Device/Trigger/DigitalInput", "LogicalState", "true") == "digitalInput true")
        #expect(try state("tns1:Device/Trigger/DigitalInput", "LogicalState", "perhaps") == nil)
        #expect(try state("tns1:VideoSource/MotionAlarm", "State", "true", operation: "Deleted") == nil)
        #expect(try state("tns1:Monitoring/ProcessorUsage", "State", "true") == nil)
    }

    @Test func whatADevicePostsIsReadWithTimeAndTokens() throws {
        let notification = try #require(try ONVIFNotification.notify(Array(Samples.notify.utf8)).first)
        #expect(notification.topic == "RuleEngine/CellMotionDetector/Motion" && notification.operation == "Changed")
        #expect(notification.utcUnixMilliseconds == 1_795_249_679_500)
        #expect(notification.sourceTokens == ["VideoSourceConfigurationToken": "1"] && notification.data == ["IsMotion": "true"])
    }

    @Test func messagesItemsAndTheirLengthsAreBounded() throws {
        let long = String(repeating: "x", count: 300)
        let items = (0..<100).map { "<tt:SimpleItem Name=\"n\($0)\" Value=\"v\"/>" }.joined()
        let messages = (0..<200).map { _ in Samples.message(topic: "tns1:A/B", data: items) }.joined()
        // 200 messages of 100 items are over the limit of elements; half the items are not.
        #expect(throws: ONVIFError.self) { try ONVIFNotification.notify(Array(Samples.notify(messages).utf8)) }
        let fewer = (0..<200).map { _ in Samples.message(topic: "tns1:A/B", data: "<tt:SimpleItem Name=\"n\" Value=\"v\"/>") }.joined()
        #expect(try ONVIFNotification.notify(Array(Samples.notify(fewer).utf8)).count == 64)
        let one = Samples.message(topic: "tns1:A/B", data: items + "<tt:SimpleItem Name=\"\(long)\" Value=\"v\"/>")
        #expect(try ONVIFNotification.notify(Array(Samples.notify(one).utf8)).first?.data.count == 32)
        let tooLong = Samples.message(topic: "tns1:\(long)", data: "") + Samples.message(topic: "tns1:A", data: "<tt:SimpleItem Name=\"n\" Value=\"\(long)\"/>", time: "soon")
        let left = try ONVIFNotification.notify(Array(Samples.notify(tooLong).utf8))
        #expect(left.count == 1 && left[0].data.isEmpty && left[0].utcUnixMilliseconds == nil)
    }

    @Test func otherBodiesAreRefused() {
        for text in ["", "{}", "<r/>", Samples.probeMatch(relatesTo: "urn:uuid:1"), "<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + Samples.notify] {
            #expect(throws: ONVIFError.self) { try ONVIFNotification.notify(Array(text.utf8)) }
        }
    }
}
