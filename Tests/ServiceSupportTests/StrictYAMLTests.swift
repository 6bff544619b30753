import ServiceSupport
import Testing

private enum Word: String, CaseIterable { case tcp, udp }

/// Reads a file of every kind of value and returns the messages, or an empty list when it is accepted.
private func problems(_ yaml: String) -> [String] {
    do {
        _ = try StrictYAML.decode(Array(yaml.utf8), file: "node.yaml") { root -> Bool? in
            _ = root.required("name", .text(1...20))
            _ = root.optional("count", .integer(2...600, unit: "seconds"))
            _ = root.optional("rate", .number(0.5...2))
            _ = root.optional("on", .boolean)
            _ = root.optional("via", StrictType<Word>.choice)
            _ = root.optional("path", .absolutePath)
            _ = root.section("hub") { $0.optional("enabled", .boolean) ?? true }
            _ = root.list("cameras", 0...3) { item in
                item.mapping { camera in
                    _ = camera.optional("url", .text())
                    _ = camera.optional("segment_seconds", .integer(2...600))
                    return camera.required("id", .text(1...8))
                }
            }
            return true
        }
        return []
    } catch let error as ConfigurationError {
        return error.problems.map(\.description)
    } catch {
        return ["other error: \(error)"]
    }
}

@Suite struct StrictYAMLTests {
    @Test func `a file with every key is accepted`() {
        #expect(problems("""
            name: gate
            count: 2
            rate: 1.5
            on: true
            via: udp
            path: /var/lib
            hub:
              enabled: false
            cameras:
              - {id: a, url: x}
              - id: "b"
            """) == [])
    }

    @Test(arguments: [
        ("name: x\nnmae: y\n", "nmae (line 2, column 1): unknown key; accepted here: cameras, count, hub, name, on, path, rate, via"),
        ("name: x\ncameras:\n  - id: a\n  - id: b\n    segment_secods: 3\n", "cameras[1].segment_secods (line 5, column 5): unknown key; accepted here: id, segment_seconds, url"),
        ("name: x\nhub:\n  enabled: true\n  port: 1\n", "hub.port (line 4, column 3): unknown key; accepted here: enabled"),
        ("count: 5\n", "name (line 1, column 1): missing; expected text of 1 to 20 bytes in one line"),
        ("name: x\ncameras:\n  - url: y\n", "cameras[0].id (line 3, column 5): missing; expected text of 1 to 8 bytes in one line"),
        ("", "name: missing; expected text of 1 to 20 bytes in one line"),
        ("name:\n", "name (line 1, column 6): expected text of 1 to 20 bytes in one line, found nothing"),
        ("name: ~\n", "name (line 1, column 7): expected text of 1 to 20 bytes in one line, found nothing"),
        ("name: [a]\n", "name (line 1, column 7): expected text of 1 to 20 bytes in one line, found a list"),
        ("name: {a: b}\n", "name (line 1, column 7): expected text of 1 to 20 bytes in one line, found a section"),
        ("name: aaaaaaaaaaaaaaaaaaaaa\n", "name (line 1, column 7): expected text of 1 to 20 bytes in one line"),
        ("name: \"a\\nb\"\n", "name (line 1, column 7): expected text of 1 to 20 bytes in one line"),
        ("name: x\ncount: 1\n", "count (line 2, column 8): 1 is out of range; expected a whole number from 2 to 600 seconds"),
        ("name: x\ncount: 601\n", "count (line 2, column 8): 601 is out of range; expected a whole number from 2 to 600 seconds"),
        ("name: x\ncount: ten\n", "count (line 2, column 8): expected a whole number from 2 to 600 seconds"),
        ("name: x\ncount: \"10\"\n", "count (line 2, column 8): expected a whole number from 2 to 600 seconds"),
        ("name: x\ncount: 1_0\n", "count (line 2, column 8): expected a whole number from 2 to 600 seconds"),
        ("name: x\ncount: 010\n", "count (line 2, column 8): expected a whole number from 2 to 600 seconds"),
        ("name: x\ncount: 99999999999999999999\n", "count (line 2, column 8): expected a whole number from 2 to 600 seconds"),
        ("name: x\nrate: 3\n", "rate (line 2, column 7): 3.0 is out of range; expected a number from 0.5 to 2.0"),
        ("name: x\nrate: nan\n", "rate (line 2, column 7): expected a number from 0.5 to 2.0"),
        ("name: x\non: yes\n", "on (line 2, column 5): expected true or false"),
        ("name: x\nvia: carrier\n", "via (line 2, column 6): expected one of tcp, udp"),
        ("name: x\npath: var/lib\n", "path (line 2, column 7): expected an absolute path, such as /var/lib/fieldpost"),
        ("name: x\npath: /var/../etc\n", "path (line 2, column 7): expected an absolute path, such as /var/lib/fieldpost"),
        ("name: x\nhub: true\n", "hub (line 2, column 6): expected a section of keys, found text"),
        ("name: x\ncameras: a\n", "cameras (line 2, column 10): expected a list of 0 to 3 items, found text"),
        ("name: x\ncameras: [{id: a}, {id: b}, {id: c}, {id: d}]\n", "cameras (line 2, column 10): 4 items; expected a list of 0 to 3 items"),
        ("name: x\ncameras: [a]\n", "cameras[0] (line 2, column 11): expected a section of keys, found text"),
        ("- a\n- b\n", "line 1, column 1: expected a section of keys, found a list"),
        ("name: x\nname: y\n", "name (line 2, column 1): duplicate key, first given on line 1; each key of a section may be given once"),
        ("name: x\ncameras:\n  - id: a\n    url: b\n    \"id\": c\n", "cameras[0].id (line 5, column 5): duplicate key, first given on line 3; each key of a section may be given once"),
        ("name: &n x\n", "name (line 1, column 7): anchors and aliases are not accepted"),
        ("name: x\nhub: &h {enabled: true}\n", "hub (line 2, column 6): anchors and aliases are not accepted"),
        ("name: x\n? [a]\n: b\n", "line 2, column 3: a key must be plain text"),
        ("name: x\n---\nname: y\n", "line 2, column 1: not valid YAML: but found another document"),
        ("name: \"x\nb: c\n", "line 3, column 1: not valid YAML: found unexpected end of stream"),
    ]) func `each kind of mistake is named with its place and what is accepted`(yaml: String, message: String) {
        #expect(problems(yaml) == [message])
    }

    @Test func `all mistakes of a file are named, in the order of its lines`() {
        #expect(problems("nmae: x\nname: x\nname: y\ncount: 1\nhub: {enabled: maybe}\nhub: {}\n") == [
            "nmae (line 1, column 1): unknown key; accepted here: cameras, count, hub, name, on, path, rate, via",
            "name (line 3, column 1): duplicate key, first given on line 2; each key of a section may be given once",
            "count (line 4, column 8): 1 is out of range; expected a whole number from 2 to 600 seconds",
            "hub.enabled (line 5, column 16): expected true or false",
            "hub (line 6, column 1): duplicate key, first given on line 5; each key of a section may be given once",
        ])
    }

    @Test func `at most twenty mistakes are listed and the rest counted`() throws {
        let yaml = "name: x\n" + (1...30).map { "k\($0): 1\n" }.joined()
        let error = #expect(throws: ConfigurationError.self) {
            try StrictYAML.decode(Array(yaml.utf8), file: "node.yaml") { $0.required("name", .text()) }
        }
        #expect(error?.problems.count == 20)
        #expect(error?.description.hasPrefix("node.yaml is refused:\n  k1 (line 2, column 1): unknown key; accepted here: name\n") == true)
        #expect(error?.description.hasSuffix("\n  and 10 more") == true)
    }

    @Test func `text that is no UTF-8, a huge file and deep nesting are refused without a crash`() {
        func message(_ bytes: [UInt8]) -> String {
            do {
                return try StrictYAML.decode(bytes, file: "f") { $0.required("name", .text()) }
            } catch { return "\(error)" }
        }
        #expect(message([0x61, 0x3A, 0x20, 0xFF]) == "f is refused:\n  the file is not UTF-8 text")
        #expect(message([UInt8](repeating: 0x23, count: (1 << 20) + 1)) == "f is refused:\n  the file is larger than 1048576 bytes")
        #expect(message(Array(String(repeating: "[", count: 100_000).utf8)).contains("not valid YAML"))
        #expect(message(Array("name: \"\u{1}\"".utf8)).contains("not valid YAML"))
    }

    @Test func `no message repeats the value of a text`() {
        for yaml in ["name: [geheim]", "name: {geheim: x", "name: \"geheim\\nx\"", "name: geheim: x", "name: x\npath: geheim", "name: 'geheim"] {
            #expect(!problems(yaml).isEmpty && !problems(yaml).joined().contains("geheim"), "\(yaml)")
        }
    }
}
