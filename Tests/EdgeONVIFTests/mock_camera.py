"""Our own mock of a camera's device, media and event services. The tests of discovery run against a third party's camera
(PyPI ipycam, see camera_network.py); but no package to be had serves PullPoint events, HTTP Digest, a clock that is off, or
reference parameters. So that the mock is not its own judge, every request is checked against the schemas in ONVIF's WSDL
files, and so is every answer before it is sent (wsdl_schemas.py); a message they refuse is counted under `invalid`.

    mock_camera.py [--auth none|token|digest] [--user U --password P] [--clock-offset SECONDS] [--ends-after PULLS] [--stream ADDRESS]

Prints its port, then serves on 127.0.0.1. GET /state tells what was asked as JSON."""
import argparse
import base64
import datetime
import hashlib
import http.server
import json
import secrets
import sys
import threading
import time
from xml.sax.saxutils import escape

from lxml import etree

from wsdl_schemas import SOAP, Schemas

WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
WSA = "http://www.w3.org/2005/08/addressing"
VENDOR = "http://vendor.example/2026/subscriptions"
PREFIXES = {
    "s": SOAP, "tds": "http://www.onvif.org/ver10/device/wsdl", "trt": "http://www.onvif.org/ver10/media/wsdl", "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tt": "http://www.onvif.org/ver10/schema", "wsnt": "http://docs.oasis-open.org/wsn/b-2", "wsa": WSA, "v": VENDOR, "ter": "http://www.onvif.org/ver10/error",
    "tns1": "http://www.onvif.org/ver10/topics",
}
DECLARED = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in PREFIXES.items())
MAX_SKEW_SECONDS = 5
CONCRETE = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"

arguments = argparse.ArgumentParser()
arguments.add_argument("--auth", choices=["none", "token", "digest"], default="none")
arguments.add_argument("--user", default="viewer")
arguments.add_argument("--password", default="secret")
arguments.add_argument("--clock-offset", type=int, default=0)
arguments.add_argument("--ends-after", type=int, default=0, help="the subscription is gone after so many pulls")
arguments.add_argument("--stream", default="rtsp://{user}:{password}@127.0.0.1:554/live/{token}?unicast=true&proto=Onvif", help="what GetStreamUri answers")
options = arguments.parse_args()
schemas = Schemas()
state = {"asked": [], "invalid": [], "subscriptions": 0, "ended": 0, "renewed": 0, "pulls": 0, "refused": 0}
lock = threading.Lock()
nonce = secrets.token_hex(8)


def now():
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=options.clock_offset)


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def profile(token, name, source, width, height, rate, encoding="H264"):
    return f"""<trt:Profiles token="{token}" fixed="true"><tt:Name>{name}</tt:Name>
      <tt:VideoSourceConfiguration token="c{source}"><tt:Name>c</tt:Name><tt:UseCount>1</tt:UseCount><tt:SourceToken>{source}</tt:SourceToken>
        <tt:Bounds x="0" y="0" width="{width}" height="{height}"/></tt:VideoSourceConfiguration>
      <tt:VideoEncoderConfiguration token="e{token}"><tt:Name>e</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>{encoding}</tt:Encoding>
        <tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution><tt:Quality>5</tt:Quality>
        <tt:RateControl><tt:FrameRateLimit>{rate}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl>
        <tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>239.0.1.0</tt:IPv4Address></tt:Address><tt:Port>32002</tt:Port><tt:TTL>2</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>
        <tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration></trt:Profiles>"""


def notification(topic, source, data, operation="Changed"):
    def items(values):
        return "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in values.items())

    return f"""<wsnt:NotificationMessage><wsnt:Topic Dialect="{CONCRETE}">{topic}</wsnt:Topic><wsnt:Message>
      <tt:Message UtcTime="{stamp(now())}" PropertyOperation="{operation}"><tt:Source>{items(source)}</tt:Source><tt:Data>{items(data)}</tt:Data></tt:Message>
      </wsnt:Message></wsnt:NotificationMessage>"""


MOTION = {"VideoSourceConfigurationToken": "c1", "Rule": "MyMotionDetectorRule"}
SCRIPT = [
    [notification("tns1:RuleEngine/CellMotionDetector/Motion", MOTION, {"IsMotion": "false"}, "Initialized")],
    [notification("tns1:RuleEngine/CellMotionDetector/Motion", MOTION, {"IsMotion": "true"}),
     notification("tns1:VideoSource/MotionAlarm", {"Source": "1"}, {"State": "true"})],
    [notification("tns1:Device/Trigger/DigitalInput", {"InputToken": "in1"}, {"LogicalState": "true"})],
]


class Fault(Exception):
    def __init__(self, code, reason, status=400):
        super().__init__(reason)
        self.code, self.reason, self.status = code, reason, status


class Camera(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def do_GET(self):
        with lock:
            self.send(200, json.dumps(state).encode(), "application/json")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        document = etree.fromstring(body)
        element = document.find(f"{{{SOAP}}}Body")[0]
        name = etree.QName(element).localname
        with lock:
            state["asked"].append(name)
            if problem := schemas.judge(element):
                state["invalid"].append(f"{name}: {problem}")
        try:
            self.admit(name, document)
            answer = f"<s:Envelope {DECLARED}><s:Body>{self.answer(name, element, document)}</s:Body></s:Envelope>".encode()
            sent = etree.fromstring(answer).find(f"{{{SOAP}}}Body")[0]
            if problem := schemas.judge(sent):
                with lock:
                    state["invalid"].append(f"{etree.QName(sent).localname}: {problem}")
            self.send(200, answer)
        except Fault as fault:
            with lock:
                state["refused"] += 1
            text = f"""<s:Envelope {DECLARED}><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{fault.code}</s:Value></s:Subcode></s:Code>
              <s:Reason><s:Text xml:lang="en">{fault.reason}</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"""
            self.send(fault.status, text.encode())

    def send(self, status, body, kind="application/soap+xml; charset=utf-8"):
        self.send_response(status)
        if status == 401 and options.auth == "digest":
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("WWW-Authenticate", f'Digest realm="camera", qop="auth", nonce="{nonce}", opaque="x", algorithm=MD5')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def admit(self, name, document):
        if options.auth == "none" or name == "GetSystemDateAndTime":
            return
        if options.auth == "digest":
            value = self.headers.get("Authorization", "")
            words = dict(word.strip().split("=", 1) for word in value.removeprefix("Digest ").split(", ")) if value.startswith("Digest ") else {}
            words = {key: word.strip('"') for key, word in words.items()}

            def md5(text):
                return hashlib.md5(text.encode()).hexdigest()

            secret = md5(f"{options.user}:camera:{options.password}")
            right = md5(f'{secret}:{nonce}:{words.get("nc")}:{words.get("cnonce")}:auth:{md5("POST:" + self.path)}')
            if words.get("response") != right or words.get("username") != options.user or words.get("uri") != self.path:
                raise Fault("ter:NotAuthorized", "Sender not Authorized", 401)
            return
        token = document.find(f".//{{{WSSE}}}UsernameToken")
        if token is None:
            raise Fault("ter:NotAuthorized", "Sender not Authorized")
        created = token.findtext(f"{{{WSU}}}Created")
        age = abs((now() - datetime.datetime.fromisoformat(created.replace("Z", "+00:00"))).total_seconds())
        digest = hashlib.sha1(base64.b64decode(token.findtext(f"{{{WSSE}}}Nonce")) + created.encode() + options.password.encode()).digest()
        if token.findtext(f"{{{WSSE}}}Username") != options.user or base64.b64decode(token.findtext(f"{{{WSSE}}}Password")) != digest:
            raise Fault("ter:NotAuthorized", "Sender not Authorized")
        if age > MAX_SKEW_SECONDS:
            raise Fault("wsse:FailedCheck", f"Sender not Authorized: the token is {age} s old by my clock")

    def answer(self, name, element, document):
        # A camera that still names an address from another network: nothing is served there.
        here = f"http://203.0.113.9:{self.server.server_address[1]}"
        if name == "GetSystemDateAndTime":
            t = now()
            return f"""<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>
              <tt:UTCDateTime><tt:Time><tt:Hour>{t.hour}</tt:Hour><tt:Minute>{t.minute}</tt:Minute><tt:Second>{t.second}</tt:Second></tt:Time>
              <tt:Date><tt:Year>{t.year}</tt:Year><tt:Month>{t.month}</tt:Month><tt:Day>{t.day}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"""
        if name == "GetCapabilities":
            return f"""<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Events><tt:XAddr>{here}/onvif/events</tt:XAddr><tt:WSSubscriptionPolicySupport>true</tt:WSSubscriptionPolicySupport>
              <tt:WSPullPointSupport>true</tt:WSPullPointSupport><tt:WSPausableSubscriptionManagerInterfaceSupport>false</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>
              <tt:Media><tt:XAddr>{here}/onvif/media</tt:XAddr><tt:StreamingCapabilities/></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>"""
        if name == "GetDeviceInformation":
            return """<tds:GetDeviceInformationResponse><tds:Manufacturer>Mock &amp; Sons</tds:Manufacturer><tds:Model>M-1</tds:Model><tds:FirmwareVersion>1.0</tds:FirmwareVersion>
              <tds:SerialNumber>7</tds:SerialNumber><tds:HardwareId>h</tds:HardwareId></tds:GetDeviceInformationResponse>"""
        if name == "GetProfiles":
            profiles = profile("low", "Low", "1", 640, 360, 15) + profile("high", "High", "1", 2560, 1440, 25) + profile("second", "Door", "2", 800, 600, 10, "JPEG")
            return f"<trt:GetProfilesResponse>{profiles}</trt:GetProfilesResponse>"
        if name == "GetStreamUri":
            token = element.findtext(f"{{{PREFIXES['trt']}}}ProfileToken")
            uri = escape(options.stream.format(user=options.user, password=options.password, token=token))
            return f"""<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{uri}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>
              <tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>"""
        times = f"<wsnt:CurrentTime>{stamp(now())}</wsnt:CurrentTime><wsnt:TerminationTime>{stamp(now())}</wsnt:TerminationTime>"
        if name == "CreatePullPointSubscription":
            with lock:
                state["subscriptions"] += 1
                number = state["subscriptions"]
                self.server.pulls = 0
            return f"""<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa:Address>{here}/onvif/subscription?n={number}</wsa:Address>
              <wsa:ReferenceParameters><v:SubscriptionId v:kind="pull">a&amp;{number}</v:SubscriptionId></wsa:ReferenceParameters></tev:SubscriptionReference>{times}</tev:CreatePullPointSubscriptionResponse>"""
        return self.answer_subscription(name, document, times)

    def answer_subscription(self, name, document, times):
        number = state["subscriptions"]
        header = document.find(f"{{{SOAP}}}Header/{{{VENDOR}}}SubscriptionId")
        if header is None or header.text != f"a&{number}" or header.get(f"{{{VENDOR}}}kind") != "pull" or self.path != f"/onvif/subscription?n={number}":
            raise Fault("ter:InvalidArgVal", "no such subscription")
        if name == "PullMessages":
            with lock:
                state["pulls"] += 1
                self.server.pulls += 1
                mine = self.server.pulls
            if options.ends_after and mine > options.ends_after:
                raise Fault("ter:InvalidArgVal", "the subscription has ended")
            messages = SCRIPT[mine - 1] if mine <= len(SCRIPT) else []
            if not messages:
                time.sleep(10)
            return f"""<tev:PullMessagesResponse><tev:CurrentTime>{stamp(now())}</tev:CurrentTime><tev:TerminationTime>{stamp(now())}</tev:TerminationTime>{"".join(messages)}</tev:PullMessagesResponse>"""
        if name == "Renew":
            with lock:
                state["renewed"] += 1
            return f"<wsnt:RenewResponse><wsnt:TerminationTime>{stamp(now())}</wsnt:TerminationTime></wsnt:RenewResponse>"
        if name == "Unsubscribe":
            with lock:
                state["ended"] += 1
            return "<wsnt:UnsubscribeResponse/>"
        raise Fault("ter:ActionNotSupported", f"{name} is not implemented")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
server.daemon_threads = True
print(server.server_address[1], flush=True)
# Ends with whoever started it.
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
server.serve_forever()
