/// Something happened in front of a camera, or somebody said so.
package struct EventRecord: Hashable, Sendable, Codable {
    package enum Source: String, Sendable, OpenWord, CaseIterable { case motion, onvif, webhook, manual, unrecognised }
    package var camera: CameraID
    package var source: Source
    package var bootID: String
    package var startBootMilliseconds: Int64
    package var startWall: WallEstimate
    package var durationMilliseconds: Int64
    /// 0 to 100: how sure the source is, or how strong the motion was.
    package var score: Int
    /// The configured zone's name, the ONVIF topic, or the webhook's name.
    package var label: String
    package init(
        camera: CameraID, source: Source, bootID: String, startBootMilliseconds: Int64, startWall: WallEstimate, durationMilliseconds: Int64,
        score: Int, label: String
    ) {
        self.camera = camera
        self.source = source
        self.bootID = bootID
        self.startBootMilliseconds = startBootMilliseconds
        self.startWall = startWall
        self.durationMilliseconds = durationMilliseconds
        self.score = score
        self.label = label
    }
    package var endUnixMilliseconds: Int64 { startWall.unixMilliseconds + durationMilliseconds }
}
