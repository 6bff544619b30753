@testable import EdgeONVIF
import Foundation
import Testing
import TestSupport

@Suite struct XMLReaderTests {
    private func read(_ text: String, limits: XMLLimits = .answer) throws -> XMLElement { try XMLReader.read(Array(text.utf8), limits: limits) }

    /// The sentence that refuses a document.
    private func refusal(_ text: String, limits: XMLLimits = .answer) -> String? {
        do {
            _ = try read(text, limits: limits)
            return nil
        } catch { return "\(error)" }
    }

    @Test func namesNamespacesAttributesAndTextAreRead() throws {
        let root = try read("<a:r xmlns:a='urn:one' xmlns='urn:two'><c x='1 &amp; &lt;&#38;&#x41;' a:y=\"2\">  t&amp;<![CDATA[<u>]]>\n</c><c/><d><c z=''/></d></a:r>")
        #expect(root.namespace == "urn:one" && root.name == "r" && root.children.count == 3)
        let first = try #require(root.child("c"))
        #expect(first.namespace == "urn:two" && first.text == "t&<u>")
        #expect(first.attributes == [.init(namespace: "", name: "x", value: "1 & <&A"), .init(namespace: "urn:one", name: "y", value: "2")])
        #expect(root.all("c").count == 3 && root.at("d", "c")?.attribute("z") == "" && root.at("d", "e") == nil)
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let text = "<r><i:p xmlns:i='urn:i' i:k='&quot;a&amp;b&lt;'>x &amp; y<q>ü</q></i:p></r>"
        let element = try #require(try read(text).child("p"))
        #expect(try read("<h>\(element.serialized)</h>").children == [element])
    }

    @Test func aDocumentTypeIsRefusedBeforeAnyOfItIsUsed() throws {
        let laughs = "<!DOCTYPE l [<!ENTITY a 'ha'>" + (1...30).map { "<!ENTITY a\($0) '&a\($0 == 1 ? "" : "\($0 - 1)");&a\($0 == 1 ? "" : "\($0 - 1)");'>" }.joined() + "]><l>&a30;</l>"
        let documents = [
            laughs, "<!DOCTYPE r><r/>",
            "<!DOCTYPE r [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><r>&f;</r>",
            "<?xml version='1.0'?>\n<!-- x --><!DOCTYPE r PUBLIC 'p' 'file:///etc/passwd'><r/>",
            "<!DOCTYPE r [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]><r/>",
            "<!DOCTYPE r [<!ATTLIST r x CDATA 'injected'>]><r/>",
        ]
        for document in documents {
            let sentence = try #require(refusal(document))
            #expect(sentence.contains("document type"), "\(sentence)")
        }
        #expect(refusal("<r>&undeclared;</r>") != nil)
    }

    /// A listener and a fresh file stand where the documents point; strace would say the same, but this needs no privilege.
    @Test func nothingOutsideOfTheBytesIsOpened() throws {
        let folder = try TemporaryDirectory("xml")
        try "SECRET-IN-FILE".write(toFile: folder.path("secret"), atomically: true, encoding: .utf8)
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bound -> Int in
                #expect(bind(listener, bound, length) == 0 && listen(listener, 8) == 0)
                getsockname(listener, bound, &length)
                return Int(in_port_t(bigEndian: pointer.pointee.sin_port))
            }
        }
        for place in ["file://\(folder.path("secret"))", folder.path("secret"), "http://127.0.0.1:\(port)/x.dtd"] {
            for document in [
                "<!DOCTYPE r SYSTEM '\(place)'><r/>", "<!DOCTYPE r [<!ENTITY e SYSTEM '\(place)'>]><r>&e;</r>", "<!DOCTYPE r [<!ENTITY % e SYSTEM '\(place)'> %e;]><r/>",
                "<r xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='\(place)' parse='text'/></r>",
                "<?xml-stylesheet href='\(place)'?><r xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:schemaLocation='a \(place)'/>",
            ] {
                let result = Result { try read(document) }
                #expect(!"\(result)".contains("SECRET-IN-FILE"))
            }
        }
        var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        #expect(poll(&waiting, 1, 200) == 0, "a document made the reader connect")
    }

    @Test func eachLimitIsKeptAndNamed() {
        func nested(_ depth: Int) -> String { String(repeating: "<e>", count: depth) + String(repeating: "</e>", count: depth) }
        func attributes(_ count: Int) -> String { "<e " + (0..<count).map { "a\($0)='' " }.joined() + "/>" }
        #expect(refusal(nested(64)) == nil)
        #expect(refusal(nested(65))?.contains("64 deep") == true)
        #expect(refusal(nested(100_000))?.contains("deep") == true)
        #expect(refusal("<r>" + String(repeating: "<e/>", count: 9_999) + "</r>") == nil)
        #expect(refusal("<r>" + String(repeating: "<e/>", count: 10_000) + "</r>")?.contains("10000 elements") == true)
        #expect(refusal(attributes(64)) == nil)
        #expect(refusal(attributes(65))?.contains("64 attributes") == true)
        #expect(refusal(attributes(80_000))?.contains("20000 attributes") == true)
        #expect(refusal("<e a='\(String(repeating: "x", count: 65_536))'/>") == nil)
        #expect(refusal("<e a='\(String(repeating: "x", count: 65_537))'/>")?.contains("65536") == true)
        #expect(refusal("<e>\(String(repeating: "x", count: 65_537))</e>")?.contains("65536") == true)
        #expect(refusal("<e>" + String(repeating: "<![CDATA[\(String(repeating: "x", count: 999))]]>", count: 70) + "</e>")?.contains("65536") == true)
        #expect(refusal("<\(String(repeating: "n", count: 900_000))/>") != nil)
        #expect(refusal("<e>" + String(repeating: " ", count: 1 << 20) + "</e>")?.contains("1048576") == true)
        #expect(refusal("<e>" + String(repeating: " ", count: 65_536) + "</e>", limits: .datagram)?.contains("65536") == true)
    }

    /// The worst that fits: as many attributes in one element as are let through to libxml2, which compares each with all.
    @Test func theWorstDocumentTakesLessThanThreeSeconds() {
        let start = ContinuousClock.now
        #expect(refusal("<e " + (0..<19_999).map { "a\($0)='' " }.joined() + "/>")?.contains("64 attributes") == true)
        #expect(ContinuousClock.now - start < .seconds(3))
    }

    @Test func whatIsNoUTF8OrNoWholeDocumentIsRefused() {
        for bytes: [UInt8] in [
            [], [0], Array("<r>\u{0}</r>".utf8), [0xFF, 0xFE, 0x3C, 0, 0x72, 0], Array("<r>".utf8) + [0xC3, 0x28] + Array("</r>".utf8), [0xEF, 0xBB, 0xBF],
            Array("<r>".utf8) + [0xED, 0xA0, 0x80] + Array("</r>".utf8),
        ] {
            #expect(throws: ONVIFError.self) { try XMLReader.read(bytes, limits: .answer) }
        }
        for text in ["", " ", "plain", "<r", "<r>", "<r></s>", "<r/><r/>", "<r/>x", "<p:r/>x", "<r a='1' a='2'/>", "<r a=1/>", "<r>&#0;</r>", "<r>&amp</r>", "<!DOCTYPE", "<?xml version='9'"] {
            #expect(refusal(text) != nil, "\(text)")
        }
        // The declared encoding is not gone by: these bytes were checked as UTF-8 and are read as that.
        #expect(refusal("<?xml version='1.0' encoding='UTF-7'?><r>+ADw-x+AD4-</r>") == nil)
        #expect((try? read("<?xml version='1.0' encoding='iso-8859-1'?><r>ü</r>"))?.text == "ü")
        #expect((try? XMLReader.read([0xEF, 0xBB, 0xBF] + Array("<r>b</r>".utf8), limits: .answer))?.text == "b")
    }

    @Test func everyPrefixOfAnAnswerIsRefusedWithASentence() {
        let bytes = Array(Samples.probeMatch(relatesTo: "urn:uuid:1").utf8)
        for length in 0..<bytes.count - 1 {
            do {
                _ = try XMLReader.read(Array(bytes[..<length]), limits: .datagram)
                Issue.record("the first \(length) bytes were taken as a whole document")
            } catch { #expect("\(error)".utf8.count > 10 && error is ONVIFError) }
        }
    }

    @Test func randomlyDamagedDocumentsNeverCrashAndAnswerInTime() {
        let seed = UInt64(ProcessInfo.processInfo.environment["FIELDPOST_SEED"] ?? "") ?? .random(in: 0...UInt64(UInt32.max))
        print("XMLReaderTests seed \(seed) (set FIELDPOST_SEED to repeat)")
        var random = Seeded(state: seed)
        let samples = [Samples.probeMatch(relatesTo: "urn:uuid:1"), Samples.notify, "<!DOCTYPE r [<!ENTITY a 'b'><!ENTITY % p SYSTEM 'file:///etc/passwd'>%p;]><r x='&a;'>&a;<![CDATA[c]]><?p i?><!--d--></r>"]
        let pieces = ["<", ">", "&", "'", "\"", "<!DOCTYPE r [", "]>", "<![CDATA[", "]]>", "<!--", "-->", "<?", "?>", "xmlns:", "=", "&#x110000;", "&#38;", "/", "\u{FEFF}", "é", "\0"].map { Array($0.utf8) }
        var taken = 0
        for _ in 0..<6000 {
            var bytes = Array(samples[Int(random.next() % UInt64(samples.count))].utf8)
            for _ in 0...Int(random.next() % 6) where !bytes.isEmpty {
                let place = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 5 {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + Int(random.next() % 40)))
                case 2: bytes.insert(contentsOf: pieces[Int(random.next() % UInt64(pieces.count))], at: place)
                case 3: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + Int(random.next() % 60))], at: place)
                default: bytes[place] ^= 1 << UInt8(random.next() % 8)
                }
            }
            do {
                let root = try XMLReader.read(bytes, limits: .datagram)
                taken += 1
                var answers = DiscoveryAnswers(probes: ["urn:uuid:1"])
                answers.take(bytes, from: "192.0.2.9")
                #expect(answers.devices.allSatisfy { $0.url.host == "192.0.2.9" }, "seed \(seed)")
                #expect(ONVIFNotification.messages(in: root).count <= 64, "seed \(seed)")
                _ = try? ONVIFNotification.notify(bytes)
            } catch { #expect(error is ONVIFError, "seed \(seed): \(error)") }
        }
        // Damage that leaves the text well formed happens; if it never did, the mutations would be too coarse to mean anything.
        #expect(taken > 20 && taken < 6000)
    }
}

struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state ^= state << 13 | 1
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_F491_4F6C_DD1D
    }
}
