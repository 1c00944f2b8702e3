"""The ECUs of the simulated car as data: addresses, DIDs, memory, security.

The shipped simulator profiles describe exactly this table; `hw.sim` behaves by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

VIN = b"WFKZZZ8K1TA000017"

DEFAULT_SESSION = 0x01
PROGRAMMING_SESSION = 0x02
EXTENDED_SESSION = 0x03

LEVEL_READ_MEMORY = 0x01
LEVEL_CODING = 0x03
LEVEL_PROGRAMMING = 0x11

CONSTANT_XOR = "constant-xor"
VW_SA2 = "vw-sa2"
AES_128_CMAC = "aes-128-cmac"

GATEWAY_ADDRESS = 0x0001
TESTER_ADDRESS = 0x0E00


@dataclass(frozen=True, slots=True)
class CanIds:
    """CAN identifiers as the tester sees them: it sends on `tx` and receives on `rx`."""

    tx: int
    rx: int
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Region:
    """A run of memory. `programmable` regions are flash with sectors of `sector_size` bytes."""

    name: str
    address: int
    size: int
    sector_size: int
    programmable: bool

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.address + self.size


@dataclass(frozen=True, slots=True)
class Security:
    """One level of SecurityAccess: requestSeed sub-function `level`, the key by `provider`."""

    level: int
    session: int
    provider: str
    params: dict[str, str]
    seed_length: int


@dataclass(frozen=True, slots=True)
class Did:
    """One data identifier with its value when the car leaves the works.

    `write_session` and `write_level` are what WriteDataByIdentifier demands; None: read only.
    `in_boot` DIDs are answered by the boot loader too.
    """

    did: int
    name: str
    value: bytes
    in_boot: bool = False
    write_session: int | None = None
    write_level: int | None = None


@dataclass(frozen=True, slots=True)
class Dtc:
    """A stored trouble code (3 bytes) and its status byte (ISO 14229-1:2020, D.2)."""

    code: int
    status: int


@dataclass(frozen=True, slots=True)
class EcuDefinition:
    """Everything that makes one simulated ECU different from the next.

    `memory_readout`: "unlocked" (after LEVEL_READ_MEMORY, or LEVEL_PROGRAMMING in the boot loader),
    "denied" (always 0x33) or "none" (0x11: the services do not exist).
    """

    name: str
    logical_address: int
    can: CanIds | None
    dids: tuple[Did, ...]
    regions: tuple[Region, ...] = ()
    securities: tuple[Security, ...] = ()
    dtcs: tuple[Dtc, ...] = ()
    memory_readout: str = "none"
    p2_s: float = 0.05
    p2_star_s: float = 5.0
    s3_s: float = 5.0
    boot_s: float = 0.3
    did_by_number: dict[int, Did] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "did_by_number", {did.did: did for did in self.dids})

    @property
    def programmable(self) -> bool:
        """True if the ECU has flash and so a boot loader."""
        return any(region.programmable for region in self.regions)


CALIBRATION = Region("calibration", 0x0000_8000, 0x1_0000, 0x2000, programmable=True)
APPLICATION = Region("application", 0x0080_0000, 0x40_0000, 0x1_0000, programmable=True)
EEPROM = Region("eeprom", 0x00F0_0000, 0x1000, 0x1000, programmable=False)
BODY_EEPROM = Region("eeprom", 0x0000_0000, 0x0800, 0x0800, programmable=False)
CLUSTER_EEPROM = Region("eeprom", 0x0000_0000, 0x0800, 0x0800, programmable=False)

XOR_PARAMS = {"key": "a5c3f00d"}
# Rotate twice, folding in a constant whenever a bit falls out, then add another one.
SA2_PARAMS = {"script": "6802814a05875f1c4a2b930a1b2c3d494c"}
CMAC_PARAMS = {"key": "2b7e151628aed2a6abf7158809cf4f3c"}


def _identification(
    part: bytes, software: bytes, version: bytes, hardware: bytes, serial: bytes, boot: bytes
) -> tuple[Did, ...]:
    """The identification DIDs of ISO 14229-1:2020, C.1 that every ECU of the car answers."""
    return (
        Did(0xF180, "bootSoftwareIdentification", boot, in_boot=True),
        Did(0xF187, "vehicleManufacturerSparePartNumber", part),
        Did(0xF188, "vehicleManufacturerECUSoftwareNumber", software),
        Did(0xF189, "vehicleManufacturerECUSoftwareVersionNumber", version),
        Did(0xF18C, "ECUSerialNumber", serial, in_boot=True),
        Did(0xF190, "VIN", VIN),
        Did(0xF191, "vehicleManufacturerECUHardwareNumber", hardware, in_boot=True),
    )


# Written by the tester before programming: date (BCD), tester serial. Nothing written yet: zeros.
_FINGERPRINT = Did(
    0xF15A,
    "fingerprint",
    bytes(10),
    write_session=PROGRAMMING_SESSION,
    write_level=LEVEL_PROGRAMMING,
)


def _coding(did: int, name: str, value: bytes) -> Did:
    return Did(did, name, value, write_session=EXTENDED_SESSION, write_level=LEVEL_CODING)


def _xor(level: int, session: int = EXTENDED_SESSION) -> Security:
    return Security(level, session, CONSTANT_XOR, XOR_PARAMS, 4)


ENGINE = EcuDefinition(
    name="engine",
    logical_address=0x0010,
    can=CanIds(tx=0x7E0, rx=0x7E8),
    dids=(
        *_identification(
            b"8K0907115R", b"8K0907115R", b"0040", b"8K0907115", b"WFKENG0000042117", b"BL-EN-0107"
        ),
        _FINGERPRINT,
        _coding(0x0600, "coding", bytes.fromhex("0131000a")),
        _coding(0x0601, "adaptation", bytes.fromhex("0280")),
    ),
    regions=(CALIBRATION, APPLICATION, EEPROM),
    securities=(
        _xor(LEVEL_READ_MEMORY),
        _xor(LEVEL_CODING),
        _xor(LEVEL_PROGRAMMING, PROGRAMMING_SESSION),
    ),
    dtcs=(Dtc(0x030100, 0x2F), Dtc(0x056200, 0x28)),
    memory_readout="unlocked",
)

GEARBOX = EcuDefinition(
    name="gearbox",
    logical_address=0x0018,
    can=CanIds(tx=0x7E1, rx=0x7E9),
    dids=(
        *_identification(
            b"0B5927156F", b"0B5927156F", b"0812", b"0B5927156", b"WFKGBX0000007781", b"BL-GB-0031"
        ),
        _FINGERPRINT,
        _coding(0x0600, "coding", bytes.fromhex("00120304")),
    ),
    regions=(CALIBRATION,),
    securities=(
        _xor(LEVEL_CODING),
        Security(LEVEL_PROGRAMMING, PROGRAMMING_SESSION, VW_SA2, SA2_PARAMS, 4),
    ),
    dtcs=(Dtc(0x073000, 0x28),),
    memory_readout="denied",
)

BODY = EcuDefinition(
    name="body",
    logical_address=0x0040,
    can=CanIds(tx=0x18DA40F1, rx=0x18DAF140, extended=True),
    dids=(
        *_identification(
            b"8K0907063B", b"8K0907063B", b"0315", b"8K0907063", b"WFKBCM0000119302", b"BL-BC-0012"
        ),
        _coding(0x0600, "coding", bytes.fromhex("4f1a810c00023300")),
        _coding(0x0601, "equipment", bytes.fromhex("0103")),
    ),
    # It has memory like every ECU, and no service that gives it.
    regions=(BODY_EEPROM,),
    securities=(Security(LEVEL_CODING, EXTENDED_SESSION, AES_128_CMAC, CMAC_PARAMS, 16),),
    dtcs=(Dtc(0x9A1411, 0x28),),
)

CLUSTER = EcuDefinition(
    name="cluster",
    logical_address=0x0060,
    can=CanIds(tx=0x714, rx=0x77E),
    dids=(
        *_identification(
            b"8K0920930C", b"8K0920930C", b"0207", b"8K0920930", b"WFKICL0000065530", b"BL-IC-0004"
        ),
        _coding(0x0600, "coding", bytes.fromhex("02000117")),
        _coding(0x0601, "immobiliser", bytes.fromhex("0201")),
        _coding(0x0602, "faultMemory", bytes.fromhex("03")),
    ),
    regions=(CLUSTER_EEPROM,),
    securities=(_xor(LEVEL_READ_MEMORY), _xor(LEVEL_CODING)),
    memory_readout="unlocked",
)

FLEET: tuple[EcuDefinition, ...] = (ENGINE, GEARBOX, BODY, CLUSTER)

# The DoIP entity itself: it announces the car and answers identification on its own address.
GATEWAY = EcuDefinition(
    name="gateway",
    logical_address=GATEWAY_ADDRESS,
    can=None,
    dids=_identification(
        b"8K0907468H", b"8K0907468H", b"0101", b"8K0907468", b"WFKGWY0000000903", b"BL-GW-0002"
    ),
)


def limited(ecu: EcuDefinition, limit: int) -> EcuDefinition:
    """The same ECU with no memory region larger than `limit` bytes, in at least eight sectors."""
    regions = tuple(
        replace(
            region,
            size=min(region.size, limit),
            sector_size=min(region.sector_size, limit // 8),
        )
        for region in ecu.regions
    )
    return replace(ecu, regions=regions)
