import Testing

@testable import fieldpost_edge

@Suite struct MachineHeatTests {
    @Test func everyZoneIsLookedAtWhateverItsNumber() {
        func may(_ zones: [Int: String]) -> Bool { MachineHeat.mayTranscode { zones[$0] } }
        #expect(may([:]))
        #expect(may([0: "41000\n", 3: "75000\n"]))
        #expect(!may([0: "76000\n"]))
        // The first ones are not there, or cannot be read.
        #expect(!may([5: "81500\n"]))
        #expect(!may([0: "", 1: "40000\n", 4: "90000\n"]))
        #expect(may([0: "-273000\n"]))
    }
}
