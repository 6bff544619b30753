import Testing

/// The rules are worth what their reading of the sources is worth.
@Suite struct SourceFileTests {
    @Test func importsAreFoundHoweverTheyAreWritten() {
        let file = SourceFile(
            path: "Sources/X/X.swift",
            text: """
                import A
                package import B
                  @testable import C
                @preconcurrency public import struct D.Name
                // import Commented
                /// import Commented
                @_exported import E
                let text = "import Quoted"
                """)
        #expect(file.imports.map(\.module) == ["A", "B", "C", "D", "E"])
        #expect(file.imports.map(\.number) == [1, 2, 3, 4, 7])
    }

    @Test func commentsAndStringsAreNotCode() {
        let file = SourceFile(
            path: "edge/X/X.swift", text: "let a = \"try! \\\" https://x\" + b // as! c\nlet d = \"\"\"\n  fatalError(\n  \"\"\"\nlet e = try! f()\n")
        #expect(file.code.map(\.text).filter { $0.contains("try!") } == ["let e = try! f()"])
        #expect(!file.code.contains { $0.text.contains("as!") || $0.text.contains("fatalError(") })
        #expect(file.code[0].text.contains("+ b"))
        #expect(file.lineCount == 5)
        #expect(file.folder == "edge" && file.target == "X")
    }
}
