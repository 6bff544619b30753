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
            #expect(b.infraredCameras <= a.infraredCameras && b.ptzCameras <= a.ptzCameras)
            #expect(b.otherCameras <= b.priorityCameras)
        }
    }

    @Test func `In the reduced state the cameras that matter keep light and motors, the others lose both`() {
        let reduced = PowerDirectives.standard(.reduced, reason: "")
        for choice in [reduced.infraredCameras, reduced.ptzCameras] { #expect(choice.holds(isPriority: true) && !choice.holds(isPriority: false)) }
        // What switches all cameras together: there is light for those that matter, and no motor moves.
        #expect(reduced.isInfraredOn && !reduced.isPTZOn)
    }
}
