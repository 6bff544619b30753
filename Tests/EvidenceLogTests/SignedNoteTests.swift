import EvidenceLog
import FoundationEssentials
import LogFixtures
import RecordingModel
import Testing

@Suite("Signed notes and their keys (C2SP)")
struct SignedNoteTests {
    /// From the tests of golang.org/x/mod/sumdb/note.
    static let peter = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    static let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    static let published = text + "\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

    @Test("a note signed by the Go implementation verifies here")
    func foreignNote() throws {
        let key = try #require(NoteKey(text: Self.peter))
        #expect(key.text == Self.peter)
        let note = try #require(SignedNote(encoded: Self.published))
        #expect(note.text == Self.text)
        #expect(note.isSigned(by: key))
        #expect(note.encoded == Self.published)
        var altered = note
        altered.text = Self.text.replacing("answer", with: "Answer")
        #expect(!altered.isSigned(by: key))
    }

    @Test("a key whose text was altered is no key", arguments: [
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX", "PeterNeumann+c74f20a3", "", "++",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ])
    func alteredKeys(text: String) {
        #expect(NoteKey(text: text) == nil)
    }

    @Test("a note survives writing and reading with several signatures, and tells whose they are")
    func roundTrip() throws {
        let first = try #require(NoteSigner(name: "example/a", algorithm: .ed25519))
        let second = try #require(NoteSigner(name: "example/a", algorithm: .ed25519))
        let hub = try #require(NoteSigner(name: "hub", algorithm: .cosignature))
        var note = SignedNote(text: "one\n\ntwo\n")
        try note.sign(with: first)
        #expect(!note.isSigned(by: second.verifier))
        try note.sign(with: second)
        try note.cosign(with: hub, unixSeconds: 1_700_000_000)
        let read = try #require(SignedNote(encoded: note.encoded))
        #expect(read == note)
        #expect(read.isSigned(by: first.verifier) && read.isSigned(by: second.verifier))
        #expect(read.cosignatureUnixSeconds(by: hub.verifier) == 1_700_000_000)
        #expect(read.cosignatureUnixSeconds(by: first.verifier) == nil)
        var otherText = read
        otherText.text = "one\n\nthree\n"
        #expect(otherText.cosignatureUnixSeconds(by: hub.verifier) == nil)
    }

    @Test("a cosignature's time cannot be changed")
    func cosignatureTime() throws {
        let hub = try #require(NoteSigner(name: "hub", algorithm: .cosignature))
        var note = SignedNote(text: "one\n")
        try note.cosign(with: hub, unixSeconds: 1_700_000_000)
        note.signatures[0].bytes[7] ^= 1
        #expect(note.cosignatureUnixSeconds(by: hub.verifier) == nil)
    }

    @Test("what is no note is refused", arguments: [
        "", "\n", "text\n", "text\n\n", "text\n\nnot a signature\n", "text\n\n\u{2014} name !!!\n", "text\n\n\u{2014} name AAAA\n", "text\n\n\u{2014} name AAAAAAA=",
    ])
    func malformed(text: String) {
        #expect(SignedNote(encoded: text) == nil)
    }

    @Test("a note above its limits is refused")
    func limits() throws {
        let signer = try #require(NoteSigner(name: "a", algorithm: .ed25519))
        var note = SignedNote(text: "x\n")
        for _ in 0...SignedNote.signatureLimit { try note.sign(with: signer) }
        #expect(SignedNote(encoded: note.encoded) == nil)
        #expect(SignedNote(encoded: String(repeating: "x", count: SignedNote.byteLimit) + "\n\n") == nil)
    }

    @Test("a private key is the same after it was stored")
    func storedKey() throws {
        let signer = try #require(NoteSigner(name: "a", algorithm: .ed25519))
        #expect(signer.privateKeyBytes.count == 32)
        #expect(NoteSigner(name: "a", algorithm: .ed25519, privateKeyBytes: signer.privateKeyBytes)?.verifier == signer.verifier)
        #expect(NoteSigner(name: "a", algorithm: .ed25519, privateKeyBytes: [1, 2, 3]) == nil)
        #expect(NoteSigner(name: "a b", algorithm: .ed25519) == nil)
    }

    @Test("a checkpoint's text is that of C2SP tlog-checkpoint and reads back")
    func checkpointText() throws {
        let log = try #require(LogID("00112233445566778899aabbccddeeff"))
        let checkpoint = Checkpoint(log: log, size: 20_852_163, root: .sha256([]))
        #expect(checkpoint.noteText == "fieldpost.node/00112233445566778899aabbccddeeff\n20852163\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
        #expect(Checkpoint(noteText: checkpoint.noteText) == checkpoint)
        for wrong in [
            checkpoint.noteText.replacing("20852163", with: "020852163"), checkpoint.noteText.replacing("20852163", with: "-1"),
            checkpoint.noteText.replacing("fieldpost.node/", with: "other/"), checkpoint.noteText + "more\n", String(checkpoint.noteText.dropLast()),
        ] { #expect(Checkpoint(noteText: wrong) == nil) }
    }
}
