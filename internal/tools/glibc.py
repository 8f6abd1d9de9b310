"""The manylinux tag of a shared object: the newest glibc symbol version it needs, read from its ELF file.

A wheel may be tagged manylinux_2_X when everything it imports exists in glibc 2.X and it links to nothing but the C
library (PEP 600). Reading two sections is all it takes, so that no tool has to be installed to build a wheel.
"""

import re
import struct

# Parts of glibc itself; anything else would have to be shipped inside the wheel.
ALLOWED = re.compile(r"(libc|libm|libdl|libpthread|librt|libresolv|libutil|ld-linux.*|ld64)\.so\.\d+")
SHT_DYNAMIC, SHT_VERNEED = 6, 0x6FFFFFFE
DT_NULL, DT_NEEDED = 0, 1


class NotPortable(Exception):
    pass


def needed(path):
    """The libraries a shared object is linked to and the symbol versions it asks of them: (names, versions)."""
    with open(str(path), "rb") as file:
        data = file.read()
    if data[:4] != b"\x7fELF":
        raise NotPortable("{} is no ELF file".format(path))
    wide = data[4] == 2
    end = "<" if data[5] == 1 else ">"
    if wide:
        offset, size, count = (
            struct.unpack_from(end + "Q", data, 40)[0],
            *struct.unpack_from(end + "HH", data, 58),
        )
        header = end + "IIQQQQII"
    else:
        offset, size, count = (
            struct.unpack_from(end + "I", data, 32)[0],
            *struct.unpack_from(end + "HH", data, 46),
        )
        header = end + "IIIIIIII"
    # name, type, flags, address, offset, size, link, info
    sections = [struct.unpack_from(header, data, offset + i * size) for i in range(count)]

    def text(table, at):
        start = sections[table][4] + at
        return data[start : data.index(b"\0", start)].decode()

    libraries, versions = [], set()
    for _, kind, _, _, start, length, link, info in sections:
        if kind == SHT_DYNAMIC:
            entry = end + ("qQ" if wide else "iI")
            for at in range(start, start + length, struct.calcsize(entry)):
                tag, value = struct.unpack_from(entry, data, at)
                if tag == DT_NULL:
                    break
                if tag == DT_NEEDED:
                    libraries.append(text(link, value))
        elif kind == SHT_VERNEED:
            at = start
            for _ in range(info):
                _, entries, _, first, following = struct.unpack_from(end + "HHIII", data, at)
                inner = at + first
                for _ in range(entries):
                    _, _, _, name, step = struct.unpack_from(end + "IHHII", data, inner)
                    versions.add(text(link, name))
                    inner += step
                at += following
    return libraries, versions


def manylinux(path, machine):
    """The platform tag for a wheel with this shared object, "manylinux_2_34_x86_64"; NotPortable says why none fits."""
    libraries, versions = needed(path)
    foreign = [name for name in libraries if not ALLOWED.fullmatch(name)]
    if foreign:
        raise NotPortable("it is linked to " + ", ".join(foreign))
    matches = [re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", version) for version in versions]
    found = [(int(match.group(1)), int(match.group(2))) for match in matches if match]
    if not found:
        raise NotPortable("it asks for no version of glibc")
    # Below 2.17 there is no manylinux worth having: pip of Python 3.8 knows 2.17 under its own name.
    return "manylinux_{}_{}_{}".format(*max([*found, (2, 17)]), machine)
