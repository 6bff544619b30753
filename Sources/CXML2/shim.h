// The push-less SAX2 interface of libxml2; its tree, XPath, HTML, readers and network access are not used.
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlerror.h>

// The value that says "this handler has the SAX2 callbacks"; the macro is no plain literal for Swift.
static const unsigned int cxml2_sax2_magic = XML_SAX2_MAGIC;
