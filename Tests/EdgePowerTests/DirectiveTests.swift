import EdgePower
import RecordingModel
import Testing

@Suite("What a power state asks")
struct DirectiveTests {
    @Test func `A lower state never allows more than a higher one`() {
        let states: [PowerState] = [.surplus, .full, .reduced, .sparse, .hibernate, .halt]
        for (higher, lower) in zip(states, states.dropFirst()) {
            let (a, b) = (PowerDirectives.standard(higher, reason: ""), PowerDirectives.standard(lower, reason: ""))
            #expect(b.priorityCameras <= a.priorityCameras && b.otherCameras <= a.otherCameras && b.link <= a.link)
            #expect(b.heartbeatSeconds >= a.heartbeatSeconds && (a.mayTranscode || !b.mayTranscode) && (a.isInfraredOn || !b.isInfraredOn))
            #expect(b.otherCameras <= b.priorityCameras)
        }
    }
}
