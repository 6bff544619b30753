import Testing

@Suite struct FileLengthTests {
    /// Longer than 400 lines, each with the reason why splitting it would make it harder to read.
    let justified: [String: String] = [:]

    @Test func filesAreShortAndLongOnesHaveAReason() throws {
        let files = try Repository().sources
        for file in files {
            #expect(file.lineCount <= 800, "\(file.path) has \(file.lineCount) lines; none may have more than 800")
            #expect(
                file.lineCount <= 400 || justified[file.path] != nil,
                "\(file.path) has \(file.lineCount) lines; above 400 it needs a reason in this test")
        }
        for path in justified.keys {
            #expect(files.contains { $0.path == path && $0.lineCount > 400 }, "\(path) needs no reason any more")
        }
        try #require(!files.isEmpty)
        let median = files.map(\.lineCount).sorted()[files.count / 2]
        #expect(median <= 120, "the median file has \(median) lines")
    }
}
