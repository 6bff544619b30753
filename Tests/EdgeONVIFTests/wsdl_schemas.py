"""The schemas of ONVIF's own WSDL files (as the PyPI package onvif-zeep ships them), to judge messages with lxml."""
import importlib.util
import os

from lxml import etree

XS = "{http://www.w3.org/2001/XMLSchema}"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
FILES = {
    "http://www.onvif.org/ver10/device/wsdl": "devicemgmt.wsdl",
    "http://www.onvif.org/ver10/media/wsdl": "media.wsdl",
    "http://www.onvif.org/ver10/events/wsdl": "events.wsdl",
    # WS-BaseNotification's messages: the event service's schema imports theirs.
    "http://docs.oasis-open.org/wsn/b-2": "events.wsdl",
}


class Schemas:
    def __init__(self):
        package = importlib.util.find_spec("onvif").origin
        self.folder = os.path.join(os.path.dirname(os.path.dirname(package)), "wsdl")
        self.schemas = {}

    def _schema(self, namespace):
        name = FILES[namespace]
        if name not in self.schemas:
            parser = etree.XMLParser(no_network=True)
            path = os.path.join(self.folder, name)
            schema = next(etree.parse(path, parser).iter(XS + "schema"))
            # Written out and read again, so that it declares the prefixes that the WSDL's root declares for it.
            self.schemas[name] = etree.XMLSchema(etree.fromstring(etree.tostring(schema), parser, base_url=path))
        return self.schemas[name]

    def judge(self, element):
        """What is wrong with one child of a SOAP body; None when the schema accepts it."""
        namespace = etree.QName(element).namespace
        if namespace not in FILES:
            return f"no schema for {element.tag}"
        alone = etree.fromstring(etree.tostring(element, with_tail=False))
        schema = self._schema(namespace)
        return None if schema.validate(alone) else str(schema.error_log)
