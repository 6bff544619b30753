"""A Modbus RTU device with an EPEver Tracer's input registers, by pymodbus: modbus_device.py PORT UNIT 0xFIRST=VALUE,VALUE,… …

Prints "ready" when it serves. It is an implementation of the protocol that Fieldpost has not written.
"""

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice


def registers(argument):
    first, values = argument.split("=")
    return SimData(int(first, 16), values=[int(value) for value in values.split(",")], datatype=DataType.REGISTERS)


async def main(port, unit, arguments):
    none = [SimData(0, values=[0], datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=[False], datatype=DataType.BITS)]
    device = SimDevice(int(unit), simdata=(bits, bits, none, [registers(argument) for argument in arguments]))
    server = ModbusSerialServer(device, framer=FramerType.RTU, port=port, baudrate=115200)
    serving = asyncio.ensure_future(server.serve_forever())
    while not server.transport:
        await asyncio.sleep(0.02)
        if serving.done():
            break
    print("ready", flush=True)
    await serving


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
